"""Whole cycles against real servers: everything once, whatever is killed or fails on the way."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import ROOT, command, default_params, environment, wait_for_stage
from servers import Postbox, Receiver, chat, eventually, mail_server
from sqlalchemy import text
from test_delivery import DELIVERY

from quiebra import store
from quiebra.delivery import outbox
from quiebra.errors import ParamsError, StoreError
from quiebra.io.files import read_json
from quiebra.params import validate_params
from quiebra.schedule.clock import CronTimes
from quiebra.schedule.cycle import CYCLE_STEPS, list_cycles
from quiebra.store.lease import hold_lease


def tell_people(workspace: Path, stale_days: int | None = None, **more: object) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["schedule"]["stale_days"] = stale_days
    every = {name: {**channel, "digest_above": 5} for name, channel in DELIVERY["channels"].items()}
    content["delivery"] |= {**DELIVERY, "channels": every, **more}
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def not_evaluated(workspace: Path) -> None:
    """As if the rules had never been held against this run: there is something to tell."""
    with database(workspace).begin() as connection:
        connection.execute(text("DELETE FROM alertas"))
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["alerts"]["back_test"]["miss_cost"] = 36.0
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def database(workspace: Path) -> object:
    return store.connect(f"sqlite:///{workspace / 'data' / 'quiebra.db'}")


def cycle(workspace: Path, **env: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "quiebra.cli", "schedule"]
    return subprocess.run(words, cwd=workspace, env=environment(**env), capture_output=True, text=True, timeout=1500)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_cycle_tells_everybody_once(workspace: Path, tmp_path: Path) -> None:
    tell_people(workspace)
    (workspace / "data/logs/quiebra.log").unlink()  # it tells of the run that the workspace came from
    box, receiver = Postbox(), Receiver()
    with mail_server(box) as url, chat(receiver, tmp_path) as env:
        done = cycle(workspace, QUIEBRA_SMTP_URL=url, QUIEBRA_CORRELATION_ID="cycle-one", **env)
        assert done.returncode == 0, done.stdout + done.stderr
        first = len(box.mails), len(receiver.posts)
        again = cycle(workspace, QUIEBRA_SMTP_URL=url, **env)
        assert again.returncode == 0, again.stderr
    assert [(line["step"], line["state"]) for line in lines(done)] == [
        *((step, "done") for step in CYCLE_STEPS),
        ("cycle", "done"),
    ]
    assert sorted(to for to, _ in box.mails) == ["ana@example.com", "bob@example.com", "desk@example.com"]
    assert sorted(path.split("/")[0].split(":")[0] for path, _, _ in receiver.posts) == [
        "127.0.0.1",
        "hooks.slack.com",
        "teams.example.com",
    ]
    assert (len(box.mails), len(receiver.posts)) == first  # the second cycle told nobody twice
    (spanish,), (english,) = box.to("ana@example.com"), box.to("bob@example.com")
    assert "Informe" in spanish["Subject"]
    assert "report" in english["Subject"]
    pdf, html = spanish.iter_attachments()
    assert pdf.get_content() == (workspace / "reports/build/es/risk_report.pdf").read_bytes()
    page = (workspace / "reports/build/es/risk_report.html").read_text(encoding="utf-8")
    assert '<html lang="es">' in page
    assert "Figura 1" in page
    assert str(workspace) not in page
    assert html.get_content().replace("\r\n", "\n") == page
    assert lines(done)[-1]["messages"] == {"sent": 6}
    assert lines(done)[-1]["seconds"] > 1
    joined = _by_correlation(workspace, lines(done), lines(again))
    assert set(joined) == {"cycle-one", lines(again)[0]["correlation_id"]}
    assert joined["cycle-one"] >= {"cycle", "schedule", "report", "bandeja_salida"}
    assert joined[lines(again)[0]["correlation_id"]] == {"cycle", "schedule", "report"}
    recorded = list_cycles(database(workspace))
    assert [(c["state"], c["steps"]) for c in recorded] == [("done", list(CYCLE_STEPS))] * 2
    assert store.verify_chain(database(workspace), _noted(lines(done)[-1]["audit"])).faults == []
    assert len((workspace / "data/logs/schedule.jsonl").read_text().splitlines()) == 10


def _by_correlation(workspace: Path, *said: list[dict]) -> dict[str, set[str]]:
    """Return correlation id → where it is: lines of cycles, commands in the log of commands, and messages."""
    found: dict[str, set[str]] = {}
    logged = [json.loads(line) for line in (workspace / "data/logs/schedule.jsonl").read_text().splitlines()]
    assert logged == [line for each in said for line in each]
    commands = [json.loads(line) for line in (workspace / "data/logs/quiebra.log").read_text().splitlines()]
    for line in (*logged, *commands):
        assert line["level"] == "info" and line["time"].endswith("+00:00")
        found.setdefault(line["correlation_id"], set()).add(line.get("command", line["event"]))
    with database(workspace).begin() as connection:
        for (id_,) in connection.execute(text("SELECT correlation_id FROM bandeja_salida")):
            found.setdefault(id_, set()).add("bandeja_salida")
    return found


def _noted(text_: str) -> tuple[int, str]:
    number, _, hash_ = text_.partition(":")
    return int(number), hash_


@pytest.mark.parametrize("step", CYCLE_STEPS)
def test_killed_in_a_step_and_run_again_everything_happens_once(workspace: Path, tmp_path: Path, step: str) -> None:
    tell_people(workspace, recipients=[{"address": "ana@example.com"}, {"address": "bob@example.com"}])
    not_evaluated(workspace)
    killing = f"""
