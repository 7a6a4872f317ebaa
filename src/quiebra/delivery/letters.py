"""What the messages say: the monthly mail, alerts to each channel, and the notice to the owner that a cycle failed."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import polars as pl
import pypandoc

from quiebra import plots
from quiebra.alerts.cases import Case, cases, subjects
from quiebra.alerts.evaluation import which
from quiebra.alerts.plain import Fact, facts
from quiebra.alerts.states import alerts as standing
from quiebra.alerts.wording import SEVERITY, overdue
from quiebra.banners import banners
from quiebra.delivery import smtp
from quiebra.delivery.channels import ready
from quiebra.delivery.mail import letter
from quiebra.delivery.outbox import Letter, told
from quiebra.errors import DeliveryError, QuiebraError
from quiebra.params import Params, for_stage, read
from quiebra.params.operations import SEVERITIES, Channel
from quiebra.provenance import digest
from quiebra.reports.front import page_metadata, title
from quiebra.reports.risk_report import RiskReport
from quiebra.risk import first_sentences
from quiebra.settings import smtp_url
from quiebra.words import Words, escaped
from quiebra.workspace import Workspace

MOST_LINES = 20
"""Companies named in one message; others are counted."""
REASONS = 2
"""Reasons given of each."""


def report_letters(workspace: Workspace, params: Params, head: tuple[int, str] | None = None) -> list[Letter]:
    """Return the monthly mail to each recipient in their language: the summary, a picture, and the report as PDF and page.

    head: the end of the audit chain (`quiebra.store.head`), which the mail keeps where nobody with the database can change it.
    """
    made: dict[str, dict[str, Any]] = {}
    letters = []
    for recipient in params.delivery.recipients:
        lang = recipient.lang or params.report.lang
        if lang not in made:
            made[lang] = _summary(workspace, params, lang, head)
        letters.append(letter(channel="report", recipient=recipient.address, sender=params.delivery.sender, **made[lang]))
    return letters


def _summary(workspace: Workspace, params: Params, lang: str, end: tuple[int, str] | None) -> dict[str, Any]:
    options = for_stage(workspace, "report", {"report": {"lang": lang}})
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
    late = overdue(report.standing["alerts"], report.standing["watched"], names, words, escaped)
    parts = [report.changed(), report.who(reasons=REASONS), late, report.sure(), report.glance(brief=True)]
    markdown = "\n\n".join(filter(None, parts))
    html = (
        _head(words, head["title"], head["subtitle"], report.run)
        + _pandoc(markdown, "html5")
        + f'<img src="cid:pd" width="592" alt="{words("Mean PD of the portfolio over time, and the failures that followed.")}">'
        + _link(params, words("Open the dashboards"), "executive")
        + _foot(words, run_id, *_sealed(words, end))
    )
    dated = words("{title}, {date}", title=title("report", options), date=words.date(report.run["as_of"]))
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


Sheet = Callable[[str, str], Path]
"""Company and language → the PDF of its tear sheet."""


def alert_letters(
    workspace: Workspace, params: Params, engine: Any, sheet: Sheet | None = None, now: dt.datetime | None = None
) -> list[Letter]:
    """Return what each channel is to be told: the open alerts that it was not told of yet, one message a company, or a digest
    where there are more than ``digest_above``. In quiet hours they wait for their end.

    sheet: makes the tear sheet that a mail about one company has with it where params name no address of the dashboards. What was
    only written to the folder counts as told until the channel can send.
    """
    report = RiskReport(workspace, for_stage(workspace, "report"))
    fresh = standing(engine, which(report).source).filter(pl.col("state") == "open")
    known, about, letters = told(engine, ready(params.delivery)), facts(report), []
    for name, channel in params.delivery.channels.items():
        mine = fresh.filter(
            pl.col("severity").is_in(SEVERITIES[SEVERITIES.index(channel.severity) :]),
            ~pl.col("alert_id").is_in(sorted(known.get(name, ()))),
        ).to_dicts()
        groups = [mine] if len(mine) > channel.digest_above else [list(case.alerts) for case in cases(mine, {})]
        later = quiet_until(channel, params.delivery.timezone, now or dt.datetime.now(dt.UTC))
        post = _Post(name, channel, report, params, later, about)
        for group in groups:
            letters += post.mails(group, sheet) if channel.kind == "mail" else [post.message(group)]
    return letters


@dataclass(frozen=True)
class _Post:
    """What one channel is told, in its language."""

    name: str
    channel: Channel
    report: RiskReport
    params: Params
    later: dt.datetime | None
    facts: Mapping[str, Fact]

    @property
    def words(self) -> Words:
        return Words(self.channel.lang or self.params.report.lang)

    def _about(self, group: list[dict[str, Any]]) -> str:
        ids = sorted(alert["alert_id"] for alert in group)
        return f"alert {ids[0]}" if len(ids) == 1 else f"alerts {digest(ids)[:32]}"

    def _lines(self, group: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
        """Return a line for each company, or whatever else alerts are of, and what is said of those that there is no room for."""
        found = cases(group, self.facts, self.report.run["run_id"])
        left, words = len(found) - MOST_LINES, self.words
        lines = [_line(case, self.report, words) for case in found[:MOST_LINES]]
        return lines, [words("… and {n} more.", n=words.number(left))] if left > 0 else []

    def _target(self, group: list[dict[str, Any]]) -> str:
        company = _company(group)
        return f"company?company={quote(company, safe='')}" if company else "executive"

    def message(self, group: list[dict[str, Any]]) -> Letter:
        """Return a message for chat or a webhook."""
        lines, more = self._lines(group)
        link, run_id = _plain_link(self.params, self._target(group)), self.report.run["run_id"]
        marks = _marks(self.words, self.report.run)
        text = "\n".join([*marks, *(f"• {line}" for line in lines), *more, *filter(None, [link]), _signed(self.words, run_id)])
        kind = "failure" if any(alert["severity"] == "high" for alert in group) else "warning"
        subject = _subject(group, self.report, self.words)
        body = json.dumps({"title": subject, "body": text, "type": kind}, ensure_ascii=False).encode()
        ids = tuple(alert["alert_id"] for alert in group)
        return Letter(self.name, self.channel.kind, self._about(group), subject, body, run_id, self.later, ids)

    def mails(self, group: list[dict[str, Any]], sheet: Sheet | None) -> list[Letter]:
        """Return a mail to each recipient."""
        words, report, (lines, more) = self.words, self.report, self._lines(group)
        run_id, target, company = report.run["run_id"], self._target(group), _company(group)
        items = "".join(f"<li>{_html(line)}</li>" for line in lines)
        rest = "".join(f"<p>{_html(line)}</p>" for line in more)
        own = for_stage(report.workspace, "report", {"report": {"lang": words.language}})
        subject, subtitle = _subject(group, report, words), page_metadata(report.workspace, "report", own)["subtitle"]
        html = (
            f"{_head(words, words('Alerts'), subtitle, report.run)}<ul>{items}</ul>{rest}"
            f"{_link(self.params, words('Open the dashboards'), target)}{_foot(words, run_id)}"
        )
        link = _plain_link(self.params, target)
        head = [subject, *_marks(words, report.run), ""]
        text = "\n".join([*head, *(f"* {line}" for line in lines), *more, "", link, _signed(words, run_id)])
        with_sheet = sheet is not None and company is not None and not self.params.delivery.dashboards
        attached = [sheet(company, words.language)] if with_sheet else []  # type: ignore[misc, arg-type]
        ids = tuple(alert["alert_id"] for alert in group)
        return [
            letter(
                channel=self.name, recipient=to, about=self._about(group), sender=self.params.delivery.sender, subject=subject,
                html=html, text=text, lang=words.language, run_id=run_id, not_before=self.later, attached=attached, alerts=ids,
            )
            for to in self.channel.recipients
        ]  # fmt: skip


def _company(group: list[dict[str, Any]]) -> str | None:
    """Return the company that a message is about; None where it is of several, or of something else."""
    subjects = {(alert["kind"], alert["subject"]) for alert in group}
    return group[0]["subject"] if len(subjects) == 1 and group[0]["kind"] == "company" else None


def _line(case: Case, report: RiskReport, words: Words) -> str:
    """Return the alerts on one company, or whatever else they are of, as a line: of whom, what, how many, what to do first, and
    why the model sees it so."""
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
    return f"{name}, {rows[0]['rating']}: {said}. {step}" + (f" {first_sentences(why, REASONS)}" if why else "")


def _subject(group: list[dict[str, Any]], report: RiskReport, words: Words) -> str:
    begin = _first_words(words, report.run)
    found = cases(group, {})
    if len(found) > 1:
        return begin + words(
            "{alerts} on {subjects}, {high} of high severity",
            alerts=words.count("{n} alert", "{n} alerts", n=len(group)),
            subjects=subjects(found, words),
            high=words.number(sum(alert["severity"] == "high" for alert in group)),
        )
    names = dict(report.companies.select("company_id", "name").iter_rows())
    of = " ".join(found[0].named(words, names).split())  # in one line, whatever a name holds
    severity, rule = words(SEVERITY[found[0].severity]), words(found[0].first["rule"])
    if len(group) > 1:
        return begin + words(
            "{severity} alert: {rule} and {n} more, {name}", n=len(group) - 1, severity=severity, rule=rule, name=of
        )
    return begin + words("{severity} alert: {rule}, {name}", severity=severity, rule=rule, name=of)


def notice(params: Params, cycle_id: str, step: str, error: str) -> list[Letter]:
    """Return the notice to the owner that a step of a cycle failed, once for an error; none where params name no owner."""
    words = Words(params.report.lang)
    subject = words("The cycle {cycle} failed at '{step}'", cycle=cycle_id, step=step)
    text = words("What was done before it is kept; run `quiebra schedule` again when it is mended.")
    return _to_owner(params, f"failure {cycle_id} {step} {digest(error)[:8]}", subject, text, error)


def stale(params: Params, as_of: dt.date, days: int) -> list[Letter]:
    """Return the notice to the owner that the data are old; once for a date of the data, none where params name no owner."""
    words = Words(params.report.lang)
    subject = words.count("The data are {n} day old", "The data are {n} days old", n=days)
    text = words(
        "They are as of {date}, and schedule.stale_days is {most}: is the source still being fed?",
        date=words.date(as_of), most=params.schedule.stale_days,
    )  # fmt: skip
    return _to_owner(params, f"stale {as_of}", subject, text)


def _to_owner(params: Params, about: str, subject: str, text: str, error: str = "") -> list[Letter]:
    if params.delivery.owner is None:
        return []
    lang, sender, owner = Words(params.report.lang).language, params.delivery.sender, params.delivery.owner
    cause = f"<pre>{_html(error)}</pre>" if error else ""
    html = f"<p class='brand'>QUIEBRA</p><h1>{_html(subject)}</h1><p>{_html(text)}</p>{cause}"
    plain = f"{subject}\n\n{text}\n\n{error}\n"
    made = letter(
        channel="notice", recipient=owner, about=about, sender=sender, subject=subject, html=html, text=plain, lang=lang
    )  # fmt: skip
    return [made]


def last_resort(workspace: Workspace, error: str, *, began: bool = False) -> None:
    """Tell the owner that no cycle could even begin, or that one failed (``began``), by mail and without database and disk;
    whatever stands in the way of that is passed over, since the caller says the error itself."""
    url = smtp_url()
    with contextlib.suppress(QuiebraError, KeyError, TypeError, AttributeError, ValueError):
        delivery = read(workspace.root / "params.yaml")["delivery"]
        if url is None or not delivery["owner"]:
            return
        subject = "Quiebra: a cycle failed" if began else "Quiebra: no cycle could begin"
        html = f"<p class='brand'>QUIEBRA</p><h1>{_html(subject)}</h1><pre>{_html(error)}</pre>"
        made = letter(
            channel="notice", recipient=delivery["owner"], about=f"failure {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M}",
            sender=delivery["from"], subject=subject, html=html, text=f"{subject}\n\n{error}\n", lang="en",
        )  # fmt: skip
        smtp.send(smtp.server(url), delivery["from"], delivery["owner"], made.body, lambda: None)


def languages(params: Params) -> Iterable[str]:
    """Return the languages that recipients want beside that of params: reports are made in those too."""
    return sorted({r.lang for r in params.delivery.recipients if r.lang} - {params.report.lang})


def quiet_until(channel: Channel, timezone: str, now: dt.datetime) -> dt.datetime | None:
    """Return the end of the channel's quiet hours (UTC, without a zone) where ``now`` lies in them; None otherwise.

    now: with a time zone. Quiet hours may go over midnight.
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
    said = _marks(words, run) + ([words("SIMULATED: these companies do not exist.")] if run["simulated"] else [])
    banner = "".join(f'<p class="simulated">{_html(text)}</p>' for text in said)
    return f'<p class="brand">QUIEBRA</p><h1>{_html(heading)}</h1><p class="subtitle">{_html(subtitle)}</p>{banner}'


def _first_words(words: Words, run: Mapping[str, Any]) -> str:
    """Return what a subject begins with: that the model is not in charge, failed a gate, or that companies are simulated."""
    headings = [words(heading) for heading, _ in banners(run)] + ([words("SIMULATED")] if run["simulated"] else [])
    return "".join(f"{heading}: " for heading in headings)


def _marks(words: Words, run: Mapping[str, Any]) -> list[str]:
    """Return what a message must say first of the model behind it; mostly nothing."""
    return [f"{words(heading)}: {words.say(text)}" for heading, text in banners(run)]


def _foot(words: Words, run_id: str, *more: str) -> str:
    return "".join(f'<p class="foot">{_html(line)}</p>' for line in (_signed(words, run_id), *more))


def _sealed(words: Words, end: tuple[int, str] | None) -> list[str]:
    """Return the line that keeps the end of the audit chain where nobody with the database can change it."""
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
    return pypandoc.convert_text(markdown, to, format="markdown+pipe_tables-yaml_metadata_block", extra_args=["--wrap=none"])


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    figure.set_dpi(150)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
