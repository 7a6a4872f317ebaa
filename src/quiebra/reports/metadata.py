"""A report's title, subtitle, language and status; a separate module, so that rendering imports no model."""

from __future__ import annotations

from quiebra.banners import run_banners
from quiebra.io.files import read_json
from quiebra.params import StageParams
from quiebra.text.words import Words, translatable
from quiebra.workspace import Workspace

TITLES = {
    "report": translatable("Bankruptcy risk report"),
    "validation_report": translatable("Validation report"),
    "tear_sheet": translatable("Tear sheet"),
}
"""Stage → title of its report; ``report.title`` in params replaces that of "report"."""


def report_title(stage: str, params: StageParams) -> str:
    """Return a report's title in its language."""
    own = params.report.title if stage == "report" else None
    return own or Words(params.report.lang)(TITLES[stage])


def page_metadata(workspace: Workspace, stage: str, params: StageParams) -> dict[str, str]:
    """Return title, subtitle (source, as-of date, run and banners), language and status of a report."""
    run, source, words = (
        read_json(workspace.scores / "run.json"),
        read_json(workspace.panel / "source.json"),
        Words(params.report.lang),
    )
    marks = [words(heading) for heading, _ in run_banners(run)]
    as_of = words("as of {date}", date=words.date(run["as_of"]))
    parts = [*marks, words(source["title"]), as_of, words("run {run}", run=run["run_id"]), words(params.report.status)]
    return {
        "title": report_title(stage, params),
        "subtitle": " · ".join(parts),
        "lang": words.language,
        "status": words(params.report.status),
    }
