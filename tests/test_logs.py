"""Logs: lines of JSON from commands, the API and the dashboards, joined by one id, and no secret in any."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from api_server import api_server, company
from browser import serving
from conftest import command, copy_workspace, default_params, environment
from http_browser import Browser
from hypothesis import given
from hypothesis import strategies as st
from servers import eventually
from typer.core import TyperGroup
from typer.main import get_command

from quiebra import logs, store
from quiebra.cli.app import READ_ONLY_COMMANDS, app, command_name
from quiebra.dashboards.pages.base import log_failure
from quiebra.dashboards.pages.visitor import VISITOR_FOLDER
from quiebra.identity import add_user, create_key
from quiebra.logs import JsonFormatter, is_correlation_id, set_log_fields
from quiebra.workspace import Workspace

GOOD = "correct horse battery"
SECRETS = {
    "QUIEBRA_DATABASE_URL": "postgresql://us:p@ss/wort#1@127.0.0.1:1/x",
    "QUIEBRA_TOKEN_KEYS": f"first:{'signing' * 6}",
    "QUIEBRA_DASHBOARD_TOKEN": "reader-token-0123456789",
    "QUIEBRA_CHANNEL_TEAM": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
}
PARTS = ("p@ss", "p%40ss", "signing", "reader-token", "TIiajkd")


@pytest.fixture
def workspace(workspace: Path) -> Path:
    """Without the log of the run that it came from."""
    shutil.rmtree(workspace / "data" / "logs", ignore_errors=True)
    return workspace


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the lines of a log, each of which must be JSON; what a server announces on the same stream is left out."""
    return [
        json.loads(line)
        for line in text.splitlines()
        if line.startswith("{") or not line.startswith(("http", "it answers", "users", "key ", "job "))
    ]


def written(act: Callable[[logging.Logger], object]) -> list[dict[str, Any]]:
    """Return the lines that a logger with our form writes."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("quiebra.test")
    logger.addHandler(handler)
    act(logger)
    return parsed(out.getvalue())


# the form


@given(st.text(), st.text())
def test_any_text_is_one_line_that_can_be_read(event: str, value: str) -> None:
    (line,) = written(lambda logger: logger.info("%s", event, extra={"value": value, "nested": {"a": [1, None, value]}}))
    assert (line["event"], line["level"], line["logger"]) == (event, "info", "quiebra.test")
    assert line["value"] == value and line["nested"] == {"a": [1, None, value]}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert is_correlation_id(line["correlation_id"])


def test_no_secret_of_the_environment_gets_into_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    said = " ".join([*SECRETS.values(), quote("p@ss/wort#1", safe="")])

    def act(logger: logging.Logger) -> None:
        logger.warning("refused: %s", said, extra={"reason": said, "more": {said: [said]}, "path": Path(said)})
        try:
            raise RuntimeError(said)
        except RuntimeError:
            logger.exception("failed")

    plain, trace = written(act)
    assert "RuntimeError" in trace["exception"] and "Traceback" in trace["exception"]
    assert not [part for part in PARTS if part in json.dumps([plain, trace])]


@given(st.text(max_size=80))
def test_what_is_kept_as_an_id_can_do_no_harm(text: str) -> None:
    assert is_correlation_id(text) == (8 <= len(text) <= 64 and text.isascii() and not re.search(r"[^\w-]", text))


def test_fields_of_a_request_are_those_of_its_threads_and_of_no_other() -> None:
    def act(logger: logging.Logger) -> None:
        import contextvars

        def request(id_: str) -> None:
            set_log_fields(correlation_id=id_)
            inner = contextvars.copy_context()
            logs.add_log_fields(user=f"user of {id_}")
            thread = threading.Thread(target=inner.run, args=(logger.info, "in a thread"))
            thread.start()
            thread.join()

        for id_ in ("request-1", "request-2"):
            contextvars.copy_context().run(request, id_)
        logger.info("outside")

    one, two, outside = written(act)
    assert [(line["correlation_id"], line["user"]) for line in (one, two)] == [
        ("request-1", "user of request-1"),
        ("request-2", "user of request-2"),
    ]
    assert outside["correlation_id"] not in ("request-1", "request-2") and "user" not in outside


WRITER = """
import sys
from pathlib import Path
from quiebra import logs
logs.LARGEST_LOG, logs.KEPT_LOGS = 20_000, 8
for n in range(200):
    logs.file_logger(Path(sys.argv[1]), "quiebra").info("line", extra={"writer": sys.argv[2], "n": n, "pad": "x" * 100})
