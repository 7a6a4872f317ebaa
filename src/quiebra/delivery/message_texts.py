"""Texts of the messages: the monthly mail, alerts for each channel, and notices to the owner."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import polars as pl
import pypandoc

from quiebra import plots
from quiebra.alerts.cases import AlertCase, count_subjects, group_into_cases
from quiebra.alerts.descriptions import SEVERITY_LABELS, overdue_reviews
from quiebra.alerts.evaluation import evaluated_run
from quiebra.alerts.lifecycle import list_alerts
from quiebra.alerts.sentences import CompanyFacts, company_facts
from quiebra.banners import run_banners
from quiebra.delivery import smtp
from quiebra.delivery.channels import ready_channels
from quiebra.delivery.mail_html import mail_message
from quiebra.delivery.outbox import Notification, reported_alerts
from quiebra.environment import smtp_url
from quiebra.errors import DeliveryError, QuiebraError
from quiebra.params import Params, read_params, stage_params
from quiebra.params.operations import SEVERITIES, Channel
from quiebra.provenance import json_sha256
from quiebra.reports.metadata import page_metadata, report_title
from quiebra.reports.risk_report import RiskReport
from quiebra.risk import first_sentences
from quiebra.text.words import Words, escape_markup
from quiebra.workspace import Workspace

MAX_COMPANIES_NAMED = 20
"""Companies listed in one message; the others are only counted."""
REASONS_PER_COMPANY = 2
"""Reasons given for each company."""


def report_messages(workspace: Workspace, params: Params, head: tuple[int, str] | None = None) -> list[Notification]:
    """Return the monthly mail for each recipient in their language: summary, chart, and the report attached as PDF and HTML.

    head: the end of the audit chain (`quiebra.store.chain_head`), put into the mail because nobody with access to the database
    can change it there.
    """
    made: dict[str, dict[str, Any]] = {}
    letters = []
    for recipient in params.delivery.recipients:
        lang = recipient.lang or params.report.lang
        if lang not in made:
            made[lang] = _summary(workspace, params, lang, head)
        letters.append(mail_message(channel="report", recipient=recipient.address, sender=params.delivery.sender, **made[lang]))
    return letters


def _summary(workspace: Workspace, params: Params, lang: str, end: tuple[int, str] | None) -> dict[str, Any]:
    options = stage_params(workspace, "report", {"report": {"lang": lang}})
    report, words = RiskReport(workspace, options), Words(lang)
    head, run_id = page_metadata(workspace, "report", options), report.run["run_id"]
    folder = workspace.build if lang == params.report.lang else workspace.build / lang
    files = [folder / "risk_report.pdf", folder / "risk_report.html"]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DeliveryError(f"there is no {' and no '.join(missing)} in {folder.name}: run `quiebra report`, which makes it")
    if run_id not in files[1].read_text(encoding="utf-8"):
        raise DeliveryError(f"the report in {folder.name} is of another run: run `quiebra report --lang {lang}`, which makes it")
    names = dict(report.companies.select("company_id", "name").iter_rows())
    late = overdue_reviews(report.standing["alerts"], report.standing["watched"], names, words, escape_markup)
    parts = [report.changed(), report.who(reasons=REASONS_PER_COMPANY), late, report.sure(), report.glance(brief=True)]
    markdown = "\n\n".join(filter(None, parts))
    html = (
        _head(words, head["title"], head["subtitle"], report.run)
        + _pandoc(markdown, "html5")
        + f'<img src="cid:pd" width="592" alt="{words("Mean PD of the portfolio over time, and the failures that followed.")}">'
        + _link(params, words("Open the dashboards"), "executive")
        + _foot(words, run_id, *_sealed(words, end))
    )
    dated = words("{title}, {date}", title=report_title("report", options), date=words.date(report.run["as_of"]))
    link = _plain_link(params, "executive")
    marks = "".join(f"{line}\n" for line in _marks(words, report.run))
    text = f"{head['title']}\n{head['subtitle']}\n{marks}\n{_pandoc(markdown, 'plain')}\n{link}\n{_signed(words, run_id)}\n"
    text += "".join(f"{line}\n" for line in _sealed(words, end))
    return {
        "about": f"report {run_id} {lang} {params.report.status}",
        "subject": _first_words(words, report.run) + (params.delivery.subject or dated),
        "html": html,
        "text": text,
        "lang": lang,
        "pictures": {"pd": _png(plots.pd_over_time(report.years, words, height=2.1))},
        "attached": files,
        "run_id": run_id,
    }


MakeTearSheet = Callable[[str, str], Path]
"""Company id and language → the PDF of its tear sheet."""


def alert_messages(
    workspace: Workspace, params: Params, engine: Any, sheet: MakeTearSheet | None = None, now: dt.datetime | None = None
) -> list[Notification]:
    """Return the messages about open alerts that each channel has not been notified of yet.

    One message per company, or a single digest for more than ``digest_above`` alerts. In quiet hours they are held until the end
    of those. Alerts whose message was only written to the folder count as notified until the channel can send.

    sheet: makes the tear sheet attached to a mail about one company; used only if params have no address of the dashboards.
    """
    report = RiskReport(workspace, stage_params(workspace, "report"))
    fresh = list_alerts(engine, evaluated_run(report).source).filter(pl.col("state") == "open")
    known, about, letters = reported_alerts(engine, ready_channels(params.delivery)), company_facts(report), []
    for name, channel in params.delivery.channels.items():
        mine = fresh.filter(
            pl.col("severity").is_in(SEVERITIES[SEVERITIES.index(channel.severity) :]),
            ~pl.col("alert_id").is_in(sorted(known.get(name, ()))),
        ).to_dicts()
        groups: list[list[Mapping[str, Any]]] = (
            [[*mine]] if len(mine) > channel.digest_above else [list(case.alerts) for case in group_into_cases(mine, {})]
        )
        later = quiet_until(channel, params.delivery.timezone, now or dt.datetime.now(dt.UTC))
        post = _Post(name, channel, report, params, later, about)
        for group in groups:
            letters += post.mails(group, sheet) if channel.kind == "mail" else [post.message(group)]
    return letters


@dataclass(frozen=True)
class _Post:
    """Builds the messages of one channel, in its language."""

    name: str
    channel: Channel
    report: RiskReport
    params: Params
    later: dt.datetime | None
    facts: Mapping[str, CompanyFacts]

    @property
    def words(self) -> Words:
        return Words(self.channel.lang or self.params.report.lang)

    def _about(self, group: Sequence[Mapping[str, Any]]) -> str:
        ids = sorted(alert["alert_id"] for alert in group)
        return f"alert {ids[0]}" if len(ids) == 1 else f"alerts {json_sha256(ids)[:32]}"

    def _lines(self, group: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
        """Return one line per company or other subject of alerts, and the line that counts the subjects left out."""
        found = group_into_cases(group, self.facts, self.report.run["run_id"])
        left, words = len(found) - MAX_COMPANIES_NAMED, self.words
        lines = [_line(case, self.report, words) for case in found[:MAX_COMPANIES_NAMED]]
        return lines, [words("… and {n} more.", n=words.number(left))] if left > 0 else []

    def _target(self, group: Sequence[Mapping[str, Any]]) -> str:
        company = _company(group)
        return f"company?company={quote(company, safe='')}" if company else "executive"

    def message(self, group: Sequence[Mapping[str, Any]]) -> Notification:
        """Return a message for chat or a webhook."""
        lines, more = self._lines(group)
        link, run_id = _plain_link(self.params, self._target(group)), self.report.run["run_id"]
        marks = _marks(self.words, self.report.run)
        text = "\n".join([*marks, *(f"• {line}" for line in lines), *more, *filter(None, [link]), _signed(self.words, run_id)])
        kind = "failure" if any(alert["severity"] == "high" for alert in group) else "warning"
        subject = _subject(group, self.report, self.words)
        body = json.dumps({"title": subject, "body": text, "type": kind}, ensure_ascii=False).encode()
        ids = tuple(alert["alert_id"] for alert in group)
        return Notification(self.name, self.channel.kind, self._about(group), subject, body, run_id, self.later, ids)

    def mails(self, group: Sequence[Mapping[str, Any]], sheet: MakeTearSheet | None) -> list[Notification]:
        """Return one mail per recipient."""
        words, report, (lines, more) = self.words, self.report, self._lines(group)
        run_id, target, company = report.run["run_id"], self._target(group), _company(group)
        items = "".join(f"<li>{_html(line)}</li>" for line in lines)
        rest = "".join(f"<p>{_html(line)}</p>" for line in more)
        own = stage_params(report.workspace, "report", {"report": {"lang": words.language}})
        subject, subtitle = _subject(group, report, words), page_metadata(report.workspace, "report", own)["subtitle"]
        html = (
            f"{_head(words, words('Alerts'), subtitle, report.run)}<ul>{items}</ul>{rest}"
            f"{_link(self.params, words('Open the dashboards'), target)}{_foot(words, run_id)}"
        )
        link = _plain_link(self.params, target)
        head = [subject, *_marks(words, report.run), ""]
        text = "\n".join([*head, *(f"* {line}" for line in lines), *more, "", link, _signed(words, run_id)])
        linked = bool(self.params.delivery.dashboards)
        attached = [] if sheet is None or company is None or linked else [sheet(company, words.language)]
        ids = tuple(alert["alert_id"] for alert in group)
        return [
            mail_message(
                channel=self.name,
                recipient=to,
                about=self._about(group),
                sender=self.params.delivery.sender,
                subject=subject,
                html=html,
                text=text,
                lang=words.language,
                run_id=run_id,
                not_before=self.later,
                attached=attached,
                alerts=ids,
            )
            for to in self.channel.recipients
        ]


def _company(group: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the id of the company a message is about; None if it is about several, or about another subject."""
    subjects = {(alert["kind"], alert["subject"]) for alert in group}
    return group[0]["subject"] if len(subjects) == 1 and group[0]["kind"] == "company" else None


