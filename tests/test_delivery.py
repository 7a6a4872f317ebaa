"""Messages: each is sent at most once and none is lost, whatever the mail server or the channel does; what they look like."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import polars as pl
import pytest
import trustme
from conftest import default_params, environment
from hypothesis import given
from hypothesis import strategies as st
from servers import Postbox, Receiver, chat, eventually, free_port, mail_server, raw_server, talk
from sqlalchemy import Engine, text

from quiebra import store
from quiebra.alerts import lifecycle as states
from quiebra.delivery import channels, outbox, smtp
from quiebra.delivery import message_texts as letters
from quiebra.delivery.channels import channel_senders, ready_channels
from quiebra.delivery.mail_html import inline_styles, mail_message
from quiebra.delivery.outbox import Notification
from quiebra.errors import DeliveryError, ParamsError
from quiebra.io.files import read_json, write_json
from quiebra.params import Params, validate_params
from quiebra.params.operations import Channel
from quiebra.services import decisions
from quiebra.workspace import Workspace

DELIVERY = {
    "owner": "boss@example.com",
    "dashboards": "https://risk.example.com/",
    "recipients": [{"address": "ana@example.com", "lang": "es"}, {"address": "bob@example.com"}],
    "channels": {
        "team": {"kind": "slack", "severity": "high", "lang": "es"},
        "office": {"kind": "teams"},
        "hook": {"kind": "webhook", "digest_above": 1000},
        "desk": {"kind": "mail", "severity": "high", "recipients": ["desk@example.com"]},
    },
}


@pytest.fixture
def told(finished: Path) -> Params:
    """The finished workspace's params with people to tell."""
    from quiebra.params import read_params

    content = read_params(finished / "params.yaml")
    return validate_params({**content, "delivery": {**content["delivery"], **DELIVERY}})


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = store.connect(f"sqlite:///{tmp_path / 'test.db'}")
    store.upgrade_schema(engine)
    return engine


def mail(to: str = "ana@example.com", about: str = "report 1", body: str = "<p>Hello</p>") -> Notification:
    return mail_message(
        channel="report",
        recipient=to,
        about=about,
        sender="risk@example.com",
        subject="Riesgo: año 2026",
        html=body,
        text="Hello\n.\nend",
        lang="es",
    )


def sent_by(box: smtp.MailServer, timeout: float = 5) -> Callable[[str], outbox.SendFunction]:
    return lambda channel: (
        lambda row, doubtful: smtp.send_message(box, "risk@example.com", row.recipient, row.body, doubtful, timeout)
    )


def state(engine: Engine) -> dict[str, str]:
    return {row["recipient"]: row["state"] for row in outbox.list_messages(engine)}


