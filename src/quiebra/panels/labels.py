"""Outcome labels: which firm-years were followed by failure, as known on a date."""

from __future__ import annotations

import datetime as dt

import polars as pl


def label_outcomes(
    statements: pl.DataFrame, events: pl.DataFrame, *, window_months: int = 24, known_at: dt.date | None = None
) -> pl.DataFrame:
    """Return one row per firm-year with its outcome at a one-year horizon, as known on ``known_at`` (None: all that is known).

    statements: company_id, fiscal_year, period_end, available_at; of restated firm-years only the first published version counts.
        Rows whose ``labelled`` is false, since their source does not vouch for their outcome, have none and are left out.
    events: company_id, event_date; at most one per company.

    Columns: company_id, fiscal_year, period_end, available_at, failed (0 or 1) and outcome:

    - ``failed``: the company's last statement, where an event came within ``window_months`` of its period_end. Only this row is
      labelled as failed; earlier rows of the company survived their year.
    - ``survived``: a later statement of the company was published.
    - ``exited``: the last statement of a company without an event within the window. It is right-censored: survival is not
      proven; ``failed`` is 0.
    - ``open``: as ``exited``, but the window had not ended on ``known_at``, so that the outcome is not known yet.

    Sources: Shumway (2001) for the firm-year hazard set-up; Campbell, Hilscher and Szilagyi (2008) for the row that is labelled.
    """
    if known_at is not None:
        statements = statements.filter(pl.col("available_at") <= known_at)
        events = events.filter(pl.col("event_date") <= known_at)
    last = pl.col("fiscal_year") == pl.col("fiscal_year").max().over("company_id")
    window_end = pl.col("period_end").dt.offset_by(f"{window_months}mo")
    in_time = pl.col("event_date") <= window_end
    still_open = pl.lit(False) if known_at is None else window_end > known_at
    failed = (last & in_time).fill_null(False)
    labelled = pl.col("labelled").fill_null(True)
    vouched = pl.col("labelled") if "labelled" in statements.columns else pl.lit(None, pl.Boolean).alias("labelled")
    return (
        statements.select("company_id", "fiscal_year", "period_end", "available_at", vouched)
        .sort("company_id", "fiscal_year", "available_at")
        .unique(["company_id", "fiscal_year"], keep="first", maintain_order=True)
        .join(events.select("company_id", "event_date"), on="company_id", how="left", maintain_order="left")
        .with_columns(failed=failed.cast(pl.Int8))
        .with_columns(
            outcome=pl.when(failed)
            .then(pl.lit("failed"))
            .when(last & still_open)
            .then(pl.lit("open"))
            .when(last)
            .then(pl.lit("exited"))
            .otherwise(pl.lit("survived"))
        )
        .filter(labelled)
        .drop("event_date", "labelled")
    )