def _line(case: AlertCase, report: RiskReport, words: Words) -> str:
    """Return one line on a subject's alerts: its name, the alert, how many there are, the first step, and for a company the
    model's reasons."""
    said = words("{what} ({alerts})", what=case.headline(words, list(report.params.score.grades)), alerts=case.counted(words))
    step = words("First: {step}.", step=case.step(words))
    if case.kind != "company":
        return f"{case.named(words, {})}: {said}. {step}"
    company = str(case.first["subject"])
    rows = report.with_analysts(report.scores.filter(pl.col("company_id") == company)).to_dicts()
    if not rows:
        return f"{company}: {said}. {step}"
    why = rows[0]["reasons_es" if words.language == "es" else "reasons"]
    name = rows[0]["name"] if rows[0]["name"] == company else f"{rows[0]['name']} ({company})"
    return f"{name}, {rows[0]['rating']}: {said}. {step}" + (f" {first_sentences(why, REASONS_PER_COMPANY)}" if why else "")


def _subject(group: Sequence[Mapping[str, Any]], report: RiskReport, words: Words) -> str:
    begin = _first_words(words, report.run)
    found = group_into_cases(group, {})
    if len(found) > 1:
        return begin + words(
            "{alerts} on {subjects}, {high} of high severity",
            alerts=words.count("{n} alert", "{n} alerts", n=len(group)),
            subjects=count_subjects(found, words),
            high=words.number(sum(alert["severity"] == "high" for alert in group)),
        )
    names = dict(report.companies.select("company_id", "name").iter_rows())
    of = " ".join(found[0].named(words, names).split())  # on one line: names may contain line breaks
    severity, rule = words(SEVERITY_LABELS[found[0].severity]), words(found[0].first["rule"])
    if len(group) > 1:
        return begin + words(
            "{severity} alert: {rule} and {n} more, {name}", n=len(group) - 1, severity=severity, rule=rule, name=of
        )
    return begin + words("{severity} alert: {rule}, {name}", severity=severity, rule=rule, name=of)


