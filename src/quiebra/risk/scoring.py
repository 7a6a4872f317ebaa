"""Score statements with a saved model: PD, grade, watch flag and Altman scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from functools import lru_cache

import polars as pl

from quiebra.errors import PanelError
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.items import VERSION_KEYS
from quiebra.models import PdModel
from quiebra.params import Score
from quiebra.risk.rating import grade_of_pd, is_on_watch

ALTMAN_COLUMNS = [*ALTMAN_SCORES, *(f"{name}_zone" for name in ALTMAN_SCORES)]


def current_statements(features: pl.DataFrame, events: pl.DataFrame, as_of: dt.date, max_age_months: int) -> pl.DataFrame:
    """Return each living company's latest statement as known on ``as_of``, in its latest version by then.

    Companies with an event by that date, and those whose latest period_end is older than ``max_age_months``, are left out.
    Raise PanelError where no company is left.
    """
    failed = events.filter(pl.col("event_date") <= as_of)["company_id"].implode()
    oldest = pl.lit(as_of).dt.offset_by(f"-{max_age_months}mo")
    today = (
        features.filter((pl.col("available_at") <= as_of) & ~pl.col("company_id").is_in(failed))
        .sort("company_id", "fiscal_year", "available_at")
        .unique("company_id", keep="last", maintain_order=True)
        .filter(pl.col("period_end") >= oldest)
    )
    if today.is_empty():
        raise PanelError(f"no living company has a statement of the {max_age_months} months before {as_of}: change run.as_of")
    return today


def of_sources(rows: pl.DataFrame, statements: pl.DataFrame, sources: Collection[str]) -> pl.DataFrame:
    """Return the rows of firm-years whose companies' latest statement is of one of the sources; all where none is named.

    rows: company_id. statements: of the panel.
    """
    if not sources:
        return rows
    latest = statements.sort("company_id", "fiscal_year", "available_at").unique("company_id", keep="last")
    return rows.join(latest.filter(pl.col("source").is_in(list(sources))), on="company_id", how="semi", maintain_order="left")


def refuse_no_company(today: pl.DataFrame, sources: Collection[str]) -> None:
    """Raise PanelError where no company of the sources is to be scored."""
    if today.is_empty():
        raise PanelError(
            f"no company of score.sources ({', '.join(sources)}) has a recent statement on the day of scoring: set run.as_of to "
            "the time of its latest accounts, or score.max_age_months higher"
        )


def score_statements(model: PdModel, features: pl.DataFrame, score: Score) -> pl.DataFrame:
    """Return company_id, fiscal_year, available_at, log-odds, PDs, rating, watch, and the Altman scores and zones."""
    return add_grades(features[[*VERSION_KEYS, *ALTMAN_COLUMNS]].hstack(model.predict(features)), score)


def add_grades(scores: pl.DataFrame, score: Score) -> pl.DataFrame:
    """Add rating and watch to scores with ``pd_12m``."""
    return scores.with_columns(_grades(tuple(score.grades.items()), score.watch_from))


@lru_cache(maxsize=16)
def _grades(scale: tuple[tuple[str, float], ...], watch_from: str) -> tuple[pl.Expr, pl.Expr]:
    grades = dict(scale)
    rating = grade_of_pd(pl.col("pd_12m"), grades)
    return rating.alias("rating"), is_on_watch(rating, grades, watch_from).alias("watch")
