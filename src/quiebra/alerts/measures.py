"""Measures for alert rules on companies, the portfolio and the model; larger values are worse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.models.term import PD_COLUMNS
from quiebra.params.operations import MEASURE_FLOORS, STATUSES
from quiebra.validation.monitoring import monitoring_lights

ZONE_ORDER = ("safe", "grey", "distress")
MIN_SECTOR_COMPANIES = 10
"""Companies of a sector with fewer members are compared with all companies, as its median is too uncertain."""
COMPANY_MEASURE_NAMES = tuple(MEASURE_FLOORS["company"])


def company_measures(
    now: pl.DataFrame, before: pl.DataFrame, companies: pl.DataFrame, grades: Mapping[str, float], as_of: dt.date
) -> pl.DataFrame:
    """Return company_id, sector, cause and one column per company measure, for each row of ``now``.

    now: one row per company with fiscal_year, available_at, period_end, pd_12m … pd_60m, rating, the Altman scores and their
    zones, and blind_share, if known. before: scores of earlier statements as given at the time (`earlier_scores`). companies:
    company_id and sector. A measure that cannot be computed (no earlier score, no Altman score) is missing and breaks no rule.
    cause: the statement, as fiscal year and publication date.

    - pd_12m, pd_60m: the PD. pd_rise, pd_times: its difference to, and multiple of, the PD of the earlier statement.
    - grade: position on the rating scale, 0 the best. notches: grades lost since the earlier statement.
    - peers: PD over the median of its sector. riskiest: share of all companies with a lower PD.
    - inversion: the hazard of the first year over the mean yearly hazard of the second to fifth.
    - zone: zones lost since the earlier statement by the first Altman score that both have, of Z, Z′, Z″.
    - statement_months: age of the statement. blind: the share missing of the features that were nearly always present in
      training.
    """
    known = now.join(companies.select("company_id", "sector"), on="company_id", how="left", maintain_order="left")
    known = known.join(_renamed(before), on="company_id", how="left", maintain_order="left")
    peers = pl.col("pd_12m").median().over("sector")
    enough = (pl.len().over("sector") >= MIN_SECTOR_COMPANIES) & pl.col("sector").is_not_null()
    place = pl.col("rating").replace_strict({g: i for i, g in enumerate(grades)}, return_dtype=pl.Float64)
    survival = [1 - pl.col(name) for name in PD_COLUMNS]
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


def earlier_scores(history: pl.DataFrame, now: pl.DataFrame, years: int = 2) -> pl.DataFrame:
    """Return, for each company of ``now``, the score of its previous statement, at most ``years`` fiscal years earlier.

    history: scores as given at the statements' publication, one row per firm-year.
    """
    both = history.join(now.select("company_id", fiscal_year_now="fiscal_year"), on="company_id")
    ago = pl.col("fiscal_year_now") - pl.col("fiscal_year")
    rows = both.filter(ago.is_between(1, years)).sort("company_id", "fiscal_year")
    return rows.unique("company_id", keep="last", maintain_order=True).drop("fiscal_year_now")


def _renamed(before: pl.DataFrame) -> pl.DataFrame:
    zones = {f"{name}_zone": f"{name}_zone_before" for name in ALTMAN_SCORES}
    return before.select("company_id", pd_before="pd_12m", grade_before="rating", **{new: old for old, new in zones.items()})


def _zones_lost() -> pl.Expr:
    def place(column: str) -> pl.Expr:
        order = {zone: float(i) for i, zone in enumerate(ZONE_ORDER)}
        return pl.col(column).replace_strict(order, return_dtype=pl.Float64, default=None)

    return pl.coalesce(place(f"{name}_zone") - place(f"{name}_zone_before") for name in ALTMAN_SCORES)


def portfolio_measures(losses: Mapping[str, Any], shares: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Return subject, cause and one column per portfolio measure: losses as shares of the exposure, and concentration.

    losses: from `quiebra.risk.losses.loss_report`; shares: company_id and exposure. cause: the month.
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
        [row], schema={"subject": pl.String, "cause": pl.String, **dict.fromkeys(MEASURE_FLOORS["portfolio"], pl.Float64)}
    )


def model_measures(findings: pl.DataFrame) -> pl.DataFrame:
    """Return subject (a monitoring measure), cause (its fiscal year) and drift: the position of its light's status in
    ``STATUSES``.

    See `quiebra.validation.monitoring.monitoring_lights`.
    """
    place = {status: float(i) for i, status in enumerate(STATUSES)}
    rows = [(light.measure, str(light.fiscal_year), place.get(light.status)) for light in monitoring_lights(findings)]
    schema = {"subject": pl.String, "cause": pl.String, "drift": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("subject")
