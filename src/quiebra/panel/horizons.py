"""Horizons: how many years on a firm-year's failure came, and for how many years its outcome is known."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quiebra.panel.labels import label
from quiebra.params import Labels


def known_outcomes(
    statements: pl.DataFrame, events: pl.DataFrame, labels: Labels, *, known_at: dt.date, last_year: int
) -> pl.DataFrame:
    """Return `outlook` of the fiscal years up to ``last_year`` as it was on a date: all that a model made then may learn from."""
    known = label(statements, events, window_months=labels.window_months, known_at=known_at)
    return outlook(known, last_year, exits_survive=labels.alive_exits == "survived")


def outlook(labels: pl.DataFrame, last_year: int, *, exits_survive: bool) -> pl.DataFrame:
    """Return the labels up to ``last_year`` with years_to_failure and years_known, both in one-year periods.

    labels: from `quiebra.panel.label`, as known on a date. years_to_failure: 1 where the row itself is the event, 2 a fiscal year
    before it, and so on; missing where no failure of the company is known by ``last_year``. years_known: periods whose outcome
    is known, 0 where not even the first is.

    An exit ends what is known with the last statement before it; with ``exits_survive`` the company counts as one that does not
    fail thereafter, so that hazards are of the subdistribution and make up the share that fails (Fine and Gray, 1999).
    A last statement whose outcome is still open ends what is known with the period before it.
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
