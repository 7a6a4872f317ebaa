"""A company's figures as one self-contained HTML file for printing or sending."""

from __future__ import annotations

from quiebra.dashboards.pages.base import page_banners, page_footer
from quiebra.dashboards.widgets.markup import Markup, bullet_list, chip, escape, html_table, titled_lists
from quiebra.dashboards.widgets.theme import brand_css
from quiebra.items import ITEMS
from quiebra.models.reasons import ALTMAN_LABELS
from quiebra.risk import scored_company
from quiebra.risk.scored_company import ScoredCompany
from quiebra.services import company
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words

STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;max-width:760px;margin:24px auto;padding:0 16px;color:var(--brand-ink)}"
    "h1{font-size:22px;margin:0}h3{font-size:13px;margin:8px 0 0}"
    "h2{font-size:15px;margin:18px 0 4px;border-bottom:1px solid var(--brand-mist)}"
    "table{border-collapse:collapse;width:100%}td,th{padding:3px 8px;border-bottom:1px solid var(--brand-mist);text-align:left}"
    ".q-number{text-align:right}.q-chip{padding:1px 9px;border-radius:5px;font-weight:650}"
    ".sim{background:var(--brand-sand);padding:4px 10px;font-weight:600}.foot{font-size:12px;margin-top:20px}"
)


def company_page_html(view: FinishedRunView, subject: ScoredCompany, words: Words) -> str:
    """Return the file: PDs with intervals, reasons, effects, Altman scores, history, statement, flags, and provenance."""
    score = subject.score
    pds, lows, highs = scored_company.pd_term_structure(score)
    terms = [
        (words("{n} y", n=year), words.percent(p), words.percent(low), words.percent(high))
        for year, p, low, high in zip(range(1, 6), pds, lows, highs, strict=True)
    ]
    effects = [(name, words.signed(effect)) for name, effect in scored_company.score_steps(subject, words)]
    altman = [
        (ALTMAN_LABELS[name], words.number(value, 2), words(zone or "not available"))
        for name, value, zone, _ in scored_company.altman_rows(subject)
    ]
    past = scored_company.pd_history(view, subject).select("fiscal_year", "pd_12m", "rating").iter_rows()
    statement = [(words(item.label), words.number(subject.statement[item.name], 1)) for item in ITEMS]
    sections = {
        words("PD over one to five years"): html_table(["", "PD", words("from"), words("to")], terms, {1, 2, 3}),
        words("Why"): titled_lists(scored_company.reasons_by_heading(subject, words))
        + html_table([words("Concept"), words("log-odds of failure")], effects, {1}),
        words("Altman scores"): html_table([words("Score"), words("Value"), words("Zone")], altman, {1}),
        words("What was said each year"): html_table(
            [words("Year"), "PD", words("Grade")], [(str(y), words.percent(p), rating) for y, p, rating in past], {1}
        ),
        words("Statement, millions of {currency}", currency=subject.statement["currency"]): html_table(
            [words("Item"), words("Value")], statement, {1}
        ),
        words("Alerts and analysts"): bullet_list(
            company.decisions_on_company(view, subject.company_id, words) or [words("No alert stands.")]
        ),
        words("The data behind it"): bullet_list(
            scored_company.data_flags(view, subject, words) or [words("Nothing to remark.")]
        ),
    }
    place = " · ".join(dict.fromkeys(part for part in (subject.company_id, subject.sector) if part))
    simulated = Markup(page_banners(view, words).replace("q-simulated", "sim"))
    body = Markup("<h1>{} {}</h1><p>{}</p>{}{}<p class='foot'>{}</p>").format(
        subject.name,
        chip(score["rating"]),
        place,
        simulated,
        Markup("").join(Markup("<h2>{}</h2>{}").format(title, content) for title, content in sections.items()),
        page_footer(view, words),
    )
    style = STYLE + brand_css(list(view.params.score.grades))
    return (
        f"<!DOCTYPE html><html lang='{words.language}'><head><meta charset='utf-8'><title>{escape(subject.name)}</title>"
        f"<style>{style}</style></head><body>{body}</body></html>"
    )
