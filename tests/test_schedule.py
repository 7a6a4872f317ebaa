"""Whole cycles against real servers: everything once, whatever is killed or fails on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, environment
from filelock import FileLock
from servers import Postbox, Receiver, chat, eventually, mail_server
from sqlalchemy import text
from test_delivery import DELIVERY

from quiebra import store
from quiebra.delivery import outbox
from quiebra.errors import ParamsError
from quiebra.schedule.clock import trigger
from quiebra.schedule.cycle import STEPS, cycles


def tell_people(workspace: Path, **more: object) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["delivery"] |= {**DELIVERY, "channels": {"team": DELIVERY["channels"]["team"], "desk": DELIVERY["channels"]["desk"]}, **more}
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
    box, receiver = Postbox(), Receiver()
    with mail_server(box) as url, chat(receiver, tmp_path) as env:
        done = cycle(workspace, QUIEBRA_SMTP_URL=url, **env)
        assert done.returncode == 0, done.stderr
        first = len(box.mails), len(receiver.posts)
        again = cycle(workspace, QUIEBRA_SMTP_URL=url, **env)
        assert again.returncode == 0, again.stderr
    assert [(line["step"], line["state"]) for line in lines(done)] == [*((step, "done") for step in STEPS), ("cycle", "done")]
    assert sorted(to for to, _ in box.mails) == ["ana@example.com", "bob@example.com", "desk@example.com"]
    assert len(receiver.posts) == 1
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
    assert lines(done)[-1]["messages"] == {"sent": 4}
    recorded = cycles(database(workspace))
    assert [(c["state"], c["steps"]) for c in recorded] == [("done", list(STEPS))] * 2
    assert store.verify(database(workspace), _noted(lines(done)[-1]["audit"])).faults == []
    assert len((workspace / "data/logs/schedule.jsonl").read_text().splitlines()) == 10


def _noted(text_: str) -> tuple[int, str]:
    number, _, hash_ = text_.partition(":")
    return int(number), hash_


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_a_step_and_run_again_everything_happens_once(workspace: Path, tmp_path: Path, step: str) -> None:
    tell_people(workspace)
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
        killed = subprocess.run([sys.executable, "-c", killing], cwd=workspace, env=environment(**extra), capture_output=True, timeout=1500)
        assert killed.returncode == -signal.SIGKILL
        assert cycles(database(workspace))[0]["state"] == "running"
        done = cycle(workspace, **extra)
        assert done.returncode == 0, done.stderr
    assert sorted(to for to, _ in box.mails) == ["ana@example.com", "bob@example.com", "desk@example.com"]
    assert len(receiver.posts) == 1
    (only,) = cycles(database(workspace))  # the killed one was completed
    assert (only["state"], only["steps"]) == ("done", list(STEPS))
    with database(workspace).connect() as connection:
        doubled = connection.execute(text("SELECT COUNT(*) - COUNT(DISTINCT rule || subject) FROM alertas")).scalar()
    assert doubled == 0
    assert outbox.messages(database(workspace), waiting=True) == []
    assert store.verify(database(workspace)).faults == []


def test_two_cycles_at_once_one_says_so_and_does_nothing(workspace: Path) -> None:
    with FileLock(workspace / "data" / ".cycle.lock"):
        done = cycle(workspace)
    assert done.returncode == 1
    assert "another cycle is running" in done.stderr
    assert cycles(database(workspace)) == []


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
        "score": "done", "alerts": "done", "report": "failed", "deliver": "done", "cycle": "failed"
    }  # fmt: skip
    assert sorted(to for to, _ in box.mails) == ["boss@example.com", "desk@example.com"]
    assert "report" in box.to("boss@example.com")[0]["Subject"]
    assert len(receiver.posts) == 1
    assert cycles(database(workspace))[0]["state"] == "failed"


def test_without_a_server_mails_are_in_the_folder(workspace: Path) -> None:
    tell_people(workspace, channels={})
    done = cycle(workspace)
    assert done.returncode == 0, done.stderr
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
    assert [(line["step"], line["state"]) for line in lines(done)] == [("score", "failed"), ("deliver", "done"), ("cycle", "failed")]
    (notice,) = box.to("boss@example.com")
    assert "score" in notice["Subject"]


def test_the_clock_runs_a_cycle_at_its_time_and_stops_when_told(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["schedule"] = {"cron": "* * * * *"}
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    clock = subprocess.Popen([sys.executable, "-m", "quiebra.cli", "schedule", "--every"], cwd=workspace, env=environment(),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        eventually(lambda: bool(cycles(database(workspace))), 100)
        eventually(lambda: cycles(database(workspace))[-1]["state"] == "done", 120)
    finally:
        clock.terminate()
        said, _ = clock.communicate(timeout=300)
    assert clock.returncode == 0
    assert "* * * * *" in said


@pytest.mark.parametrize("cron", ["61 * * * *", "0 6 5 * mon-x", "a b c d e"])
def test_a_time_that_is_none_is_refused(cron: str) -> None:
    with pytest.raises(ParamsError, match=r"schedule\.cron"):
        trigger(cron, "UTC")


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