def failure_notice(params: Params, cycle_id: str, step: str, error: str) -> list[Notification]:
    """Return the notice to the owner that a step of a cycle failed; empty if params have no owner. The same error is sent
    once."""
    words = Words(params.report.lang)
    subject = words("The cycle {cycle} failed at '{step}'", cycle=cycle_id, step=step)
    text = words("What was done before it is kept; run `quiebra schedule` again when it is mended.")
    return _to_owner(params, f"failure {cycle_id} {step} {json_sha256(error)[:8]}", subject, text, error)


def stale_data_notice(params: Params, as_of: dt.date, days: int) -> list[Notification]:
    """Return the notice to the owner that the data are ``days`` days old; empty if params have no owner. Sent once per
    ``as_of``."""
    words = Words(params.report.lang)
    subject = words.count("The data are {n} day old", "The data are {n} days old", n=days)
    text = words(
        "They are as of {date}, and schedule.stale_days is {most}: is the source still being fed?",
        date=words.date(as_of),
        most=params.schedule.stale_days,
    )
    return _to_owner(params, f"stale {as_of}", subject, text)


def _to_owner(params: Params, about: str, subject: str, text: str, error: str = "") -> list[Notification]:
    if params.delivery.owner is None:
        return []
    lang, sender, owner = Words(params.report.lang).language, params.delivery.sender, params.delivery.owner
    cause = f"<pre>{_html(error)}</pre>" if error else ""
    html = f"<p class='brand'>QUIEBRA</p><h1>{_html(subject)}</h1><p>{_html(text)}</p>{cause}"
    plain = f"{subject}\n\n{text}\n\n{error}\n"
    made = mail_message(
        channel="notice", recipient=owner, about=about, sender=sender, subject=subject, html=html, text=plain, lang=lang
    )
    return [made]