import os, signal, sys
from quiebra.schedule import cycle
from quiebra.workspace import Workspace
real = cycle._mark
def mark(engine, cycle_id, step):
    if step == {step!r}:  # all of the step is done, and nobody knows yet
        os.kill(os.getpid(), signal.SIGKILL)
    real(engine, cycle_id, step)
cycle._mark = mark
cycle.run_cycle(Workspace.find())
"""
    box, receiver = Postbox(), Receiver()
    with mail_server(box) as url, chat(receiver, tmp_path) as env:
        extra = {"QUIEBRA_SMTP_URL": url, **env}
        killed = subprocess.run(
            [sys.executable, "-P", "-c", killing],
            cwd=workspace,
            env=environment(**extra, PYTHONPATH=str(workspace / "src")),
            capture_output=True,
            timeout=1500,
        )
        assert killed.returncode == -signal.SIGKILL
        assert list_cycles(database(workspace))[0]["state"] == "running"
        done = cycle(workspace, **extra)
        assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(to for to, _ in box.mails) == ["ana@example.com", "bob@example.com", "desk@example.com"]
    assert len(receiver.posts) == 3
    (only,) = list_cycles(database(workspace))  # the killed one was completed
    assert (only["state"], only["steps"]) == ("done", list(CYCLE_STEPS))
    with database(workspace).connect() as connection:
        doubled = connection.execute(text("SELECT COUNT(*) - COUNT(DISTINCT rule || subject) FROM alertas")).scalar()
    assert doubled == 0
    assert outbox.list_messages(database(workspace), waiting=True) == []
    assert store.verify_chain(database(workspace)).faults == []


def test_killed_in_the_middle_of_a_stage_what_was_begun_ends_and_the_next_cycle_completes(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["alerts"]["back_test"]["miss_cost"] = 36.0
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    words = [sys.executable, "-m", "quiebra.cli", "schedule"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, cwd=workspace, env=environment(), text=True, **pipes)
    wait_for_stage(process, "alerts")
    time.sleep(0.5)
    begun = psutil.Process(process.pid).children(recursive=True)
    process.kill()  # itself alone
    process.wait()
    done = cycle(workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in begun)
    (only,) = list_cycles(database(workspace))
    assert (only["state"], only["steps"]) == ("done", list(CYCLE_STEPS))
    assert read_json(workspace / "data/alerts/back_test.json")["miss_cost"] == 36.0


def test_a_cycle_that_was_killed_last_month_does_not_take_this_months_place(workspace: Path) -> None:
    """Then params go back: files and database are with the former run again."""
    before = read_json(workspace / "data/scores/run.json")["run_id"]
    with database(workspace).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ciclos (cycle_id, state, steps, started_at) VALUES ('c1', 'running', :s, '2026-01-05 06:00:00.000000')"
            ),
            {"s": json.dumps(list(CYCLE_STEPS[:3]))},
        )
    params = (workspace / "params.yaml").read_text()
    content = yaml.safe_load(params)
    content["score"]["reasons"] = 4  # what is scored is new
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    done = cycle(workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    (only,) = list_cycles(database(workspace))
    now = read_json(workspace / "data/scores/run.json")["run_id"]
    assert only["run_id"] == now == store.current_run(database(workspace)) != before
    assert now in (workspace / "reports/build/risk_report.html").read_text()
    (workspace / "params.yaml").write_text(params)
    back = command(workspace, "quiebra", "run")
    assert back.returncode == 0, back.stdout + back.stderr
    assert store.current_run(database(workspace)) == before == read_json(workspace / "data/scores/run.json")["run_id"]


def test_a_new_database_is_filled_by_the_next_run(workspace: Path) -> None:
    for path in (workspace / "data").glob("quiebra.db*"):
        path.unlink()
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert store.current_run(database(workspace)) == read_json(workspace / "data/scores/run.json")["run_id"]
    with database(workspace).connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM alertas")).scalar() > 10


def test_two_cycles_at_once_one_says_so_and_does_nothing(workspace: Path) -> None:
    with hold_lease(database(workspace), "cycle"):
        done = cycle(workspace)
    assert done.returncode == 1
    assert "another cycle is running on this database" in done.stderr
    assert list_cycles(database(workspace)) == []


def test_on_postgresql_too_one_cycle_runs_at_a_time(postgres) -> None:  # type: ignore[no-untyped-def]
    url = postgres("cycles")
    one, other = store.connect(url), store.connect(url)
    store.upgrade_schema(one)
    with (
        hold_lease(one, "cycle"),
        hold_lease(one, "delivery"),
        pytest.raises(StoreError, match="another cycle"),
        hold_lease(other, "cycle", wait=0.1),
    ):
        pass
    with hold_lease(other, "cycle"):
        pass


def test_where_no_cycle_can_begin_the_owner_is_told_all_the_same(workspace: Path) -> None:
    tell_people(workspace)
    path = workspace / "params.yaml"
    path.write_text(path.read_text().replace("watch_from: CCC", "watch_from: XXX"))
    box = Postbox()
    with mail_server(box) as url:
        done = cycle(workspace, QUIEBRA_SMTP_URL=url)
    assert done.returncode == 1
    (told,) = box.to("boss@example.com")
    assert "XXX" in told.get_body(("plain",)).get_content()
    assert lines(done)[0]["state"] == "failed"


def test_stale_data_are_told_to_the_owner_once(workspace: Path) -> None:
    tell_people(workspace, stale_days=400, channels={}, recipients=[])
    box = Postbox()
    with mail_server(box) as url:
        for _ in range(2):
            assert cycle(workspace, QUIEBRA_SMTP_URL=url).returncode == 0
    (told,) = box.to("boss@example.com")  # the simulated data end years ago
    assert re.search(r"The data are [\d,]+ days old", told["Subject"])


def test_a_report_that_cannot_be_made_keeps_no_alert_back_and_its_owner_is_told(workspace: Path, tmp_path: Path) -> None:
    tell_people(workspace)
    not_evaluated(workspace)
    path = workspace / "reports/risk_report.ipynb"
    path.write_text(path.read_text().replace("report.glance()", "report.glanze()"))
    box, receiver = Postbox(), Receiver()
    with mail_server(box) as url, chat(receiver, tmp_path) as env:
        done = cycle(workspace, QUIEBRA_SMTP_URL=url, **env)
    assert done.returncode == 1
    assert {line["step"]: line["state"] for line in lines(done)} == {
        "score": "done",
        "alerts": "done",
        "report": "failed",
        "deliver": "done",
        "cycle": "failed",
    }
    assert sorted(to for to, _ in box.mails) == ["boss@example.com", "desk@example.com"]
    assert "report" in box.to("boss@example.com")[0]["Subject"]
    assert "glanze" in box.to("boss@example.com")[0].get_body(("plain",)).get_content()  # the cause, not where to look for it
    assert len(receiver.posts) == 3
    assert list_cycles(database(workspace))[0]["state"] == "failed"


def test_without_a_server_mails_are_in_the_folder(workspace: Path) -> None:
    tell_people(workspace, channels={})
    done = cycle(workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((workspace / "data/outbox").glob("report-*.eml"))) == 2
    assert lines(done)[-1]["messages"] == {"written": 2}


def test_what_cannot_be_run_at_all_is_told(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["ingest"] |= {"source": "table"}
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    tell_people(workspace)
    box = Postbox()
    with mail_server(box) as url:
        done = cycle(workspace, QUIEBRA_SMTP_URL=url)
    assert done.returncode == 1
    assert [(line["step"], line["state"]) for line in lines(done)] == [
        ("score", "failed"),
        ("deliver", "done"),
        ("cycle", "failed"),
    ]
    (notice,) = box.to("boss@example.com")
    assert "score" in notice["Subject"]


def test_the_clock_runs_a_cycle_at_its_time_and_stops_when_told(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["schedule"]["cron"] = "* * * * *"
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    clock = subprocess.Popen(
        [sys.executable, "-m", "quiebra.cli", "schedule", "--every"],
        cwd=workspace,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: bool(list_cycles(database(workspace))), 100)
        eventually(lambda: list_cycles(database(workspace))[-1]["state"] == "done", 120)
    finally:
        clock.terminate()
        said, _ = clock.communicate(timeout=300)
    assert clock.returncode == 0
    assert "* * * * *" in said


@pytest.mark.parametrize("cron", ["61 * * * *", "0 6 * * mon-x", "a b c d e", "0 6 5 *", "0 6 5 * 1"])
def test_a_time_that_is_none_or_would_surprise_is_refused(cron: str) -> None:
    with pytest.raises(ParamsError, match=r"schedule\.cron"):
        validate_params(default_params(schedule={"cron": cron}))


@pytest.mark.parametrize(
    ("cron", "following"),
    [
        ("0 6 * * 1", "2026-11-30"),
        ("0 6 * * 0", "2026-11-29"),
        ("0 6 * * 7", "2026-11-29"),
        ("0 6 * * 6-7", "2026-11-28"),
        ("0 6 5 * *", "2026-12-05"),
        ("0 6 * * fri", "2026-11-27"),
        ("0 6 */10 * *", "2026-12-01"),
    ],
)
def test_days_of_the_week_are_counted_as_cron_does(cron: str, following: str) -> None:
    thursday = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    assert CronTimes(cron, "UTC").following(thursday).date().isoformat() == following


def test_units_and_crontab_say_when_params_do() -> None:
    cron = yaml.safe_load((ROOT / "params.yaml").read_text())["schedule"]["cron"]
    minute, hour, day, *_ = cron.split()
    timer = (ROOT / "deploy/quiebra-cycle.timer").read_text()
    assert f"OnCalendar=*-*-{int(day):02d} {int(hour):02d}:{int(minute):02d}:00" in timer
    assert cron in " ".join((ROOT / "deploy/crontab").read_text().split())
    assert cron in (ROOT / "deploy/monthly.yml").read_text()
    steps = yaml.safe_load((ROOT / "deploy/monthly.yml").read_text())["jobs"]["cycle"]["steps"]
    assert any("quiebra schedule" in step.get("run", "") for step in steps)
    assert "quiebra schedule" in (ROOT / "deploy/quiebra-cycle.service").read_text()


FULL = "CREATE TRIGGER full_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"


@pytest.mark.parametrize("table", ["ciclos", "bandeja_salida"])
def test_where_database_and_disk_take_no_more_the_owner_is_told_of_a_failed_cycle_all_the_same(
    workspace: Path, table: str
) -> None:
    """The log is on a full device; the database refuses cycles or messages as a full one does."""
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["ingest"] |= {"source": "table"}  # a step that fails
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    tell_people(workspace)
    (workspace / "data/logs").mkdir(exist_ok=True)
    (workspace / "data/logs/schedule.jsonl").symlink_to("/dev/full")
    with database(workspace).begin() as connection:
        connection.execute(text(FULL.format(table=table)))
    box = Postbox()
    with mail_server(box) as url:
        done = cycle(workspace, QUIEBRA_SMTP_URL=url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (told,) = box.to("boss@example.com")
    assert told["Subject"] == "Quiebra: a cycle failed"
    said = told.get_body(("plain",)).get_content()
    assert "database or disk is full" in said if table == "ciclos" else "score: " in said
    assert lines(done)[-1]["state"] == "failed"


def test_a_line_of_the_log_that_was_cut_short_spoils_no_other(workspace: Path) -> None:
    (workspace / "data/logs").mkdir(exist_ok=True)
    log = workspace / "data/logs/schedule.jsonl"
    log.write_text('{"at": "2026-')
    (workspace / "params.yaml").write_text("broken: [")
    assert cycle(workspace).returncode == 1
    cut, line = log.read_text().splitlines()
    assert cut == '{"at": "2026-'
    assert json.loads(line)["state"] == "failed"
