"""Horizons: years from a firm-year to the company's failure, and years for which its outcome is known."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quiebra.panels.labels import label_outcomes
from quiebra.params import Labels


def known_outcomes(
    statements: pl.DataFrame, events: pl.DataFrame, labels: Labels, *, known_at: dt.date, last_year: int
) -> pl.DataFrame:
    """Return `outcome_horizons` up to ``last_year`` as known on ``known_at``, for a model made on that date."""
    known = label_outcomes(statements, events, window_months=labels.window_months, known_at=known_at)
    return outcome_horizons(known, last_year, exits_survive=labels.alive_exits == "survived")


def outcome_horizons(labels: pl.DataFrame, last_year: int, *, exits_survive: bool) -> pl.DataFrame:
    """Return the labels up to ``last_year`` with years_to_failure and years_known, both counted in one-year periods.

    labels: from `quiebra.panels.label_outcomes`, as known on a date.
    years_to_failure: 1 where the row itself is labelled as failed, 2 a fiscal year before it, and so on; null where no failure of
        the company is known by ``last_year``.
    years_known: periods whose outcome is known; 0 where not even the first is.

    A last statement with outcome ``open`` or ``exited`` ends the company's known periods: the period after it is not known. With
    ``exits_survive`` an exited company counts as never failing instead: hazards are then those of the subdistribution, and they
    add up to the share that fails (Fine and Gray, 1999).
    """
    stopping = {"open": True, "exited": not exits_survive}
    stop = pl.col("outcome").replace_strict(stopping, default=False, return_dtype=pl.Boolean)
    of_company = {
        "failure": pl.when(pl.col("failed") == 1).then(pl.col("fiscal_year")).max().over("company_id"),
        "stop": pl.when(stop).then(pl.col("fiscal_year")).max().over("company_id"),
    }
    until = pl.min_horizontal(pl.lit(last_year + 1), pl.col("stop"))
    to_failure = pl.col("failure") - pl.col("fiscal_year") + 1
    return (
        labels.with_columns(**of_company)
        .filter(pl.col("fiscal_year") <= last_year)
        .with_columns(
            years_to_failure=pl.when(pl.col("failure") <= last_year).then(to_failure).cast(pl.Int32),
            years_known=(until - pl.col("fiscal_year")).clip(0).cast(pl.Int32),
        )
        .drop("failure", "stop")
    )
