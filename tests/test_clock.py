"""Clocks that are set, or wrong for a while: each time comes once, no cycle is repeated, none is forgotten and no message waits."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from test_delivery import mail, state

from quiebra import store
from quiebra.delivery import outbox
from quiebra.schedule import cycle
from quiebra.schedule.clock import CronTimes, CycleClock
from quiebra.store.lease import hold_lease

MADRID = "Europe/Madrid"


def utc(moment: str) -> dt.datetime:
    return dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)


def times(cron: str, after: str, count: int, zone: str = MADRID) -> list[str]:
    found, moment = [], utc(after)
    for _ in range(count):
        moment = CronTimes(cron, zone).following(moment)
        found.append(f"{moment:%m-%d %H:%M %z}")
    return found


def due(clock: CycleClock, first: str, last: str, minutes: int = 1) -> list[str]:
    """Return when a clock that is looked at every so many minutes says that a cycle is due (UTC)."""
    moment, found = utc(first), []
    while moment <= utc(last):
        if clock.due(moment):
            found.append(f"{moment:%m-%d %H:%M}")
        moment += dt.timedelta(minutes=minutes)
    return found


def test_of_the_hour_that_comes_twice_in_autumn_the_first_counts() -> None:
    assert times("30 2 * * *", "2026-10-24 12:00", 3) == ["10-25 02:30 +0200", "10-26 02:30 +0100", "10-27 02:30 +0100"]
    assert due(CycleClock(CronTimes("30 2 * * *", MADRID), utc("2026-10-24 20:00")), "2026-10-24 20:00", "2026-10-25 12:00") == [
        "10-25 00:30"
    ]
    assert due(CycleClock(CronTimes("0 * * * *", MADRID), utc("2026-10-24 23:30")), "2026-10-24 23:30", "2026-10-25 02:30") == [
        "10-25 00:00",
        "10-25 02:00",
    ]


def test_a_time_that_spring_leaves_out_comes_once_an_hour_later() -> None:
    assert times("30 2 * * *", "2026-03-28 12:00", 2) == ["03-29 03:30 +0200", "03-30 02:30 +0200"]
    clock = CycleClock(CronTimes("30 2,3 * * *", MADRID), utc("2026-03-28 20:00"))
    assert due(clock, "2026-03-28 20:00", "2026-03-29 12:00") == ["03-29 01:30"]  # both are 03:30 there


def test_elsewhere_too() -> None:
    assert times("45 1 * * *", "2026-11-01 00:00", 2, "America/New_York") == ["11-01 01:45 -0400", "11-02 01:45 -0500"]
    assert times("15 2 * * *", "2026-10-03 00:00", 2, "Australia/Lord_Howe") == [
        "10-04 02:45 +1100",
        "10-05 02:15 +1100",
    ]  # half an hour


def test_a_clock_that_is_set_back_repeats_no_cycle() -> None:
    clock = CycleClock(CronTimes("0 6 5 * *", "UTC"), utc("2026-11-05 05:00"))
    assert due(clock, "2026-11-05 05:00", "2026-11-05 06:30") == ["11-05 06:00"]
    assert due(clock, "2026-11-05 04:00", "2026-11-05 07:00") == []
    assert due(clock, "2026-11-05 07:00", "2026-12-06 00:00", 30) == ["12-05 06:00"]


def test_a_clock_that_was_years_ahead_for_a_while_keeps_no_later_cycle_back() -> None:
    clock = CycleClock(CronTimes("0 6 5 * *", "UTC"), utc("2026-11-20 05:00"))
    assert clock.due(utc("2036-01-20 00:00"))  # what was missed, as far as it can tell
    assert due(clock, "2026-11-20 06:00", "2026-12-06 00:00", 30) == ["12-05 06:00"]


def test_what_was_missed_is_made_up_for_once() -> None:
    clock = CycleClock(CronTimes("0 6 * * *", "UTC"), utc("2026-11-01 07:00"))
    assert due(clock, "2026-11-04 05:00", "2026-11-04 07:00") == ["11-04 05:00", "11-04 06:00"]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = store.connect(f"sqlite:///{tmp_path / 'test.db'}")
    store.upgrade_schema(engine)
    return engine


def test_a_cycle_dated_in_the_future_orphans_none_that_is_killed_later(engine: Engine) -> None:
    insert = text("INSERT INTO ciclos (cycle_id, state, steps, started_at) VALUES (:id, :state, :steps, :at)")
    with engine.begin() as connection:
        connection.execute(
            insert, {"id": "far", "state": "done", "steps": json.dumps(["score"]), "at": "2036-01-05 06:00:00.000000"}
        )
    with hold_lease(engine, "cycle") as lease:
        killed = cycle._begin(lease)
    with hold_lease(engine, "cycle") as lease:
        assert cycle._begin(lease) == killed
    with engine.begin() as connection:  # an older version left one behind as well
        connection.execute(insert, {"id": "old", "state": "running", "steps": "[]", "at": "2020-01-05 06:00:00.000000"})
    with hold_lease(engine, "cycle") as lease:
        assert cycle._begin(lease) == killed
    states = {row["cycle_id"]: row["state"] for row in cycle.list_cycles(engine)}
    assert states == {"far": "done", killed: "running", "old": "failed"}


def test_a_message_that_was_queued_while_the_clock_was_years_ahead_goes_out(engine: Engine) -> None:
    outbox.queue_messages(engine, [mail("ana@example.com"), mail("bob@example.com")])
    soon = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=13)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE bandeja_salida SET not_before = '2036-01-05 06:00:00.000000' WHERE recipient LIKE 'ana%'")
        )
        connection.execute(text("UPDATE bandeja_salida SET not_before = :soon WHERE recipient LIKE 'bob%'"), {"soon": f"{soon}"})
    outbox.send_due(engine, lambda channel: lambda row, doubtful: outbox.SendOutcome(outbox.SENT), 3)
    assert state(engine) == {"ana@example.com": "sent", "bob@example.com": "queued"}
