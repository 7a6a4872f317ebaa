"""Run cycles on a schedule in the foreground, for machines without systemd or cron; each cycle is a subprocess."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from quiebra.environment import CORRELATION_ID
from quiebra.logs import new_correlation_id
from quiebra.params import load_params
from quiebra.params.operations import parse_cron
from quiebra.workspace import Workspace

POLL_SECONDS = 20.0
"""Seconds between checks of the time, so that clock changes and a suspended machine are noticed."""


class CronTimes:
    """The times of a ``cron`` expression in a time zone, each once across changes of summer time.

    In the hour that autumn repeats, the first occurrence counts; a time that spring skips is moved forward by the gap (02:30 to
    03:30).

    >>> CronTimes("30 2 * * *", "Europe/Madrid").following(dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC)).isoformat()
    '2026-10-25T02:30:00+02:00'
    """

    def __init__(self, cron: str, timezone: str) -> None:
        self._wall = CronTrigger(**parse_cron(cron), timezone=dt.UTC)
        self._zone = ZoneInfo(timezone)

    def following(self, after: dt.datetime) -> dt.datetime | None:
        """Return the first time later than ``after``; None if there is none."""
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
        """Return the last time later than ``after`` and not later than ``until``; None if there is none."""
        after, until, back = after.astimezone(dt.UTC), until.astimezone(dt.UTC), dt.timedelta(hours=1)
        while (time := self.following(max(after, until - back))) is None or time > until:
            if until - back <= after:
                return None
            back *= 2
        while (later := self.following(time)) is not None and later <= until:
            time = later
        return time


class CycleClock:
    """Decides when a cycle is due: once for each of ``times``.

    Several missed times are made up for by one cycle. A clock set back repeats no cycle, and one that was temporarily far ahead
    suppresses no later cycle.
    """

    def __init__(self, times: CronTimes, now: dt.datetime) -> None:
        self._times = times
        self._seen = now
        self._fired: deque[dt.datetime] = deque(maxlen=10_000)

    def due(self, now: dt.datetime) -> bool:
        """Return whether a cycle has become due since the last call. now: with a time zone."""
        time = self._times.last(self._seen, now) if now > self._seen else None
        self._seen = now
        if time is None or time in self._fired:
            return False
        self._fired.append(time)
        return True


def run_clock(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Run a cycle at each time of ``schedule.cron`` until SIGTERM or SIGINT; a cycle under way is finished first.

    Times missed while a cycle ran or the machine slept are made up for by one cycle.
    """
    params = load_params(workspace)
    times, stop = CronTimes(params.schedule.cron, params.delivery.timezone), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    now = dt.datetime.now(dt.UTC)
    clock, following = CycleClock(times, now), times.following(now)
    say(f"cycles run at '{params.schedule.cron}' ({params.delivery.timezone}); the next at {following}")
    while not stop.is_set():
        if clock.due(dt.datetime.now(dt.UTC)):
            own = {**os.environ, CORRELATION_ID: new_correlation_id()}
            subprocess.run([sys.executable, "-m", "quiebra.cli", "schedule"], cwd=workspace.root, env=own)
            continue
        now = dt.datetime.now(dt.UTC)
        following = times.following(now)
        stop.wait(POLL_SECONDS if following is None else min(POLL_SECONDS, max(0.0, (following - now).total_seconds())))
