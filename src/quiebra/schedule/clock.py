"""The clock in the foreground, where there is neither systemd nor cron: each cycle in a process of its own."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Callable

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from quiebra.params import load
from quiebra.params.operations import cron_fields
from quiebra.workspace import Workspace


def trigger(cron: str, timezone: str) -> CronTrigger:
    """Return when cycles run; ``cron``: as params have checked it."""
    return CronTrigger(**cron_fields(cron), timezone=timezone)


def run_clock(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Run a cycle at each time that ``schedule.cron`` names, until the process is told to stop. A cycle under way is finished
    first; one that was missed while another ran, or the machine slept, is made up for once."""
    params = load(workspace)
    when = trigger(params.schedule.cron, params.delivery.timezone)
    clock = BlockingScheduler(timezone=params.delivery.timezone)
    clock.add_job(
        lambda: subprocess.run([sys.executable, "-m", "quiebra.cli", "schedule"], cwd=workspace.root),
        when,
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
    )
    signal.signal(signal.SIGTERM, lambda *_: clock.shutdown(wait=False))
    following = when.get_next_fire_time(None, dt.datetime.now(dt.UTC))
    say(f"cycles run at '{params.schedule.cron}' ({params.delivery.timezone}); the next at {following}")
    clock.start()
