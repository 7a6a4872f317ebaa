"""What the messages say: the monthly mail, alerts to each channel, and the notice to the owner that a cycle failed."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import polars as pl
import pypandoc

from quiebra import plots
from quiebra.alerts.evaluation import which
from quiebra.alerts.states import alerts as standing
from quiebra.alerts.wording import SEVERITY, sentence, subject
from quiebra.delivery.mail import letter
from quiebra.delivery.outbox import Letter
from quiebra.errors import DeliveryError
from quiebra.params import Params, for_stage
from quiebra.params.operations import SEVERITIES, Channel
from quiebra.reports.front import page_metadata, title
from quiebra.reports.risk_report import RiskReport
from quiebra.words import Words
from quiebra.workspace import Workspace

MOST_LINES = 20
"""Alerts named in one message; the others are counted."""


def report_letters(workspace: Workspace, params: Params) -> list[Letter]:
    """Return the monthly mail to each recipient in their language: the summary, a picture, and the report as PDF and page."""
    made: dict[str, dict[str, Any]] = {}
    letters = []
    for recipient in params.delivery.recipients:
        lang = recipient.lang or params.report.lang
        if lang not in made:
            made[lang] = _summary(workspace, params, lang)
        letters.append(letter(channel="report", recipient=recipient.address, sender=params.delivery.sender, **made[lang]))
    return letters


def _summary(workspace: Workspace, params: Params, lang: str) -> dict[str, Any]:
    options = for_stage(workspace, "report", {"report": {"lang": lang}})
    report, words = RiskReport(workspace, options), Words(lang)
    head, run_id = page_metadata(workspace, "report", options), report.run["run_id"]
    folder = workspace.build if lang == params.report.lang else workspace.build / lang
    files = [folder / "risk_report.pdf", folder / "risk_report.html"]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DeliveryError(f"there is no {' and no '.join(missing)} in {folder.name}: run `quiebra report`, which makes it")
    parts = [report.changed(), report.who(), report.sure(), report.glance(brief=True)]
    markdown = "\n\n".join(parts)
    html = (
        _head(words, head["title"], head["subtitle"], report.simulated)
        + _pandoc(markdown, "html5")
        + f'<img src="cid:pd" alt="{words("Mean PD of the portfolio over time, and the failures that followed.")}">'
        + _link(params, words("Open the dashboards"), "executive")
        + _foot(words, run_id)
    )
    simulated = f"{words('SIMULATED')}: " if report.simulated else ""
    dated = words("{title}, {date}", title=title("report", options), date=words.date(report.run["as_of"]))
    text = f"{head['title']}\n{head['subtitle']}\n\n{_pandoc(markdown, 'plain')}\n{_plain_link(params, 'executive')}"
    return {
        "about": f"report {run_id} {lang}",
        "subject": simulated + (params.delivery.subject or dated),
        "html": html,
        "text": text,
        "lang": lang,
        "pictures": {"pd": _png(plots.pd_over_time(report.years, words, height=2.1))},
        "attached": files,
        "run_id": run_id,
    }


def alert_letters(workspace: Workspace, params: Params, engine: Any, now: dt.datetime | None = None) -> list[Letter]:
    """Return what each channel is told of the alerts that the finished run raised and that are still open: one message each, or a
    digest where there are more than ``digest_above``. In quiet hours they wait for their end."""
    report = RiskReport(workspace, for_stage(workspace, "report"))
    run = which(report)
    fresh = standing(engine, run.source).filter((pl.col("raised_run") == run.run_id) & (pl.col("state") == "open"))
    letters: list[Letter] = []
    for name, channel in params.delivery.channels.items():
        mine = fresh.filter(pl.col("severity").is_in(SEVERITIES[SEVERITIES.index(channel.severity) :])).to_dicts()
        if mine:
            letters += _to_channel(name, channel, mine, report, params, now or dt.datetime.now(dt.UTC))
    return letters


def _to_channel(
    name: str, channel: Channel, alerts: list[dict[str, Any]], report: RiskReport, params: Params, now: dt.datetime
) -> list[Letter]:
    words = Words(channel.lang or params.report.lang)
    run_id = report.run["run_id"]
    later = quiet_until(channel, params.delivery.timezone, now)
    groups = [alerts] if len(alerts) > channel.digest_above else [[alert] for alert in alerts]
    letters = []
    for group in groups:
        about = f"alert {group[0]['alert_id']}" if len(group) == 1 else f"alerts {run_id}"
        lines = [_line(alert, report, words) for alert in group[:MOST_LINES]]
        more = [words("… and {n} more.", n=len(group) - MOST_LINES)] if len(group) > MOST_LINES else []
        subject = _subject(group, report, words)
        company = group[0]["subject"] if len(group) == 1 and group[0]["kind"] == "company" else None
        target = f"company?company={quote(company, safe='')}" if company else "executive"
        if channel.kind == "mail":
            letters += [
                _alert_mail(name, to, about, subject, lines, more, target, params, report, words, later)
                for to in channel.recipients
            ]
            continue
        text = "\n".join(
            [*(f"• {line}" for line in lines), *more, *filter(None, [_plain_link(params, target)]), _signed(words, run_id)]
        )
        kind = "failure" if any(alert["severity"] == "high" for alert in group) else "warning"
        body = json.dumps({"title": subject, "body": text, "type": kind}, ensure_ascii=False).encode()
        letters.append(Letter(name, channel.kind, about, subject, body, run_id, later))
    return letters


def _alert_mail(
    name: str,
    to: str,
    about: str,
    subject: str,
    lines: list[str],
    more: list[str],
    target: str,
    params: Params,
    report: RiskReport,
    words: Words,
    later: dt.datetime | None,
) -> Letter:
    run_id = report.run["run_id"]
    items = "".join(f"<li>{_html(line)}</li>" for line in lines)
    rest = "".join(f"<p>{_html(line)}</p>" for line in more)
    subtitle = page_metadata(report.workspace, "report", report.params)["subtitle"]
    html = (
        f"{_head(words, words('Alerts'), subtitle, report.simulated)}<ul>{items}</ul>{rest}"
        f"{_link(params, words('Open the dashboards'), target)}{_foot(words, run_id)}"
    )
    text = "\n".join(
        [subject, "", *(f"* {line}" for line in lines), *more, "", _plain_link(params, target), _signed(words, run_id)]
    )
    return letter(
        channel=name,
        recipient=to,
        about=about,
        sender=params.delivery.sender,
        subject=subject,
        html=html,
        text=text,
        lang=words.language,
        run_id=run_id,
        not_before=later,
    )


def _line(alert: Mapping[str, Any], report: RiskReport, words: Words) -> str:
    """Return an alert as a line: of whom, what, and why the model sees it so."""
    said = sentence(alert, words, list(report.params.score.grades))
    if alert["kind"] != "company":
        return f"{subject(alert, words, {})}: {said}"
    rows = report.scores.filter(pl.col("company_id") == alert["subject"]).to_dicts()
    if not rows:
        return f"{alert['subject']}: {said}"
    why = rows[0]["reasons_es" if words.language == "es" else "reasons"]
    name = rows[0]["name"] if rows[0]["name"] == alert["subject"] else f"{rows[0]['name']} ({alert['subject']})"
    return f"{name}, {rows[0]['rating']}: {said}" + (f". {why}" if why else "")


def _subject(group: list[dict[str, Any]], report: RiskReport, words: Words) -> str:
    simulated = f"{words('SIMULATED')}: " if report.simulated else ""
    if len(group) > 1:
        high = sum(alert["severity"] == "high" for alert in group)
        return simulated + words("{n} alerts, {high} of high severity", n=len(group), high=high)
    names = dict(report.companies.select("company_id", "name").iter_rows())
    of = " ".join(str(names.get(group[0]["subject"], group[0]["subject"])).split())  # in one line, whatever a name holds
    return simulated + words(
        "{severity} alert: {rule}, {name}",
        severity=words(SEVERITY[group[0]["severity"]]),
        rule=words(group[0]["rule"]),
        name=of,
    )


def notice(params: Params, cycle_id: str, step: str, error: str) -> list[Letter]:
    """Return the notice to the owner that a step of a cycle failed; none where params name no owner."""
    if params.delivery.owner is None:
        return []
    words = Words(params.report.lang)
    subject = words("The cycle {cycle} failed at '{step}'", cycle=cycle_id, step=step)
    text = words("What was done before it is kept; run `quiebra schedule` again when it is mended.")
    html = f"<p class='brand'>QUIEBRA</p><h1>{_html(subject)}</h1><p>{_html(text)}</p><pre>{_html(error)}</pre>"
    return [
        letter(
            channel="notice",
            recipient=params.delivery.owner,
            about=f"failure {cycle_id} {step}",
            sender=params.delivery.sender,
            subject=subject,
            html=html,
            text=f"{subject}\n\n{text}\n\n{error}\n",
            lang=words.language,
        )
    ]


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


def _head(words: Words, heading: str, subtitle: str, simulated: bool) -> str:
    banner = f'<p class="simulated">{words("SIMULATED: these companies do not exist.")}</p>' if simulated else ""
    return f'<p class="brand">QUIEBRA</p><h1>{_html(heading)}</h1><p class="subtitle">{_html(subtitle)}</p>{banner}'


def _foot(words: Words, run_id: str) -> str:
    return f'<p class="foot">{_html(_signed(words, run_id))}</p>'


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