def at_once(engine: Engine) -> None:
    """Let what waits for its next try be due."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE bandeja_salida SET not_before = '2020-01-01 00:00:00.000000'"))


# The mail server and its moods


def test_a_mail_is_sent_once_however_often_it_is_queued_and_sent(engine: Engine) -> None:
    box = Postbox()
    with mail_server(box) as url:
        for _ in range(3):
            outbox.queue_messages(engine, [mail()])
            outbox.send_due(engine, sent_by(smtp.parse_mail_server(url)), 3)
    assert len(box.mails) == 1
    assert state(engine) == {"ana@example.com": "sent"}
    (taken,) = box.to("ana@example.com")
    assert taken["Subject"] == "Riesgo: año 2026"
    assert taken.get_body(("plain",)).get_content().replace("\r\n", "\n") == "Hello\n.\nend\n"  # a lone dot ends no mail


def test_while_the_server_is_down_mail_waits_and_goes_when_it_is_up(engine: Engine) -> None:
    port = free_port()
    down = smtp.parse_mail_server(f"smtp://127.0.0.1:{port}")
    outbox.queue_messages(engine, [mail()])
    ((_, outcome),) = outbox.send_due(engine, sent_by(down), 5)
    assert (outcome.state, outcome.retry) == ("queued", True)
    assert "127.0.0.1" in outbox.list_messages(engine)[0]["error"]
    assert outbox.send_due(engine, sent_by(down), 5) == []  # not before its time
    at_once(engine)
    box = Postbox()
    with mail_server(box, port):
        outbox.send_due(engine, sent_by(down), 5)
    assert (state(engine), len(box.mails)) == ({"ana@example.com": "sent"}, 1)


def test_waits_grow_and_end(engine: Engine) -> None:
    nowhere = smtp.parse_mail_server(f"smtp://127.0.0.1:{free_port()}")
    outbox.queue_messages(engine, [mail()])
    waits = []
    for _ in range(4):
        at_once(engine)
        outbox.send_due(engine, sent_by(nowhere), 4)
        row = outbox.list_messages(engine)[0]
        waits.append((row["not_before"] - row["changed_at"]).total_seconds())
    assert waits[:3] == pytest.approx([60, 120, 240], abs=2)
    assert outbox.list_messages(engine)[0]["state"] == "failed"
    assert outbox.send_due(engine, sent_by(nowhere), 4) == []


def test_one_refused_recipient_keeps_no_other_from_their_mail(engine: Engine) -> None:
    box = Postbox(refused={"eva@example.com": "550 no such user", "luis@example.com": "451 later"})
    outbox.queue_messages(
        engine, [mail(to) for to in ("ana@example.com", "eva@example.com", "luis@example.com", "bob@example.com")]
    )
    with mail_server(box) as url:
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(url)), 3)
        assert state(engine) == {
            "ana@example.com": "sent",
            "bob@example.com": "sent",
            "eva@example.com": "failed",
            "luis@example.com": "queued",
        }
        assert "550 no such user" in next(r["error"] for r in outbox.list_messages(engine) if r["state"] == "failed")
        box.refused.clear()
        at_once(engine)
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(url)), 3)
    assert state(engine)["luis@example.com"] == "sent"
    assert len(box.mails) == 3


@pytest.mark.slow
def test_a_slow_server_is_waited_for(engine: Engine) -> None:
    box = Postbox(slow=2)
    outbox.queue_messages(engine, [mail()])
    with mail_server(box) as url:
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(url), timeout=10), 3)
    assert (state(engine), len(box.mails)) == ({"ana@example.com": "sent"}, 1)


def test_a_server_that_dies_before_the_message_ended_has_taken_nothing(engine: Engine) -> None:
    def die(link: socket.socket) -> None:
        for _ in talk(link):
            pass
        link.sendall(b"354 go on\r\n")
        link.recv(100)

    outbox.queue_messages(engine, [mail(body=f"<p>{'x' * 5_000_000}</p>")])
    with raw_server(die) as port:
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(f"smtp://127.0.0.1:{port}")), 3)
    assert state(engine) == {"ana@example.com": "queued"}


@pytest.mark.slow
def test_silence_after_the_end_of_a_message_is_doubtful_and_nothing_is_sent_twice(engine: Engine) -> None:
    ends = []

    def silent(link: socket.socket) -> None:
        for _ in talk(link):
            pass
        link.sendall(b"354 go on\r\n")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += link.recv(65536)
        ends.append(data)
        time.sleep(3)

    outbox.queue_messages(engine, [mail()])
    with raw_server(silent) as port:
        to = smtp.parse_mail_server(f"smtp://127.0.0.1:{port}")
        outbox.send_due(engine, sent_by(to, timeout=1), 3)
        assert state(engine) == {"ana@example.com": "doubtful"}
        at_once(engine)
        outbox.queue_messages(engine, [mail()])
        assert outbox.send_due(engine, sent_by(to, timeout=1), 3) == []
    assert len(ends) == 1
    (row,) = outbox.list_messages(engine, waiting=True)
    assert "cut off" in row["error"]
    with pytest.raises(DeliveryError, match="say which message by its id"):
        outbox.decide_message(engine, "", "ana", again=True, reason="it did not arrive")
    outbox.decide_message(engine, row["message_id"], "ana", again=True, reason="it did not arrive")
    box = Postbox()
    with mail_server(box) as url:
        outbox.send_due(engine, sent_by(smtp.parse_mail_server(url)), 3)
    assert len(box.mails) == 1
    with pytest.raises(DeliveryError, match="sent already"):
        outbox.decide_message(engine, row["message_id"], "ana", again=True, reason="twice")
    assert [e["action"] for e in store.audit_entries(engine)] == ["message sent", "message retried", "message doubtful"]


SENDER = """
import sys
from quiebra import store
from quiebra.delivery import outbox, smtp
to = smtp.parse_mail_server(sys.argv[2])
send = lambda channel: lambda row, doubtful: smtp.send_message(to, "risk@example.com", row.recipient, row.body, doubtful)
print([o.state for _, o in outbox.send_due(store.connect(sys.argv[1]), send, 3)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("ended", [False, True])
def test_a_process_killed_in_the_middle_of_a_message(engine: Engine, ended: bool) -> None:
    got: list[bytes] = []

    def hold(link: socket.socket) -> None:
        for _ in talk(link):
            pass
        if not ended:
            got.append(b"DATA")
            time.sleep(20)
            return
        link.sendall(b"354 go on\r\n")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += link.recv(65536)
        got.append(data)
        time.sleep(20)

    outbox.queue_messages(engine, [mail()])
    with raw_server(hold) as port:
        words = [sys.executable, "-c", SENDER, str(engine.url), f"smtp://127.0.0.1:{port}"]
        process = subprocess.Popen(words, env=environment())
        eventually(lambda: bool(got))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert outbox.list_messages(engine, waiting=True)[0]["state"] in ("sending", "doubtful")
    box = Postbox()
    with mail_server(box) as url:
        done = subprocess.run([*words[:-1], url], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("[]" if ended else "['sent']")
    assert len(box.mails) == (0 if ended else 1)
    assert state(engine) == {"ana@example.com": "doubtful" if ended else "sent"}


@pytest.mark.slow
def test_two_that_send_from_one_database_send_each_mail_once(engine: Engine) -> None:
    box = Postbox(slow=0.05)
    outbox.queue_messages(engine, [mail(f"a{i}@example.com") for i in range(8)])
    with mail_server(box) as url:
        words = [sys.executable, "-c", SENDER, str(engine.url), url]
        both = [subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=60)[0] for process in both]
    assert sorted(to for to, _ in box.mails) == [f"a{i}@example.com" for i in range(8)]
    assert sum(line.count("sent") for line in said) == 8


def test_what_a_person_drops_while_others_are_sent_is_not_sent(engine: Engine) -> None:
    outbox.queue_messages(engine, [mail("ana@example.com"), mail("bob@example.com")])
    second = next(m["message_id"] for m in outbox.list_messages(engine) if m["recipient"] == "bob@example.com")
    went = []

    def send(row: object, doubtful: Callable[[], None]) -> outbox.SendOutcome:
        went.append(row.recipient)
        outbox.decide_message(engine, second, "ana", again=False, reason="not any more")
        return outbox.SendOutcome(outbox.SENT)

    outbox.send_due(engine, lambda channel: send, 3)
    assert went == ["ana@example.com"]
    assert state(engine)["bob@example.com"] == "dropped"
    assert outbox.list_messages(engine, waiting=True) == []


def test_an_error_after_the_last_safe_moment_is_doubtful_and_not_tried_again(engine: Engine) -> None:
    def send(row: object, doubtful: Callable[[], None]) -> outbox.SendOutcome:
        doubtful()
        raise RuntimeError("lost")

    outbox.queue_messages(engine, [mail()])
    outbox.send_due(engine, lambda channel: send, 3)
    at_once(engine)
    assert outbox.send_due(engine, lambda channel: send, 3) == []
    assert state(engine) == {"ana@example.com": "doubtful"}


def test_quiet_hours_hold_for_second_tries_too(engine: Engine) -> None:
    outbox.queue_messages(engine, [mail()])
    until = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=3)
    assert outbox.send_due(engine, sent_by(smtp.parse_mail_server("smtp://127.0.0.1:1")), 3, lambda channel: until) == []
    (row,) = outbox.list_messages(engine)
    assert (row["state"], row["not_before"], row["attempts"]) == ("queued", until, 0)


def test_mail_goes_over_tls_with_a_checked_certificate_and_a_login(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, box, port = trustme.CA(), Postbox(), free_port()
    with mail_server(box, port, authority, ("risk", "p@ss:wörd")):
        to = smtp.MailServer("127.0.0.1", port, "start", "risk", "p@ss:wörd")
        outbox.queue_messages(engine, [mail()])
        outbox.send_due(engine, sent_by(to), 3)
        assert "not to be trusted" in outbox.list_messages(engine)[0]["error"]
        bundle = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(bundle))
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        at_once(engine)
        outbox.send_due(engine, sent_by(smtp.MailServer("127.0.0.1", port, "start", "risk", "wrong")), 3)
        assert "535" in outbox.list_messages(engine)[0]["error"]
        assert "wrong" not in outbox.list_messages(engine)[0]["error"]
        outbox.decide_message(engine, outbox.list_messages(engine)[0]["message_id"], "ana", again=True, reason="mended")
        outbox.send_due(engine, sent_by(to), 3)
    assert box.tls == [True]
    with mail_server(Postbox()) as plain:  # a server without TLS is given nothing
        about = mail(about="another")
        outbox.queue_messages(engine, [about])
        outbox.send_due(engine, sent_by(smtp.MailServer("127.0.0.1", int(plain.rsplit(":")[-1]), "start")), 3)
    assert "TLS" in next(r["error"] for r in outbox.list_messages(engine) if r["message_id"] == about.message_id)


def test_addresses_of_servers() -> None:
    assert smtp.parse_mail_server("smtp://ana:p%40ss@mail.example.com") == smtp.MailServer(
        "mail.example.com", 587, "start", "ana", "p@ss"
    )
    assert smtp.parse_mail_server("smtps://mail.example.com").port == 465
    assert smtp.parse_mail_server("smtp://10.0.0.1:25?tls=none").tls == "none"
    assert smtp.parse_mail_server("smtp://localhost").tls == "none"
    assert "p@ss" not in repr(smtp.parse_mail_server("smtp://ana:p%40ss@mail.example.com"))
    for wrong in ("mail.example.com", "http://x", "smtp://", "smtp://x:port", "smtp://x?tls=maybe"):
        with pytest.raises(DeliveryError, match="QUIEBRA_SMTP_URL"):
            smtp.parse_mail_server(wrong)


# What a mail is


@pytest.mark.parametrize(
    "bad",
    ["ana@example.com\nBcc: eva@example.com", "ana", "a b@example.com", "<ana@example.com>", "ana@x,eva@y", "josé@example.com"],
)
def test_an_address_that_is_none_is_refused(bad: str) -> None:
    content = default_params()
    content["delivery"]["recipients"] = [{"address": bad}]
    with pytest.raises(ParamsError, match=r"delivery.recipients.0.address: must be one address"):
        validate_params(content)
    if "\n" in bad:
        with pytest.raises(DeliveryError, match="one line"):
            mail(to=bad)


@given(st.text(min_size=1).filter(lambda t: t.isprintable() and t.strip()))
def test_whatever_a_subject_says_it_comes_back(subject: str) -> None:
    made = mail_message(
        channel="report",
        recipient="ana@example.com",
        about="x",
        sender="risk@example.com",
        subject=subject,
        html="x",
        text="x",
        lang="en",
    )
    assert " ".join(message_from_bytes(made.body, policy=default)["Subject"].split()) == " ".join(subject.split())


def test_styles_stand_in_each_element() -> None:
    html = inline_styles("<h1>Title</h1><table><tr><td>1</td></tr></table>", "es")
    assert "<style" not in html
    assert "var(--" not in html
    assert re.search(r'<h1 style="[^"]*font-size: ?21px', html)
    assert 'lang="es"' in html


def parts(message: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


def test_the_monthly_mail_is_whole_in_both_languages(workspace: Path, told: Params) -> None:
    folder = workspace / "reports/build/es"
    folder.mkdir()
    (folder / "risk_report.pdf").write_bytes(b"%PDF-es")
    (folder / "risk_report.html").write_bytes(b"<html lang=es>of another run")
    with pytest.raises(DeliveryError, match=r"es is of another run: run `quiebra report --lang es`"):
        letters.report_messages(Workspace(workspace), told)
    (folder / "risk_report.html").write_text(Workspace(workspace).build.joinpath("risk_report.html").read_text())
    record = workspace / "data/alerts/standing.json"
    late = {"company_id": "SIM-X", "level": 1, "reason": "r", "who": "ana", "since": "2020-01-01", "review_on": "2020-03-01"}
    write_json(record, {**read_json(record), "watched": [late]})
    made = letters.report_messages(Workspace(workspace), told)
    assert [m.recipient for m in made] == ["ana@example.com", "bob@example.com"]
    spanish, english = (message_from_bytes(m.body, policy=default) for m in made)
    for message in (spanish, english):
        assert parts(message) == [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/png",
            "application/pdf",
            "text/html",
        ]
        assert not message.defects
        html = message.get_body(("html",)).get_content()
        picture = next(part for part in message.walk() if part.get_content_type() == "image/png")
        assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in html
        assert picture.get_content().startswith(b"\x89PNG")
        assert re.findall(r'(?:src|href)="([^"]+)"', html) == ["cid:pd", "https://risk.example.com/executive"]
        assert re.search(r'<img[^>]* alt="[^"]{20,}"', html)
        assert str(workspace) not in html
        assert [p.get_filename() for p in message.iter_attachments()] == ["risk_report.pdf", "risk_report.html"]
        plain = message.get_body(("plain",)).get_content()
        assert "https://risk.example.com/executive" in plain
        assert "SIMUL" in message["Subject"]
        assert "SIM-X" in html
        assert "SIM-X" in plain
        assert spanish.as_bytes().isascii()  # any server takes it
    approved = told.model_copy(update={"report": told.report.model_copy(update={"status": "APPROVED"})})
    assert {m.message_id for m in letters.report_messages(Workspace(workspace), approved)}.isdisjoint(m.message_id for m in made)
    assert "Informe de riesgo de quiebra" in spanish["Subject"]
    assert "Qué ha cambiado." in spanish.get_body(("html",)).get_content()
    assert "What changed." in english.get_body(("html",)).get_content()
    scores = pl.read_parquet(workspace / "data/scores/scores.parquet")
    assert f"{100 * scores['pd_12m'].mean():.2f} %" in re.sub("\u00a0|&nbsp;", " ", english.get_body(("html",)).get_content())
    (pdf, _) = english.iter_attachments()
    assert pdf.get_content() == (workspace / "reports/build/risk_report.pdf").read_bytes()


def test_without_its_report_a_mail_says_which_command_to_run(workspace: Path, told: Params) -> None:
    (workspace / "reports/build/risk_report.pdf").unlink()
    only = told.model_copy(update={"delivery": told.delivery.model_copy(update={"recipients": told.delivery.recipients[1:]})})
    with pytest.raises(DeliveryError, match="quiebra report"):
        letters.report_messages(Workspace(workspace), only)


# Alerts to channels


@pytest.fixture
def raised(finished: Path) -> Engine:
    return store.connect(f"sqlite:///{finished / 'data' / 'quiebra.db'}")


def test_alerts_go_to_each_channel_by_severity_in_its_language(finished: Path, told: Params, raised: Engine) -> None:
    made = letters.alert_messages(Workspace(finished), told, raised)
    standing = states.list_alerts(raised, "demo")
    worst = standing.filter(pl.col("severity") == "high")
    high, subjects = worst.height, worst["subject"].n_unique()
    of = {name: [m for m in made if m.channel == name] for name in told.delivery.channels}
    assert len(of["hook"]) == standing.select("kind", "subject").n_unique()  # below its digest: one a company
    assert sorted(a for m in of["hook"] for a in m.alerts) == sorted(standing["alert_id"])
    assert [len(of[name]) for name in ("team", "office", "desk")] == [1, 1, 1]  # digests
    team = json.loads(of["team"][0].body)
    assert re.fullmatch(
        rf"SIMULADO: {high} alertas? sobre \d+ empresas?(, y sobre la cartera o el modelo)?, {high} de gravedad alta",
        team["title"],
    )
    assert team["body"].count("• ") == min(subjects, letters.MAX_COMPANIES_NAMED), "a company a line"
    assert "https://risk.example.com/executive" in team["body"]
    assert "la PD es" in team["body"] or "la PD se ha" in team["body"]
    assert team["body"].count("Primero: ") == min(subjects, letters.MAX_COMPANIES_NAMED), "each with what to do first"
    first = json.loads(of["hook"][0].body)
    company = standing.filter(pl.col("kind") == "company").row(0, named=True)["subject"]
    assert any(f"company?company={company}" in json.loads(m.body)["body"] for m in of["hook"])
    assert "First: " in first["body"]
    assert any(" than in " in json.loads(m.body)["body"] for m in of["hook"])  # with the reasons in words
    desk = message_from_bytes(of["desk"][0].body, policy=default)
    assert desk["To"] == "desk@example.com"
    assert desk.get_body(("html",)).get_content().count("<li") == min(subjects, letters.MAX_COMPANIES_NAMED)


def test_a_company_whose_name_is_markup_is_shown_as_text(
    finished: Path, told: Params, raised: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quiebra.reports.risk_report import RiskReport

    real = RiskReport.scores.func  # type: ignore[attr-defined]
    named = property(lambda self: real(self).with_columns(name=pl.lit("<script>alert(1)</script>\nBcc: x")))
    monkeypatch.setattr(RiskReport, "scores", named)
    (desk,) = [m for m in letters.alert_messages(Workspace(finished), told, raised) if m.channel == "desk"]
    html = message_from_bytes(desk.body, policy=default).get_body(("html",)).get_content()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_slack_teams_and_webhook_get_what_they_can_read(
    finished: Path, told: Params, raised: Engine, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    made = [m for m in letters.alert_messages(Workspace(finished), told, raised) if m.channel in ("team", "office")]
    made += [m for m in letters.alert_messages(Workspace(finished), told, raised) if m.channel == "hook"][:2]
    with chat(receiver, tmp_path) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        assert set(ready_channels(told.delivery)) == {"team", "office", "hook"}
        for _ in range(2):
            outbox.queue_messages(engine, made, again=ready_channels(told.delivery))
            outbox.send_due(engine, channel_senders(told.delivery, tmp_path), 3)
    by_host = {path: body for path, _, body in receiver.posts}
    slack = by_host["hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    assert "alertas" in json.dumps(slack, ensure_ascii=False)
    assert "attachments" in slack or "blocks" in slack
    teams = next(body for path, body in by_host.items() if path.startswith("teams.example.com"))
    assert teams["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    hooks = [body for path, _, body in receiver.posts if path.endswith("/hook")]
    assert [h["type"] for h in hooks] == [json.loads(m.body)["type"] for m in made[2:]]
    assert hooks[0]["title"] == json.loads(made[2].body)["title"]
    assert len(receiver.posts) == len(made)
    for _, _, body in receiver.posts:
        links = re.findall(r"https?://[\w.:-]+", json.dumps(body))
        assert set(links) <= {"https://risk.example.com", "http://adaptivecards.io"}


def test_a_channel_that_is_down_gets_its_messages_later_and_once(
    told: Params, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(status=503)
    body = json.dumps({"title": "T", "body": "B", "type": "warning"}).encode()
    outbox.queue_messages(
        engine, [Notification("hook", "webhook", "alert 1", "T", body), Notification("gone", "x", "alert 1", "T", body)]
    )
    with chat(receiver, tmp_path) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        outbox.send_due(engine, channel_senders(told.delivery, tmp_path), 5)
        assert state(engine) == {"webhook": "queued", "x": "failed"}
        receiver.status = 200
        for _ in range(3):
            at_once(engine)
            outbox.send_due(engine, channel_senders(told.delivery, tmp_path), 5)
    assert state(engine)["webhook"] == "sent"
    assert len(receiver.posts) == 1


def test_without_addresses_everything_is_written_to_a_folder_and_sent_later_if_there_is_one(
    told: Params, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUIEBRA_SMTP_URL", raising=False)
    body = json.dumps({"title": "T", "body": "B", "type": "warning"}).encode()
    both = [mail(), Notification("hook", "webhook", "alert 1", "T", body)]
    assert outbox.queue_messages(engine, both) == 2
    outbox.send_due(engine, channel_senders(told.delivery, tmp_path / "out"), 3)
    assert set(state(engine).values()) == {"written"}
    (eml,), (note,) = (list((tmp_path / "out").glob(f"*.{ending}")) for ending in ("eml", "json"))
    assert message_from_bytes(eml.read_bytes(), policy=default)["To"] == "ana@example.com"
    assert json.loads(note.read_text())["title"] == "T"
    box = Postbox()
    with mail_server(box) as url:
        monkeypatch.setenv("QUIEBRA_SMTP_URL", url)
        outbox.send_due(engine, channel_senders(told.delivery, tmp_path / "out"), 3)
        assert box.mails == []  # what was written before is not sent by itself
        outbox.queue_messages(engine, both, again=ready_channels(told.delivery))
        outbox.send_due(engine, channel_senders(told.delivery, tmp_path / "out"), 3)
    assert len(box.mails) == 1
    assert state(engine) == {"ana@example.com": "sent", "webhook": "written"}


def test_a_channel_that_takes_a_message_and_is_slow_to_say_so_gets_it_once(
    told: Params, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "READ_TIMEOUT", 0.5)
    receiver = Receiver(slow=2)
    body = json.dumps({"title": "T", "body": "B", "type": "warning"}).encode()
    outbox.queue_messages(engine, [Notification("hook", "webhook", "alert 1", "T", body)])
    with chat(receiver, tmp_path) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        for _ in range(3):
            outbox.send_due(engine, channel_senders(told.delivery, tmp_path), 5)
            at_once(engine)
    assert len(receiver.posts) == 1
    assert state(engine) == {"webhook": "doubtful"}


def test_a_channel_that_nobody_answers_at_is_tried_again(
    told: Params, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIEBRA_CHANNEL_HOOK", f"json://127.0.0.1:{free_port()}/hook")
    outbox.queue_messages(
        engine, [Notification("hook", "webhook", "alert 1", "T", b'{"title": "T", "body": "B", "type": "warning"}')]
    )
    ((_, outcome),) = outbox.send_due(engine, channel_senders(told.delivery, tmp_path), 5)
    assert (outcome.state, outcome.retry) == ("queued", True)


def test_a_channel_is_told_of_an_alert_once_whatever_else_changes(workspace: Path, told: Params, raised: Engine) -> None:
    engine = store.connect(f"sqlite:///{workspace / 'data' / 'quiebra.db'}")
    channel = Channel.model_validate({"kind": "slack", "digest_above": 5})
    params = told.model_copy(update={"delivery": told.delivery.model_copy(update={"channels": {"team": channel}})})
    (digest,) = letters.alert_messages(Workspace(workspace), params, engine)
    outbox.queue_messages(engine, [digest])
    assert letters.alert_messages(Workspace(workspace), params, engine) == []
    for alert_id in states.list_alerts(engine, "demo")["alert_id"][:-3]:
        decisions.acknowledge_alert(engine, alert_id, "ana")
    assert letters.alert_messages(Workspace(workspace), params, engine) == []  # those left over were told of
    with engine.begin() as connection:  # alerts that another run has raised meanwhile, and nobody was told of
        connection.execute(text("UPDATE alertas SET raised_run = 'another'"))
        connection.execute(text("DELETE FROM alertas_comunicadas"))
    made = letters.alert_messages(Workspace(workspace), params, engine)
    assert len(made) == 3
    assert outbox.queue_messages(engine, made) == 3


def test_without_an_address_of_the_dashboards_a_mail_about_one_company_has_its_tear_sheet(
    finished: Path, told: Params, raised: Engine, tmp_path: Path
) -> None:
    sheet = tmp_path / "tear_sheet.pdf"
    sheet.write_bytes(b"%PDF-sheet")
    one = Channel.model_validate({"kind": "mail", "digest_above": 1000, "recipients": ["ana@example.com"]})
    asked = []
    options = told.delivery.model_copy(update={"channels": {"desk": one}, "dashboards": None})
    made = letters.alert_messages(
        Workspace(finished), told.model_copy(update={"delivery": options}), raised, lambda *what: asked.append(what) or sheet
    )
    companies = states.list_alerts(raised, "demo").filter(pl.col("kind") == "company")
    assert sorted(asked) == [(company, "en") for company in companies["subject"].unique().sort()], "one for each company"
    with_sheet = [
        m for m in made if any(p.get_filename() == sheet.name for p in message_from_bytes(m.body, policy=default).walk())
    ]
    assert len(with_sheet) == companies["subject"].n_unique()


def test_a_channel_with_the_wrong_kind_of_address_is_named_and_its_secret_is_not(
    told: Params, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIEBRA_CHANNEL_TEAM", "jsons://user:secret@example.com/x")
    body = json.dumps({"title": "T", "body": "B", "type": "warning"}).encode()
    outbox.queue_messages(engine, [Notification("team", "slack", "alert 1", "T", body)])
    outbox.send_due(engine, channel_senders(told.delivery, tmp_path), 3)
    error = outbox.list_messages(engine)[0]["error"]
    assert "QUIEBRA_CHANNEL_TEAM" in error
    assert "secret" not in error


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-15T12:00:00+00:00", None),
        ("2026-01-15T21:30:00+00:00", "2026-01-16T06:00:00"),  # 22:30 in Madrid; quiet to 07:00 there
        ("2026-01-16T05:59:00+00:00", "2026-01-16T06:00:00"),
        ("2026-01-16T06:00:00+00:00", None),
        ("2026-07-15T20:30:00+00:00", "2026-07-16T05:00:00"),  # in summer time
    ],
)
def test_in_quiet_hours_messages_wait_for_their_end(now: str, until: str | None) -> None:
    channel = Channel.model_validate({"kind": "slack", "quiet": ["22:00", "07:00"]})
    found = letters.quiet_until(channel, "Europe/Madrid", dt.datetime.fromisoformat(now))
    assert found == (None if until is None else dt.datetime.fromisoformat(until))


def test_a_waiting_message_is_not_sent_before_its_time(engine: Engine) -> None:
    later = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1)
    waiting = mail()
    outbox.queue_messages(engine, [Notification(**{**vars(waiting), "not_before": later})])
    assert outbox.send_due(engine, sent_by(smtp.parse_mail_server("smtp://127.0.0.1:1")), 3) == []
    assert state(engine) == {"ana@example.com": "queued"}


def test_nothing_secret_and_nothing_encoded_wrongly_in_the_notice(told: Params) -> None:
    (made,) = letters.failure_notice(told, "c1", "report", "stage 'report' failed: <b>año</b>")
    message = message_from_bytes(made.body, policy=default)
    assert message["To"] == "boss@example.com"
    assert "&lt;b&gt;año" in message.get_body(("html",)).get_content()
    assert (
        letters.failure_notice(
            told.model_copy(update={"delivery": told.delivery.model_copy(update={"owner": None})}), "c", "s", "e"
        )
        == []
    )
