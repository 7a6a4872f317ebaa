"""Who alone acts on a database: one at a time whatever becomes of connections, and a holder that lost its place does nothing more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import environment
from servers import Postbox, eventually, mail_server, raw_server, talk
from sqlalchemy import Engine, text
from test_delivery import SENDER, mail, sent_by, state

from quiebra import store
from quiebra.delivery import outbox, smtp
from quiebra.errors import StoreError
from quiebra.schedule import cycle
from quiebra.store import lease
from quiebra.store.lease import LeaseLost, LeaseTaken, hold_lease
from quiebra.store.run_files import read_publication
from quiebra.workspace import Workspace

pytestmark = pytest.mark.slow  # processes that are stopped and killed, and what waits for them

HOLDER = """
import sys, time
from quiebra import store
from quiebra.store.lease import hold_lease
with hold_lease(store.connect(sys.argv[1]), "cycle"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres")(f"leases_{time.time_ns()}")


@pytest.fixture
def engine(url: str) -> Engine:
    engine = store.connect(url)
    store.upgrade_schema(engine)
    return engine


def end_sessions(engine: Engine) -> None:
    """Cut every connection to the database, as a restarted server or a pooler does. SQLite has none."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(ended))


def steal(engine: Engine, name: str) -> None:
    """Take a lease over as a process of another machine does."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE turnos SET token = token + 1, holder = 'place other 1 1.0' WHERE name = :name"), {"name": name}
        )


def test_no_second_one_runs_beside_the_first_when_its_connections_are_cut(engine: Engine, url: str) -> None:
    with hold_lease(engine, "cycle") as first, hold_lease(engine, "delivery"):
        end_sessions(store.connect(url))
        with (
            pytest.raises(LeaseTaken, match=rf"another cycle is running .*process {os.getpid()} on"),
            hold_lease(store.connect(url), "cycle"),
        ):
            pass
        first.check()
    with hold_lease(store.connect(url), "cycle") as second:
        assert second.token == first.token + 1


def test_a_killed_one_is_succeeded_at_once(engine: Engine, url: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, url], env=environment(), stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LeaseTaken), hold_lease(engine, "cycle"):
        pass
    holder.kill()  # it is not waited for: what is left of it still has its id
    with hold_lease(engine, "cycle", wait=10) as mine:
        assert mine.token == 2
    holder.wait()


def test_one_on_another_machine_is_left_alone_while_it_gives_signs_of_life_and_succeeded_when_it_gives_none(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.2)
    monkeypatch.setattr(lease, "process_namespace", lambda: "another-machine")
    with hold_lease(engine, "cycle") as theirs:
        monkeypatch.undo()
        monkeypatch.setattr(lease, "LEASE_SECONDS", 1.2)
        with pytest.raises(LeaseTaken), hold_lease(store.connect(url), "cycle"):
            pass
        theirs.ended.set()  # its machine stands still
        with hold_lease(store.connect(url), "cycle") as mine:
            assert mine.token == theirs.token + 1
            with pytest.raises(LeaseLost, match=f"this cycle was taken over by process {os.getpid()} on"):
                theirs.check()
    with hold_lease(engine, "cycle"):  # giving back what was lost frees nothing
        pass


def test_a_lease_is_kept_for_as_long_as_what_it_is_for_takes(engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    with hold_lease(engine, "cycle") as mine:
        time.sleep(1.5)
        end_sessions(store.connect(url))
        time.sleep(0.5)
        mine.check()
        with pytest.raises(LeaseTaken), hold_lease(store.connect(url), "cycle"):
            pass


def test_what_acts_under_a_lost_lease_writes_nothing(engine: Engine, finished: Path) -> None:
    what = read_publication(Workspace(finished))
    with hold_lease(engine, "cycle") as mine, mine.passed_on():
        steal(engine, "cycle")
        with pytest.raises(LeaseLost):
            store.publish_run(engine, what)
        with pytest.raises(LeaseLost):
            outbox.queue_messages(engine, [mail()])
    assert outbox.list_messages(engine) == []
    assert store.audit_entries(engine) == []
    assert store.current_run(engine) is None
    assert outbox.queue_messages(engine, [mail()]) == 1  # who acts under none is free to


def test_a_sender_that_lost_its_place_before_a_message_ended_sends_nothing_and_it_goes_once(engine: Engine) -> None:
    ends: list[bytes] = []

    def lose(link: socket.socket) -> None:
        for _ in talk(link):
            pass
        steal(engine, "delivery")
        link.sendall(b"354 go on\r\n")
        data = b""
        while part := link.recv(65536):
            data += part
        ends.append(data)

    outbox.queue_messages(engine, [mail()])
    with raw_server(lose) as port, pytest.raises(LeaseLost):
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(f"smtp://127.0.0.1:{port}")), 3)
    eventually(lambda: bool(ends))
    assert not ends[0].endswith(b"\r\n.\r\n")
    with engine.begin() as connection:
        connection.execute(text("UPDATE turnos SET holder = NULL"))
    box = Postbox()
    with mail_server(box) as url:
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(url)), 3)
    assert (state(engine), len(box.mails)) == ({"ana@example.com": "sent"}, 1)


