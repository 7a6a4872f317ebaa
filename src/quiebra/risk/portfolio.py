"""Tables of the scored portfolio: PDs by year and group, movers, and the watch list."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quiebra.models.reasons import LOWERS, MISSING_VALUE, RAISES

MEAN_PD = pl.col("pd_12m").mean().round(12)
"""Rounded, since groups are summed in parts, whose order would change the last digits."""


def pds_by_year(history: pl.DataFrame, current: pl.DataFrame, labels: pl.DataFrame, outcomes_through: int) -> pl.DataFrame:
    """Return PDs by fiscal year, and the failure rate observed after each.

    Columns: fiscal_year, companies, mean_pd, mean_low, mean_high, median_pd, low_pd and high_pd (10th and 90th percentiles),
        watch_share, observed. mean_low and mean_high are the means of the PDs' own bounds: a PD's interval covers calibration and
        the spread between years, which move all companies together. observed is null for years after ``outcomes_through``.

    history: out-of-time scores of past years. current: today's scores, used for their latest fiscal year.
    """
    latest = current["fiscal_year"].max()
    columns = ["company_id", "fiscal_year", "pd_12m", "pd_12m_low", "pd_12m_high", "watch"]
    rows = pl.concat(
        [
            history.filter(pl.col("fiscal_year") < latest).select(columns),
            current.filter(pl.col("fiscal_year") == latest).select(columns),
        ]
    )
    rows = rows.join(labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"], how="left")
    known = pl.col("fiscal_year") <= outcomes_through
    return (
        rows.sort("company_id")
        .group_by("fiscal_year")
        .agg(
            companies=pl.len(),
            mean_pd=MEAN_PD,
            mean_low=pl.col("pd_12m_low").mean().round(12),
            mean_high=pl.col("pd_12m_high").mean().round(12),
            median_pd=pl.col("pd_12m").median(),
            low_pd=pl.col("pd_12m").quantile(0.1),
            high_pd=pl.col("pd_12m").quantile(0.9),
            watch_share=pl.col("watch").mean(),
            observed=pl.col("failed").cast(pl.Float64).mean(),
        )
        .sort("fiscal_year")
        .with_columns(observed=pl.when(known).then("observed"))
    )


def pds_by_group(current: pl.DataFrame, companies: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return ``column`` (sector or region), companies, mean_pd and watch_share; empty where no company has a value."""
    rows = current.join(companies.select("company_id", column), on="company_id").filter(pl.col(column).is_not_null())
    return (
        rows.sort("company_id")
        .group_by(column)
        .agg(companies=pl.len(), mean_pd=MEAN_PD, watch_share=pl.col("watch").mean())
        .sort(column)
    )


def scores_in_force(scores: pl.DataFrame, events: pl.DataFrame, as_of: dt.date, max_age_months: int) -> pl.DataFrame:
    """Return the scores in force on a date: each company's latest, unless it had failed or its statement was too old by then.

    scores: as given when statements were published, with company_id, fiscal_year, available_at and period_end. events: company_id
        and event_date.
    """
    known = scores.filter(pl.col("available_at") <= as_of)
    failed = events.filter(pl.col("event_date") <= as_of)
    latest = known.join(failed, on="company_id", how="anti").sort("company_id", "fiscal_year", "available_at")
    latest = latest.unique("company_id", keep="last", maintain_order=True)
    return latest.filter(pl.col("period_end") >= pl.lit(as_of).dt.offset_by(f"-{max(max_age_months, 1)}mo"))


def top_movers(before: pl.DataFrame, current: pl.DataFrame, count: int | None = None) -> pl.DataFrame:
    """Return companies with their PD and grade a year ago and now, largest rise of the PD in log-odds first.

    Columns: company_id, pd_before, rating_before, pd_12m, rating, change. count: number of companies; None: all, including those
        whose PD fell.
    """
    ago = before.select("company_id", pd_before="pd_12m", rating_before="rating")
    both = current.join(ago, on="company_id")
    odds = [pl.col(name).clip(1e-9, 1 - 1e-9) for name in ("pd_12m", "pd_before")]
    change = (odds[0] / (1 - odds[0])).log() - (odds[1] / (1 - odds[1])).log()
    rows = both.with_columns(change=change).sort("change", "company_id", descending=[True, False])
    return rows if count is None else rows.head(count)


def watch_list(current: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the ``count`` riskiest companies on the watch list, riskiest first."""
    return current.filter("watch").sort("pd_12m", "company_id", descending=[True, False]).head(count)


def reasons_in_words(reasons: pl.DataFrame) -> pl.DataFrame:
    """Return company_id, reason_codes and the reasons as text.

    Texts: reasons (what raises its risk, strongest first), strengths (what lowers it) and gaps (what is not known), each in
        English and, with suffix _es, in Spanish.
    """
    texts = [
        pl.when(pl.col(column).filter(pl.col("kind") == kind).len() > 0)
        .then(pl.col(column).filter(pl.col("kind") == kind).str.join(". ") + ".")
        .alias(f"{name}{end}")
        for kind, name in {RAISES: "reasons", LOWERS: "strengths", MISSING_VALUE: "gaps"}.items()
        for column, end in {"text": "", "text_es": "_es"}.items()
    ]
    codes = pl.col("code").filter(pl.col("kind") == RAISES)
    rows = reasons.sort("company_id", "kind", "rank").group_by("company_id", maintain_order=True)
    return rows.agg(pl.when(codes.len() > 0).then(codes.str.join("; ")).alias("reason_codes"), *texts)


def first_sentences(text: str, count: int | None) -> str:
    """Return the first ``count`` sentences of a text from `reasons_in_words`; all for None.

    >>> first_sentences("Liabilities are 85 % of assets. Revenue fell by 12.3 % in a year. EBIT is −2 % of assets.", 2)
    'Liabilities are 85 % of assets. Revenue fell by 12.3 % in a year.'
    """
    return ". ".join(text.removesuffix(".").split(". ")[:count]) + "."