"""


def test_several_processes_write_one_log_and_a_full_one_is_put_aside(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(n)], env=environment()) for n in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    files = sorted((tmp_path / "data" / "logs").glob("quiebra.log*"))
    assert 4 <= len(files) <= 9 and all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    found = [(line["writer"], line["n"]) for path in files for line in parsed(path.read_text())]
    assert sorted(found) == sorted((str(writer), n) for writer in range(3) for n in range(200))


# commands


def commands(group: TyperGroup, before: str = "") -> set[str]:
    found = set()
    for name, each in group.commands.items():
        found |= commands(each, f"{before}{name} ") if isinstance(each, TyperGroup) else {f"{before}{name}"}
    return found


def test_commands_that_only_read_are_commands() -> None:
    every = commands(get_command(app))  # type: ignore[arg-type]
    assert every >= READ_ONLY_COMMANDS
    assert all(command_name([*name.split(), "--who", "x"]) == name for name in every)
    assert command_name(["--version"]) == command_name(["alerts"]) == command_name(["nonsense", "run"]) == ""


def test_commands_that_change_something_or_fail_are_logged_and_the_terminal_is_as_ever(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params(), sort_keys=False))
    log = tmp_path / "data" / "logs" / "quiebra.log"
    shown = command(tmp_path, "quiebra", "dictionary")
    assert shown.returncode == 0 and command(tmp_path, "quiebra", "promote", "--help").returncode == 0
    assert not log.exists()
    env = {**SECRETS, "QUIEBRA_USER": "ana", "QUIEBRA_CORRELATION_ID": "nightly-000017"}
    added = command(tmp_path, "quiebra", "users", "add", "eva", "--role", "reader", QUIEBRA_NEW_PASSWORD=GOOD, **env)
    failed = command(tmp_path, "quiebra", "alerts", "list", **SECRETS)
    assert added.returncode == failed.returncode == 1
    for done in (added, failed):
        assert done.stdout == "" and done.stderr.startswith("error: ") and "correlation" not in done.stderr
    of_add, of_list = parsed(log.read_text())
    assert (of_add["event"], of_add["command"], of_add["level"], of_add["user"]) == ("command", "users add", "error", "ana")
    assert of_add["correlation_id"] == "nightly-000017" and of_add["exit_code"] == 1 and of_add["ms"] >= 0
    assert of_list["command"] == "alerts list" and of_list["error"] and of_list["correlation_id"] != "nightly-000017"
    everything = log.read_text()
    assert not [part for part in (*PARTS, GOOD) if part in everything]


def test_a_log_that_cannot_be_written_is_no_reason_to_fail(workspace: Path) -> None:
    (workspace / "data" / "logs").mkdir(exist_ok=True)
    (workspace / "data" / "logs" / "quiebra.log").symlink_to("/dev/full")
    company_id = command(workspace, "quiebra", "alerts", "list")
    done = command(workspace, "quiebra", "watch", "add", _company(workspace), "--reason", "to be looked at")
    assert company_id.returncode == done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and done.stderr == ""


def _company(workspace: Path) -> str:
    with sqlite3.connect(workspace / "data" / "quiebra.db") as connection:
        return str(connection.execute("SELECT company_id FROM empresas LIMIT 1").fetchone()[0])


def test_what_a_command_starts_has_its_id(workspace: Path) -> None:
    done = command(workspace, "quiebra", "report", "--lang", "es", QUIEBRA_CORRELATION_ID="report-000001")
    assert done.returncode == 0, done.stderr
    assert {line["correlation_id"] for line in parsed((workspace / "data/logs/quiebra.log").read_text())} == {"report-000001"}


# servers


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(finished, tmp_path_factory.mktemp("logs") / "workspace")


@pytest.fixture(scope="module")
def key(place: Path) -> str:
    engine = store.open_database(Workspace(place))
    ana = add_user(engine, "ana", "admin", GOOD, None)
    add_user(engine, "luis", "analyst", GOOD, ana)
    made = create_key(engine, "treasury", ["read", "predict"], 30, "ana")
    engine.dispose()
    return made


def test_each_request_of_the_api_is_a_line_without_secrets(place: Path, key: str) -> None:
    with api_server(place, QUIEBRA_TOKEN_KEYS=SECRETS["QUIEBRA_TOKEN_KEYS"]) as server, server.client(key) as client:
        asked = {
            "found": client.get(f"/v1/companies/{_company(place)}?lang=SECRETQUERY", headers={"Cookie": "a=SECRETCOOKIE"}),
            "scored": client.post("/v1/predict/single", json=company("logged")),
            "refused": client.post("/v1/alerts/x/ack", json={}),
            "unknown": client.get('/v1/"},{"x":"\r\n'.replace("\r\n", "%0a")),
            "signed in": client.post("/v1/token", json={"name": "luis", "password": GOOD}),
            "wrong": client.post("/v1/token", json={"name": "SECRETNAME typed into the wrong field", "password": "x" * 12}),
            "stranger": client.get("/v1/model", headers={"Authorization": "Bearer SECRETBEARER"}),
        }
        sent = {"Content-Type": "application/x-ndjson"}
        asked["job"] = client.post("/v1/jobs", content=json.dumps(company("in a file")), headers=sent)
        job = f"/v1/jobs/{asked['job'].json()['job_id']}"
        eventually(lambda: client.get(job).json()["state"] == "done", 120)
        with sqlite3.connect(place / "data" / "quiebra.db") as connection:
            connection.execute("ALTER TABLE alertas RENAME TO lost")
        asked["away"] = client.get("/v1/alerts")
        with sqlite3.connect(place / "data" / "quiebra.db") as connection:
            connection.execute("ALTER TABLE lost RENAME TO alertas")
        eventually(lambda: asked["away"].headers["x-request-id"] in server.log.read_text())
    text = server.log.read_text()
    lines = parsed(text)
    requests = {line["correlation_id"]: line for line in lines if line["event"] == "request"}
    by_name = {name: requests[answer.headers["x-request-id"]] for name, answer in asked.items()}
    assert {name: line["status"] for name, line in by_name.items()} == {
        name: answer.status_code for name, answer in asked.items()
    }
    assert by_name["found"]["route"] == "/v1/companies/{company_id}" and by_name["found"]["method"] == "GET"
    assert by_name["scored"]["companies"] == 1 and by_name["scored"]["run_id"] and by_name["scored"]["ms"] > 0
    assert {name for name, line in by_name.items() if line.get("user") == "key treasury"} == {
        "found",
        "scored",
        "refused",
        "job",
        "away",
    }
    assert by_name["away"]["status"] == 503 and by_name["away"]["level"] == "error" and by_name["found"]["level"] == "info"
    (why,) = [line for line in lines if line["event"] == "database"]
    assert why["correlation_id"] == by_name["away"]["correlation_id"] and "alertas" in why["reason"]
    (done,) = [line for line in lines if line["event"] == "job done"]
    assert done["correlation_id"] == by_name["job"]["correlation_id"] and done["user"] == "key treasury"
    assert [line for line in lines if line["logger"].startswith("uvicorn")], "what the server itself says is a line too"
    assert not [line for line in lines if line.get("route") in ("/health/live", "/health/ready")]
    token = asked["signed in"].json()["access_token"]
    assert not re.findall("SECRET[A-Z]+", text) and not [part for part in (key, token, GOOD, *PARTS) if part in text]


def test_the_dashboards_log_lines_and_a_failed_page_has_the_id_of_the_request_that_opened_it(
    place: Path, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "server.log"
    with serving(place, environment(), "--pool", "0", log=log) as server:
        luis = Browser(server)
        luis.sign_in("luis", GOOD)
        opened = luis.ask("GET", "/executive?company=SECRETQUERY", **{"X-Request-ID": "opened-by-luis-1"})
        assert opened.status == 200
        Browser(server).sign_in("luis", "SECRETPASSWORD of luis")
        assert Browser(server).ask("GET", "/state/x?token=SECRETTOKEN").status == 403
        eventually(lambda: "opened-by-luis-1" in log.read_text() and "/state/x" in log.read_text())
        kernel = re.search(r'"kernelId":\s*"([\w-]+)"', opened.text)[1]  # type: ignore[attr-defined, index]
        (record,) = Path(tempfile.gettempdir()).glob(f"quiebra-visitors-*/{kernel}.json")
        monkeypatch.setenv(VISITOR_FOLDER, str(record.parent))
        monkeypatch.setenv("VOILA_KERNEL_ID", kernel)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            log_id = log_failure(Workspace(place), "executive")  # as this page's process does
    lines = parsed(log.read_text())
    (page,) = [line for line in lines if line["correlation_id"] == "opened-by-luis-1" and line["event"] == "request"]
    assert (page["user"], page["route"], page["status"], page["level"]) == ("luis", "/executive", 200, "info")
    assert {line["status"] for line in lines if line.get("route") == "/login" and line["method"] == "POST"} == {302, 401}
    assert len({line["correlation_id"] for line in lines if line["event"] == "request"}) > 4
    assert not re.findall("SECRET[A-Z]+", log.read_text()) and GOOD not in log.read_text()
    (failure,) = parsed((place / "data/logs/dashboards.log").read_text())
    assert (failure["correlation_id"], failure["user"], failure["log_id"]) == ("opened-by-luis-1", "luis", log_id)
    assert failure["page"] == "executive" and "ZeroDivisionError" in failure["exception"]
