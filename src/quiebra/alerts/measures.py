"""What an alert rule can look at: figures of companies, of the portfolio and of the model, all larger where worse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from quiebra.features.altman import SCORES
from quiebra.models.term import COLUMNS
from quiebra.params.operations import FLOORS, STATUSES
from quiebra.validation.monitoring import lights

ZONE_ORDER = ("safe", "grey", "distress")
FEWEST_PEERS = 10
"""A sector of fewer companies is no measure of anything: its companies are compared with all."""
COMPANY = tuple(FLOORS["company"])


def company_measures(
    now: pl.DataFrame, before: pl.DataFrame, companies: pl.DataFrame, grades: Mapping[str, float], as_of: dt.date
) -> pl.DataFrame:
    """Return company_id, sector, cause and one column a measure of companies, for each row of ``now``.

    now: one row a company with fiscal_year, available_at, period_end, pd_12m … pd_60m, rating, the Altman scores and their zones,
    and blind_share, where known. before: scores of earlier statements, as they were given then (`earlier`). companies: company_id
    and sector. A measure that cannot be had (no earlier score, no Altman score) is missing: it breaks no rule. cause: the
    statement.

    - pd_12m, pd_60m: the PD. pd_rise, pd_times: its difference to, and multiple of, the one of the earlier statement.
    - grade: place in the scale, the best being 0. notches: grades lost since the earlier statement.
    - peers: the PD over the median of its sector. riskiest: the share of all companies with a lower PD.
    - inversion: the hazard of the first year over the mean yearly hazard of the second to fifth.
    - zone: zones lost since the earlier statement by the Altman score that both have, Z before Z′ before Z″.
    - statement_months: age of the statement. blind: the share missing of what the model relies on.
    """
    known = now.join(companies.select("company_id", "sector"), on="company_id", how="left", maintain_order="left")
    known = known.join(_renamed(before), on="company_id", how="left", maintain_order="left")
    peers = pl.col("pd_12m").median().over("sector")
    enough = (pl.len().over("sector") >= FEWEST_PEERS) & pl.col("sector").is_not_null()
    place = pl.col("rating").replace_strict({g: i for i, g in enumerate(grades)}, return_dtype=pl.Float64)
    survival = [1 - pl.col(name) for name in COLUMNS]
    later = 1 - (survival[4] / survival[0]).clip(1e-12, 1) ** 0.25
    blind = pl.col("blind_share") if "blind_share" in now.columns else pl.lit(None, pl.Float64)
    table = known.with_columns(
        grade=place, peers=pl.col("pd_12m") / pl.when(enough).then(peers).otherwise(pl.col("pd_12m").median())
    )
    return table.select(
        "company_id",
        "sector",
        "pd_12m",
        "pd_60m",
        "grade",
        "peers",
        pd_rise=pl.col("pd_12m") - pl.col("pd_before"),
        pd_times=pl.col("pd_12m") / pl.col("pd_before"),
        notches=pl.col("grade")
        - pl.col("grade_before").replace_strict({g: i for i, g in enumerate(grades)}, return_dtype=pl.Float64, default=None),
        riskiest=(pl.col("pd_12m").rank("min") - 1) / pl.len(),
        inversion=pl.col("pd_12m") / later.clip(1e-9),
        zone=_zones_lost(),
        statement_months=(pl.lit(as_of) - pl.col("period_end")).dt.total_days() / 30.4375,
        blind=blind,
        cause=pl.format("{} {}", "fiscal_year", "available_at"),
    )


def earlier(history: pl.DataFrame, now: pl.DataFrame, years: int = 2) -> pl.DataFrame:
    """Return, for each company of ``now``, the score of its last statement before, of at most ``years`` fiscal years earlier.

    history: scores as they were given when statements came out, one row a firm-year.
    """
    both = history.join(now.select("company_id", fiscal_year_now="fiscal_year"), on="company_id")
    ago = pl.col("fiscal_year_now") - pl.col("fiscal_year")
    rows = both.filter(ago.is_between(1, years)).sort("company_id", "fiscal_year")
    return rows.unique("company_id", keep="last", maintain_order=True).drop("fiscal_year_now")


def _renamed(before: pl.DataFrame) -> pl.DataFrame:
    zones = {f"{name}_zone": f"{name}_zone_before" for name in SCORES}
    return before.select("company_id", pd_before="pd_12m", grade_before="rating", **{new: old for old, new in zones.items()})


def _zones_lost() -> pl.Expr:
    def place(column: str) -> pl.Expr:
        order = {zone: float(i) for i, zone in enumerate(ZONE_ORDER)}
        return pl.col(column).replace_strict(order, return_dtype=pl.Float64, default=None)

    return pl.coalesce(place(f"{name}_zone") - place(f"{name}_zone_before") for name in SCORES)


def portfolio_measures(losses: Mapping[str, Any], shares: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Return subject, cause and one column a measure of the portfolio: losses as shares of the exposure, and concentration.

    losses: from `quiebra.risk.losses.loss_report`; shares: company_id and exposure. The cause is the month.
    """
    total = losses["exposure"]
    row = {
        "subject": "portfolio",
        "cause": f"{as_of:%Y-%m}",
        "expected_loss": losses["expected_loss"] / total,
        "shortfall": losses["expected_shortfall"] / total,
        "largest_share": shares["exposure"].max() / total,
        "sector_hhi": losses["hhi"]["sector"],
    }
    return pl.DataFrame(
        [row], schema={"subject": pl.String, "cause": pl.String, **dict.fromkeys(FLOORS["portfolio"], pl.Float64)}
    )


def model_measures(findings: pl.DataFrame) -> pl.DataFrame:
    """Return subject (a measure of monitoring), cause and drift: the status of its light; the cause is the year that it is of.
    See `quiebra.validation.monitoring.lights`."""
    place = {status: float(i) for i, status in enumerate(STATUSES)}
    rows = [(light.measure, str(light.fiscal_year), place.get(light.status)) for light in lights(findings)]
    schema = {"subject": pl.String, "cause": pl.String, "drift": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("subject")