def mail_owner_directly(workspace: Workspace, error: str, *, began: bool = False) -> None:
    """Mail the owner, without database or disk, that no cycle could begin, or that one failed (``began``).

    Errors in doing so are suppressed, since the caller reports the original one.
    """
    url = smtp_url()
    with contextlib.suppress(QuiebraError, KeyError, TypeError, AttributeError, ValueError):
        delivery = read_params(workspace.root / "params.yaml")["delivery"]
        if url is None or not delivery["owner"]:
            return
        subject = "Quiebra: a cycle failed" if began else "Quiebra: no cycle could begin"
        html = f"<p class='brand'>QUIEBRA</p><h1>{_html(subject)}</h1><pre>{_html(error)}</pre>"
        made = mail_message(
            channel="notice",
            recipient=delivery["owner"],
            about=f"failure {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M}",
            sender=delivery["from"],
            subject=subject,
            html=html,
            text=f"{subject}\n\n{error}\n",
            lang="en",
        )
        smtp.send_message(smtp.parse_mail_server(url), delivery["from"], delivery["owner"], made.body, lambda: None)


def report_languages(params: Params) -> Iterable[str]:
    """Return the recipients' languages other than that of params; reports are made in those too."""
    return sorted({r.lang for r in params.delivery.recipients if r.lang} - {params.report.lang})


def quiet_until(channel: Channel, timezone: str, now: dt.datetime) -> dt.datetime | None:
    """Return the end of the channel's quiet hours (UTC, naive) if ``now`` lies in them; None otherwise.

    now: with a time zone. Quiet hours may span midnight.
    """
    if channel.quiet is None:
        return None
    local = now.astimezone(ZoneInfo(timezone))
    start, end = (dt.time.fromisoformat(text) for text in channel.quiet)
    time = local.time()
    quiet = start <= time < end if start <= end else time >= start or time < end
    if not quiet:
        return None
    day = local.date() + dt.timedelta(days=int(time >= end))
    return dt.datetime.combine(day, end, local.tzinfo).astimezone(dt.UTC).replace(tzinfo=None)


def _head(words: Words, heading: str, subtitle: str, run: Mapping[str, Any]) -> str:
    said = _marks(words, run)
    banner = "".join(f'<p class="simulated">{_html(text)}</p>' for text in said)
    return f'<p class="brand">QUIEBRA</p><h1>{_html(heading)}</h1><p class="subtitle">{_html(subtitle)}</p>{banner}'


def _first_words(words: Words, run: Mapping[str, Any]) -> str:
    """Return the prefix of a subject: warnings that the model is not the champion or failed a gate, or that companies are
    simulated."""
    headings = [words(heading) for heading, _ in run_banners(run)]
    return "".join(f"{heading}: " for heading in headings)


def _marks(words: Words, run: Mapping[str, Any]) -> list[str]:
    """Return the warnings about the model that a message must show first; usually none."""
    return [f"{words(heading)}: {words.say(text)}" for heading, text in run_banners(run)]


def _foot(words: Words, run_id: str, *more: str) -> str:
    return "".join(f'<p class="foot">{_html(line)}</p>' for line in (_signed(words, run_id), *more))


def _sealed(words: Words, end: tuple[int, str] | None) -> list[str]:
    """Return the line with the end of the audit chain, kept in the mail because nobody with the database can change it there."""
    if end is None:
        return []
    known = f"{end[0]}:{end[1]}"
    text = "Audit table: `quiebra audit verify --known {known}` shows later whether anything before was changed."
    return [words(text, known=known)]


def _signed(words: Words, run_id: str) -> str:
    return words("Run {run}: `quiebra trace {run}` shows what made these numbers.", run=run_id)


def _link(params: Params, text: str, target: str) -> str:
    address = _plain_link(params, target)
    return f'<p><a href="{_html(address)}">{text}</a></p>' if address else ""


def _plain_link(params: Params, target: str) -> str:
    return f"{params.delivery.dashboards.rstrip('/')}/{target}" if params.delivery.dashboards else ""


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _pandoc(markdown: str, to: str) -> str:
    made: str = pypandoc.convert_text(markdown, to, format="markdown+pipe_tables-yaml_metadata_block", extra_args=["--wrap=none"])
    return made


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    figure.set_dpi(150)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
