"""Tables of the workspace, as pandas or Polars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from quiebra.io.files import read_json
from quiebra.items import FIRM_YEAR_KEYS, ITEM_NAMES
from quiebra.research.frames import FrameKind, to_frame
from quiebra.research.run import ResearchRun, open_run

Place = str | Path | None
"""A workspace's folder, or one in it; None: the current folder."""


def panel(frame: FrameKind = "pandas", workspace: Place = None) -> Any:
    """Return one row per firm-year as first published: keys, the company's name, country, region, sector, items in
    millions, and the outcome.

    failed: 1 where the company failed within a year, as known today, 0 otherwise, missing where that is not known yet.
    outcome: as in `labels`.
    """
    run = open_run(workspace)
    known = _known_outcomes(run)
    first = run.statements.sort("company_id", "fiscal_year", "available_at").unique(
        FIRM_YEAR_KEYS, keep="first", maintain_order=True
    )
    table = first.join(run.companies, on="company_id", how="left", maintain_order="left").join(
        known.select(*FIRM_YEAR_KEYS, "failed", "outcome"), on=FIRM_YEAR_KEYS, how="left", maintain_order="left"
    )
    keys = [*FIRM_YEAR_KEYS, "name", "country", "region", "sector", "period_end", "available_at", "currency"]
    return to_frame(table.select(*keys, *ITEM_NAMES, "failed", "outcome"), frame)


def statements(frame: FrameKind = "pandas", workspace: Place = None) -> Any:
    """Return every published version of every firm-year: keys, period_end, available_at, currency, source, and items in
    millions."""
    return to_frame(open_run(workspace).statements, frame)


def features(frame: FrameKind = "pandas", workspace: Place = None) -> Any:
    """Return the features of every published statement, from data known when it was published: keys, sector, features, Altman
    scores and zones. `quiebra dictionary` describes each."""
    return to_frame(open_run(workspace).features, frame)


def labels(frame: FrameKind = "pandas", workspace: Place = None) -> Any:
    """Return the outcome of each firm-year as known today: failed (1 within a year, 0 otherwise, missing where open) and outcome
    (failed, survived, exited alive, open); see `quiebra.panels.label_outcomes`."""
    run = open_run(workspace)
    return to_frame(_known_outcomes(run), frame)


def scores(frame: FrameKind = "pandas", workspace: Place = None, *, history: bool = False) -> Any:
    """Return today's scores by the champion, with names, grades and reasons; with ``history`` those of past years, each out of
    time, as first published."""
    run = open_run(workspace)
    return to_frame(run.history if history else run.scores, frame)


def macro(frame: FrameKind = "pandas", workspace: Place = None) -> Any:
    """Return the macro series: series, date, value, and available_at, when the value could be known."""
    return to_frame(open_run(workspace).panel("macro"), frame)


def back_test(frame: FrameKind = "pandas", workspace: Place = None) -> Any:
    """Return how the alert rules of params.yaml would have done on failures that happened, a row each, ``any`` for all together.

    recall: share of failures under alert in the three years before (`alerts.back_test.horizon_years`), with its interval.
    precision: share of alerts that were followed by a failure.
    lead_years: how long before.
    under_alert: share of companies under alert at a time.
    cost: in false alarms, a missed failure costing `miss_cost` of them.
    """
    folder = open_run(workspace).workspace.alerts
    found = read_json(folder / "back_test.json")
    columns = ("recall", "precision", "lead_years", "under_alert", "alerts", "failures", "false_alarms_a_year", "cost")
    rows = [
        {"rule": rule, **{name: figures[name] for name in columns}, **_bounds(figures, "recall")}
        for rule, figures in {"any": found["any"], **found["by_rule"]}.items()
    ]
    return to_frame(pl.DataFrame(rows, infer_schema_length=None), frame)


def _bounds(figures: dict[str, Any], name: str) -> dict[str, Any]:
    low, high = figures["interval"].get(name, (None, None))
    return {f"{name}_low": low, f"{name}_high": high}


def _known_outcomes(run: ResearchRun) -> pl.DataFrame:
    """Return the outcomes; failed is null, and outcome open, after the last year whose outcome is known."""
    after = pl.col("fiscal_year") > run.source["outcomes_through"]
    return run.outcomes.with_columns(
        failed=pl.when(after & (pl.col("outcome") != "failed")).then(None).otherwise("failed"),
        outcome=pl.when(after & (pl.col("outcome") == "exited")).then(pl.lit("open")).otherwise("outcome"),
    )
