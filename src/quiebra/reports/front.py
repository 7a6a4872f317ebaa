"""The head of a report: title, subtitle, language and status. Apart from the contents, so that formatting a page imports no model."""

from __future__ import annotations

from quiebra.banners import banners
from quiebra.files import read_json
from quiebra.params import StageParams
from quiebra.words import Words, mark
from quiebra.workspace import Workspace

TITLES = {
    "report": mark("Bankruptcy risk report"),
    "validation_report": mark("Validation report"),
    "tear_sheet": mark("Tear sheet"),
}
"""Stage → title of its page; ``report.title`` in params replaces the first."""


def title(stage: str, params: StageParams) -> str:
    """Return a report's title in its language."""
    own = params.report.title if stage == "report" else None
    return own or Words(params.report.lang)(TITLES[stage])


def page_metadata(workspace: Workspace, stage: str, params: StageParams) -> dict[str, str]:
    """Return title, subtitle, language and status of a report: what it is of, as of when, and from which run."""
    run, source, words = (
        read_json(workspace.scores / "run.json"),
        read_json(workspace.panel / "source.json"),
        Words(params.report.lang),
    )
    marks = [words(heading) for heading, _ in banners(run)] + ([words("SIMULATED")] if run["simulated"] else [])
    as_of = words("as of {date}", date=words.date(run["as_of"]))
    parts = [*marks, words(source["title"]), as_of, words("run {run}", run=run["run_id"]), words(params.report.status)]
    return {
        "title": title(stage, params), "subtitle": " · ".join(parts), "lang": words.language, "status": words(params.report.status)
    }  # fmt: skip
