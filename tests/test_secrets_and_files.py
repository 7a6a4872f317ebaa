"""What must stay private: passwords in no message, files for this user alone, and the database inside the workspace."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT, command, environment
from servers import raw_server, talk

from quiebra import store
from quiebra.cli.app import app
from quiebra.delivery import smtp
from quiebra.environment import current_person, database_url, redact_secrets, redis_url
from quiebra.errors import DeliveryError, InvalidNameError, StoreError
from quiebra.io.files import write_text
from quiebra.store.studies import study_storage
from quiebra.terminal import run_cli
from quiebra.text.person_input import clean_person_name, escape_invisible, is_same_person
from quiebra.workspace import Workspace

ODD = [
    "p@sswort",
    "pa/sswort",
    "pa#sswort",
    "pa?sswort",
    "pa%sswort",
    "pa:sswort",
    "pässwort€",
    "p@ss/w#rt?x",
    "1234/p@sswort",
    "sss@@@swort",
    "pa sswort",
    "pa\\sswort",
    "[sswort]",
    "%zzsswort",
]
ADDRESSES = [
    "postgresql://us:{}@127.0.0.1:1/db",
    "postgresql://{}@127.0.0.1:1/db",
    "postgresql://us:{}@/db?host=127.0.0.1&port=1",
    "mysql://us:{}@127.0.0.1/db",
    "postgresql://us:x@127.0.0.1:1/db?password={}",
]


def leaks(password: str, text: str) -> list[str]:
    """Return the parts of a password that a text shows."""
    return [part for part in re.split(r"[@/#?%: \[\]\\]", password) if len(part) > 2 and part in text]


@pytest.mark.parametrize("password", ODD)
def test_no_password_is_shown_whatever_signs_it_has(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ADDRESSES:
        monkeypatch.setenv("QUIEBRA_DATABASE_URL", address.format(password))
        with pytest.raises(StoreError) as refused:
            store.connect(address.format(password))
        assert not leaks(password, str(refused.value)), address
        assert refused.value.__cause__ is None  # nor in a trace
    for address in ("smtp://us:{}@127.0.0.1:1", "smtps://us:{}@127.0.0.1:1"):
        try:
            to = smtp.parse_mail_server(address.format(password))
        except DeliveryError as error:
            said = str(error)
        else:
            said = str(smtp.send_message(to, "a@example.com", "b@example.com", b"x", lambda: None, timeout=2))
            assert not leaks(password, repr(to))
        assert not leaks(password, said), address


def test_a_password_in_percent_code_is_the_password(postgres, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    url = postgres("odd").replace("quiebra@", "quiebra:p%40ss%2Fw%23rd%3F%25@")
    assert store.connect(url).url.password == "p@ss/w#rd?%"  # noqa: S105  a made-up one
    assert smtp.parse_mail_server("smtp://us:p%40ss%2Fw%23rd@127.0.0.1").password == "p@ss/w#rd"  # noqa: S105  a made-up one


@pytest.mark.parametrize("words", [("doctor",), ("audit", "list"), ("publish",), ("schedule",)])
def test_no_command_shows_a_password(words: tuple[str, ...], workspace: Path) -> None:
    env = {
        "QUIEBRA_DATABASE_URL": "postgresql://us:p@ss/wort#1@127.0.0.1:1/x",
        "QUIEBRA_SMTP_URL": "smtp://us:m@il/wort#2@127.0.0.1:1",
    }
    done = command(workspace, "quiebra", *words, **env)
    assert done.returncode == 1
    log = workspace / "data/logs/schedule.jsonl"
    everything = done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    assert "percent code" in everything
    assert not leaks("p@ss/wort#1", everything) and not leaks("m@il/wort#2", everything)


@pytest.mark.parametrize(
    "after", ["s3cret@host:6379/0", "s3/cret@host:6379/0", "s3cret@host:port", "s3cret@host/zz", "s3cret@host/0?typo=1"]
)
def test_an_address_of_redis_that_would_be_misread_is_refused_and_not_shown(after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIEBRA_REDIS_URL", "redis://:pa@" + after)
    with pytest.raises(StoreError) as refused:
        redis_url()
    assert "QUIEBRA_REDIS_URL" in str(refused.value) and "cret" not in str(refused.value) and "pa@" not in str(refused.value)


@pytest.mark.parametrize("address", ["redis://h", "rediss://u:p%40@h:6380/1", "unix:///run/redis.sock", "redis://[::1]:1/2?db=3"])
def test_an_address_of_redis_is_taken_as_it_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIEBRA_REDIS_URL", f" {address} ")
    assert redis_url() == address


def test_a_server_that_repeats_the_password_does_not_get_it_into_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeat(link: object) -> None:
        for line in talk(link, b"MAIL"):  # type: ignore[arg-type]
            assert line
        link.sendall(b"550 no mail with secret-word-9 or c2VjcmV0\r\n")  # type: ignore[attr-defined]

    with raw_server(repeat) as port:
        url = f"smtp://us:secret-word-9@127.0.0.1:{port}"
        monkeypatch.setenv("QUIEBRA_SMTP_URL", url)
        to = smtp.MailServer("127.0.0.1", port, "none")
        outcome = smtp.send_message(to, "a@example.com", "b@example.com", b"x", lambda: None, timeout=5)
    assert "answered 550 no mail with …" in outcome.error
    assert "secret-word-9" not in outcome.error


def test_secrets_of_channels_and_encoded_ones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "QUIEBRA_CHANNEL_TEAM", "https://hooks.slack.com/services/T0000000000A/B1111111111B/abcdefghijklmnopqrstuvwx"
    )
    monkeypatch.setenv(
        "QUIEBRA_DATABASE_URL", "postgresql://quiebra:quiebra@db/quiebra"
    )  # a password that is the name hides nothing
    monkeypatch.setenv("QUIEBRA_SMTP_URL", "smtp://us:gr%C3%BCn%40tag@mail.example.com")
    said = redact_secrets(
        "run `quiebra run`: POST /services/T0000000000A/B1111111111B/abcdefghijklmnopqrstuvwx to hooks.slack.com, grün@tag gr%C3%BCn%40tag"
    )
    assert said == "run `quiebra run`: POST /services/…/…/… to hooks.slack.com, … …"


@pytest.mark.parametrize("name", ["50% off", "a?b", "a#b", "a b", "ñandú", "a%20b", "a;b", "a'b", "a&mode=memory", "a@b:c"])
def test_the_database_stays_inside_the_workspace_whatever_its_path(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    (root / "data").mkdir(parents=True)
    engine = store.connect(database_url(root))
    store.upgrade_schema(engine)
    engine.dispose()
    assert (root / "data/quiebra.db").stat().st_size > 0
    with sqlite3.connect(study_storage(database_url(root)).removeprefix("sqlite:///"), uri=True) as link:
        link.execute("CREATE TABLE x (y)")
    assert {path.name for path in (root / "data").iterdir()} >= {"quiebra.db", "search.db"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_checkout_in_a_folder_with_odd_signs_finds_its_migrations(tmp_path: Path) -> None:
    home = tmp_path / "50% a?b#c"
    shutil.copytree(ROOT / "src", home / "src", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "from pathlib import Path; from quiebra import store; from quiebra.environment import database_url\n"
        "e = store.connect(database_url(Path.cwd())); store.upgrade_schema(e); print(store.__file__, store.chain_head(e)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment(PYTHONPATH=str(home / "src")), capture_output=True, text=True
    )
    assert "50% a?b#c" in done.stdout, done.stderr
    assert (home / "data/quiebra.db").exists()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_database_and_messages_are_this_users_alone_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    code = (
        "import os, sys; os.umask(int(sys.argv[1]))\n"
        "from pathlib import Path; from quiebra import store; from quiebra.delivery.channels import _written\n"
        "from quiebra.environment import database_url; from quiebra.store.audit import AuditRecord, record_action\n"
        "root = Path(sys.argv[2]); e = store.connect(database_url(root)); store.upgrade_schema(e)\n"
        "record_action(e, [AuditRecord('ana', 'a', 's', 1, 2, 'because')])\n"
        "link = e.connect(); link.exec_driver_sql('SELECT 1')\n"
        "_written(root / 'data' / 'outbox' / 'x.eml', b'secret')\n"
        "import time; print('ready', flush=True); input()"
    )
    (tmp_path / "data").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(umask), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(QUIEBRA_AUDIT_HEADS=""),
    )
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        found = {path.name: mode(path) for path in (tmp_path / "data").rglob("*") if path.is_file()}
        assert {"quiebra.db", "quiebra.db-wal", "quiebra.db-shm", "quiebra.db.heads", "x.eml"} <= found.keys()
        assert set(found.values()) == {0o600}, {name: oct(bits) for name, bits in found.items()}
        assert mode(tmp_path / "data/outbox") == 0o700
    finally:
        process.communicate("\n", timeout=20)


def test_a_database_and_an_outbox_that_others_could_read_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "data" / "quiebra.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as link:
        link.execute("CREATE TABLE x (y)")
    path.chmod(0o644)
    store.connect(database_url(tmp_path))
    assert mode(path) == 0o600


def test_a_file_that_is_replaced_keeps_its_rights_and_none_is_readable_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: 1")
    path.chmod(0o600)
    write_text(path, "a: 2")
    assert mode(path) == 0o600
    path.chmod(0o664)
    write_text(path, "a: 3")
    assert mode(path) == 0o664


# names


@pytest.mark.parametrize(
    "name", ["", "ana\nluis", "ana\x1b[2J", "\u202eana", "a\u200bna", "\u3164", "a\ufe0fna", "ana\u2028x", "x" * 61]
)
def test_names_that_hide_something_are_refused_where_they_are_given(
    name: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidNameError):
        clean_person_name(name, "--who")
    if name:
        monkeypatch.setenv("QUIEBRA_USER", name)
        with pytest.raises(InvalidNameError, match="QUIEBRA_USER"):
            current_person()


def test_who_approves_is_another_person_however_the_name_is_written() -> None:
    for other in ("ANA", " ana ", "a\u200bna", "ａｎａ", "ana\u00a0"):
        assert is_same_person("ana", other)
    assert is_same_person("José", "Jose\u0301")
    assert is_same_person("\u01f0\u0323", "J\u0323\u030c"), "one letter in small and in capital form"
    assert not is_same_person("ana", "luis")


@pytest.mark.parametrize(
    "words",
    [
        ("watch", "add", "{company}", "--reason", "because\x1b[2J of it"),
        ("watch", "add", "{company}", "--reason", "because\nof it"),
        ("watch", "add", "{company}\u202e", "--reason", "because of it"),
        ("watch", "add", "{company}", "--reason", "because", "--who", "an\u200ba"),
        ("override", "propose", "{company}", "C", "--reason", "because\u2028of it"),
        ("alerts", "close", "{alert}", "--reason", "because\u202eof"),
        ("alerts", "ack", "{alert}", "--owner", "a\x1bb"),
        ("alerts", "ack", "{alert}", "--note", "a\nb"),
        ("audit", "prune", "--who", "ana\rx"),
        ("promote", "x", "--who", "ana\x7f"),
        ("outbox", "drop", "x", "--reason", "be\u2066cause"),
    ],
)
def test_no_decision_is_kept_under_a_name_or_reason_that_hides_something(
    words: tuple[str, ...], workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from quiebra.alerts.lifecycle import list_alerts
    from quiebra.services.finished_run import FinishedRunView

    engine = store.connect(database_url(workspace))
    company, alert = FinishedRunView(Workspace(workspace)).scores["company_id"][0], list_alerts(engine)["alert_id"][0]
    before = store.chain_head(engine)
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(sys, "argv", ["quiebra", *(word.format(company=company, alert=alert) for word in words)])
    with pytest.raises(SystemExit) as ended:
        run_cli(app)
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "cannot be seen" in said or "no message has an id starting" in said
    assert store.chain_head(engine) == before


def test_names_from_files_are_printed_with_what_cannot_be_seen_spelt_out(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:

    with sqlite3.connect(workspace / "data/quiebra.db") as link:
        link.execute(
            "UPDATE alertas SET subject = 'Acme' || char(27) || '[2J' || char(10) || 'x' || char(8238), state = 'open', source = "
            "(SELECT source FROM ejecuciones WHERE is_current)"
        )
        link.execute(
            "INSERT INTO vigilancia SELECT source, 'A' || char(27) || ']0;x' || char(7), 1, 'why' || char(155), 'ana', '2026-01-01', "
            "'2026-02-01', '2026-01-01 00:00:00' FROM ejecuciones WHERE is_current"
        )
    monkeypatch.chdir(workspace)
    for words in (["alerts", "list"], ["watch", "list"]):
        monkeypatch.setattr(sys, "argv", ["quiebra", *words])
        with pytest.raises(SystemExit):
            run_cli(app)
        out = capsys.readouterr().out
        assert "\\u001b" in out
        assert not any(sign in out for sign in "\x1b\x07\x9b\u202e")
    assert escape_invisible("a\x1b[2Jb\u202ec\U000e0100") == "a\\u001b[2Jb\\u202ec\\udb40\\udd00"


def test_many_at_once_write_whole_lines(tmp_path: Path) -> None:
    from quiebra.io.files import append_line

    threads = [
        threading.Thread(target=lambda n=n: [append_line(tmp_path / "log", str(n) * 50) for _ in range(20)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set((tmp_path / "log").read_text().split())) == [str(n) * 50 for n in range(4)]
    assert os.stat(tmp_path / "log").st_mode & 0o777 == 0o600
