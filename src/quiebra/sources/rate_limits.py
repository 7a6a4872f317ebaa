"""Rates at which a data service may be asked, shared by all processes of this user, and times until which it refuses."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from filelock import FileLock
from pyrate_limiter import Rate, RateItem, SQLiteBucket

from quiebra.environment import redact_secrets
from quiebra.errors import FetchStoppedError
from quiebra.io.files import make_private_folder, write_text
from quiebra.terminal import echo

LONGEST_WAIT = 60.0
"""Seconds. What would have to wait longer stops instead, and says until when."""
ANNOUNCED_WAIT = 5.0
LONGEST_REFUSAL = dt.timedelta(days=2)
"""A noted time further in the future than this comes from a clock that was wrong."""
TABLE = "requests"


def limits_folder() -> Path:
    """Return this user's folder for rates, XDG_CACHE_HOME/quiebra/limits: they hold for a machine and a key, not a workspace."""
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    return make_private_folder((Path(cache) if cache else Path.home() / ".cache") / "quiebra" / "limits")


class RateLimit:
    """Several rates at once for one service, such as one request a second and 25 a day.

    host: of the service. rates: pairs of number and seconds, shortest first.
    """

    def __init__(self, service: str, host: str, rates: Sequence[tuple[int, float]]) -> None:
        self.service = service
        folder, name = limits_folder(), re.sub(r"[^\w.-]", "_", host)
        self._until = folder / f"{name}.until"
        windows = [Rate(number, round(seconds * 1000)) for number, seconds in rates]
        self._lock = FileLock(folder / f"{name}.lock")  # the bucket's own asks for an older filelock
        with self._lock:
            self._bucket = SQLiteBucket.init_from_file(windows, table=TABLE, db_path=str(folder / f"{name}.db"))

    def wait(self) -> None:
        """Return when a request may be sent. FetchStoppedError where that is more than `LONGEST_WAIT` away."""
        self._refuse_until_noted()
        while (seconds := self._take_turn()) > 0:
            self.pause(seconds, "its limit of requests is reached")

    def pause(self, seconds: float, why: str) -> None:
        """Wait, and say so. FetchStoppedError, which is remembered by later processes, where it is longer than `LONGEST_WAIT`."""
        if seconds > LONGEST_WAIT:
            raise self.refuse_for(seconds, why)
        if seconds > ANNOUNCED_WAIT:
            echo(f"{self.service}: {why}; waiting {seconds:.0f} s", err=True)
        time.sleep(max(seconds, 0))

    def refuse_for(self, seconds: float, why: str) -> FetchStoppedError:
        """Note that the service is not to be asked for this long, and return the error that says so."""
        until, why = _now() + dt.timedelta(seconds=seconds), redact_secrets(why)
        write_text(self._until, f"{until.isoformat()}\n{why}\n", private=True)
        return self._stopped(until, why)

    def _refuse_until_noted(self) -> None:
        if not self._until.is_file():
            return
        moment, _, why = self._until.read_text(encoding="utf-8").partition("\n")
        try:
            until = dt.datetime.fromisoformat(moment)
        except ValueError:
            until = _now()
        if _now() < until < _now() + LONGEST_REFUSAL:
            raise self._stopped(until, why.strip())
        self._until.unlink(missing_ok=True)

    def _stopped(self, until: dt.datetime, why: str) -> FetchStoppedError:
        return FetchStoppedError(
            f"{self.service}: {why}. Ask again after {until.astimezone():%Y-%m-%d %H:%M} (local time): it goes on where it "
            "stopped."
        )

    def _take_turn(self) -> float:
        """Count a request that may be sent now and return 0, or return the seconds to wait."""
        with self._lock:
            now = _milliseconds()
            self._bucket.leak(now)
            # what a clock that was ahead has noted would count until that time comes again
            self._bucket.conn.execute(f"DELETE FROM {TABLE} WHERE item_timestamp > ?", (now + 1000,))  # noqa: S608
            self._bucket.conn.commit()
            item = RateItem(self.service, now)
            return 0.0 if self._bucket.put(item) else cast("int", self._bucket.waiting(item)) / 1000 + 0.01

    def close(self) -> None:
        """Close the database of requests."""
        self._bucket.conn.close()


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
