"""The clock in the foreground, where there is neither systemd nor cron: each cycle in a process of its own."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from quiebra.params import load
from quiebra.params.operations import cron_fields
from quiebra.workspace import Workspace

LOOK_EVERY = 20.0
"""Seconds between looks at the clock, so that one that was set, or a machine that slept, is noticed."""


class Times:
    """The times that ``cron`` names on a clock on the wall of a place, each once: of an hour that comes twice in autumn the first
    one counts, a time that spring leaves out comes as much after the gap as it was after its start.

    >>> Times("30 2 * * *", "Europe/Madrid").following(dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC)).isoformat()
    '2026-10-25T02:30:00+02:00'
    """

    def __init__(self, cron: str, timezone: str) -> None:
        self._wall = CronTrigger(**cron_fields(cron), timezone=dt.UTC)
        self._zone = ZoneInfo(timezone)

    def following(self, after: dt.datetime) -> dt.datetime | None:
        """Return the first time later than ``after``; None where there is never one."""
        wall = after.astimezone(self._zone).replace(tzinfo=dt.UTC) - dt.timedelta(hours=3)  # no clock is set by more
        found = None
        while (wall := self._wall.get_next_fire_time(None, wall)) is not None:
            instant = wall.replace(tzinfo=self._zone).astimezone(dt.UTC)
            if instant > after and (found is None or instant < found):
                found = instant
            if found is not None and instant > found + dt.timedelta(hours=3):
                break
            wall += dt.timedelta(seconds=1)
        return None if found is None else found.astimezone(self._zone)

    def last(self, after: dt.datetime, until: dt.datetime) -> dt.datetime | None:
        """Return the last time later than ``after`` and not later than ``until``; None where there is none."""
        after, until, back = after.astimezone(dt.UTC), until.astimezone(dt.UTC), dt.timedelta(hours=1)
        while (time := self.following(max(after, until - back))) is None or time > until:
            if until - back <= after:
                return None
            back *= 2
        while (later := self.following(time)) is not None and later <= until:
            time = later
        return time


class Clock:
    """Says when a cycle is due: at each of ``times`` once. Those that were missed are made up for by one; a clock that is set
    back repeats none, and one that was far ahead for a while keeps none of the later ones back."""

    def __init__(self, times: Times, now: dt.datetime) -> None:
        self._times = times
        self._seen = now
        self._fired: deque[dt.datetime] = deque(maxlen=10_000)

    def due(self, now: dt.datetime) -> bool:
        """Whether a cycle is due since this was last asked. now: with a time zone."""
        time = self._times.last(self._seen, now) if now > self._seen else None
        self._seen = now
        if time is None or time in self._fired:
            return False
        self._fired.append(time)
        return True


def run_clock(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Run a cycle at each time that ``schedule.cron`` names, until the process is told to stop. A cycle under way is finished
    first; one that was missed while another ran, or the machine slept, is made up for once."""
    params = load(workspace)
    times, stop = Times(params.schedule.cron, params.delivery.timezone), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    now = dt.datetime.now(dt.UTC)
    clock, following = Clock(times, now), times.following(now)
    say(f"cycles run at '{params.schedule.cron}' ({params.delivery.timezone}); the next at {following}")
    while not stop.is_set():
        if clock.due(dt.datetime.now(dt.UTC)):
            subprocess.run([sys.executable, "-m", "quiebra.cli", "schedule"], cwd=workspace.root)
            continue
        now = dt.datetime.now(dt.UTC)
        following = times.following(now)
        stop.wait(LOOK_EVERY if following is None else min(LOOK_EVERY, max(0.0, (following - now).total_seconds())))
