"""The scored portfolio in figures: by year, by group, who moved and who is on the watch list."""

from __future__ import annotations

import polars as pl

MEAN_PD = pl.col("pd_12m").mean().round(12)
"""Rounded to what it is good for: groups are summed in pieces, whose order would show in the last digits."""

def by_year(history: pl.DataFrame, current: pl.DataFrame, labels: pl.DataFrame, outcomes_through: int) -> pl.DataFrame:
    """Return fiscal_year, companies, mean_pd, median_pd, low_pd and high_pd (10th, 90th percentile), watch_share, observed.

    history: out-of-time scores of past years. current: today's, which stand for their latest fiscal year. observed: the
    failure rate that followed; missing for years after ``outcomes_through``.
    """
    latest = current["fiscal_year"].max()
    columns = ["company_id", "fiscal_year", "pd_12m", "watch"]
    rows = pl.concat([
        history.filter(pl.col("fiscal_year") < latest).select(columns),
        current.filter(pl.col("fiscal_year") == latest).select(columns),
    ])  # fmt: skip
    rows = rows.join(labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"], how="left")
    known = pl.col("fiscal_year") <= outcomes_through
    return (
        rows.sort("company_id")
        .group_by("fiscal_year")
        .agg(
            companies=pl.len(), mean_pd=MEAN_PD, median_pd=pl.col("pd_12m").median(),
            low_pd=pl.col("pd_12m").quantile(0.1), high_pd=pl.col("pd_12m").quantile(0.9),
            watch_share=pl.col("watch").mean(), observed=pl.col("failed").cast(pl.Float64).mean(),
        )
        .sort("fiscal_year")
        .with_columns(observed=pl.when(known).then("observed"))
    )  # fmt: skip


def by_group(current: pl.DataFrame, companies: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return ``column`` (sector or region), companies, mean_pd and watch_share; empty where no company has one."""
    rows = current.join(companies.select("company_id", column), on="company_id").filter(pl.col(column).is_not_null())
    return (
        rows.sort("company_id")
        .group_by(column)
        .agg(companies=pl.len(), mean_pd=MEAN_PD, watch_share=pl.col("watch").mean())
        .sort(column)
    )


def a_year_ago(history: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of the fiscal year before the current portfolio's latest."""
    return history.filter(pl.col("fiscal_year") == current["fiscal_year"].max() - 1)  # type: ignore[operator]


def movers(history: pl.DataFrame, current: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the companies whose PD rose most in log-odds: company_id, pd_before, rating_before, pd_12m, rating, change."""
    before = a_year_ago(history, current).select("company_id", pd_before="pd_12m", rating_before="rating")
    both = current.join(before, on="company_id")
    odds = [pl.col(name).clip(1e-9, 1 - 1e-9) for name in ("pd_12m", "pd_before")]
    change = (odds[0] / (1 - odds[0])).log() - (odds[1] / (1 - odds[1])).log()
    return both.with_columns(change=change).sort("change", "company_id", descending=[True, False]).head(count)


def watch_list(current: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the riskiest companies on the watch list, riskiest first."""
    return current.filter("watch").sort("pd_12m", "company_id", descending=[True, False]).head(count)


def reasons_in_words(reasons: pl.DataFrame) -> pl.DataFrame:
    """Return company_id and its reasons that raise risk, strongest first, as one text each: reason_codes, reasons (English) and
    reasons_es (Spanish)."""
    raising = reasons.filter(pl.col("effect") > 0).sort("company_id", "rank")
    return raising.group_by("company_id", maintain_order=True).agg(
        pl.col(column).str.join("; ").alias(name)
        for name, column in {"reason_codes": "code", "reasons": "text", "reasons_es": "text_es"}.items()
    )