def test_what_a_sender_that_lost_its_place_knows_of_a_message_changes_nothing_that_another_sends(engine: Engine) -> None:
    outbox.queue_messages(engine, [mail()])

    def fail(row: Any, doubtful: Callable[[], None]) -> outbox.SendOutcome:
        steal(engine, "delivery")
        with engine.begin() as connection:
            connection.execute(text("UPDATE bandeja_salida SET sender = sender + 1"))
        return outbox.SendOutcome(outbox.FAILED, "refused")

    with pytest.raises(LeaseLost):
        outbox.send_due(engine, lambda channel: fail, 3)
    assert state(engine) == {"ana@example.com": "sending"}
    assert store.audit_entries(engine) == []


class Slow(Postbox):
    """Takes its time before it lets a message begin."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        import asyncio

        self.asked.set()
        while not self.go.is_set():
            await asyncio.sleep(0.05)
        return await super().handle_RCPT(server, session, envelope, address, options)


def test_while_one_is_sending_and_its_connections_are_cut_another_sends_nothing_and_the_mail_arrives_once(
    engine: Engine, url: str
) -> None:
    box = Slow()
    outbox.queue_messages(engine, [mail()])
    with mail_server(box) as server:
        words = [sys.executable, "-c", SENDER, url, server]
        first = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True)
        eventually(box.asked.is_set)
        end_sessions(store.connect(url))
        second = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True)
        time.sleep(2.5)  # time in which the second would have taken the message
        box.go.set()
        said = [process.communicate(timeout=60)[0].strip() for process in (first, second)]
    assert said == ["['sent']", "[]"]
    assert len(box.mails) == 1


LOSER = """
import sys
from sqlalchemy import text
from quiebra.schedule import cycle
from quiebra.workspace import Workspace
def lose(self):
    with self.engine.begin() as connection:
        connection.execute(text("UPDATE turnos SET token = token + 1, holder = 'place other 7 1.0' WHERE name = 'cycle'"))
cycle._Cycle._score = lose
cycle.run_cycle(Workspace.find(), print)
"""


def test_a_cycle_that_lost_its_place_stops_says_so_and_tells_and_records_nothing(workspace: Path) -> None:
    from test_schedule import database, tell_people

    tell_people(workspace, channels={})
    box = Postbox()
    with mail_server(box) as server:
        words = [sys.executable, "-c", LOSER]
        done = subprocess.run(words, cwd=workspace, env=environment(QUIEBRA_SMTP_URL=server), capture_output=True, text=True)
    assert done.returncode == 1
    assert "this cycle was taken over by process 7 on other" in done.stderr
    assert "'state': 'lost'" in done.stdout
    assert "alerts" not in done.stdout
    assert box.mails == []
    with database(workspace).connect() as connection:
        (row,) = connection.execute(text("SELECT state, steps, ended_at FROM ciclos"))
    assert tuple(row) == ("running", "[]", None)  # the new holder completes it


def test_a_cycle_whose_record_is_gone_is_told_so(engine: Engine) -> None:
    with hold_lease(engine, "cycle") as mine, pytest.raises(StoreError, match="lacks a row that it must have"):
        cycle._mark(mine, "20260101T000000-1", "ingest")


def test_a_stopped_process_that_goes_on_later_sends_nothing(engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    box = Slow()
    outbox.queue_messages(engine, [mail()])
    with mail_server(box) as server:
        short = SENDER.replace("to = ", "from quiebra.store import lease; lease.LEASE_SECONDS = 1.0\nto = ")
        stopped = subprocess.Popen(
            [sys.executable, "-c", short, url, server], env=environment(), stderr=subprocess.PIPE, text=True
        )
        eventually(box.asked.is_set)
        os.kill(stopped.pid, signal.SIGSTOP)
        time.sleep(1.2)
        box.go.set()
        ((_, outcome),) = outbox.send_due(engine, sent_by(smtp.parse_mail_server(server)), 3)
        assert outcome.state == "sent"
        os.kill(stopped.pid, signal.SIGCONT)
        _, said = stopped.communicate(timeout=60)
    assert "this delivery was taken over" in said
    assert len(box.mails) == 1
