"""Validation details for model-risk readers: by group, by horizon, stability, and the weight of the blend."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quiebra.items import VERSION_KEYS
from quiebra.models.blend import fit_blend
from quiebra.models.importance import concept_shares, importance_shift
from quiebra.models.term import HORIZON_YEARS, PD_COLUMNS
from quiebra.panels.horizons import outcome_horizons
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.comparison import Bootstrap, add_year_rank, judge_score, round_figure
from quiebra.validation.discrimination import cap_curve, figures_by_group, size_group
from quiebra.validation.stability import feature_stability, psi

MAX_WEIGHT_RESAMPLES = 100
"""Most resamples for the interval of the blend's weight, each of which needs a new fit."""


GROUPINGS = ("by_size", "by_sector", "by_source")
"""Groups of companies that are judged by themselves, by their names in `figures_by_groups`."""


def figures_by_groups(judged: pl.DataFrame, statements: pl.DataFrame, companies: pl.DataFrame, how: Bootstrap) -> dict[str, Any]:
    """Return figures by size (thirds of total assets within the year), by sector and by source, and the profiles of all rows
    (``cap``).

    judged: out-of-time scores with failed. by_sector is empty where the source has no sectors, by_source where there is one.
    """
    rows = judged.join(statements.select(*VERSION_KEYS, "total_assets", "source"), on=VERSION_KEYS).join(
        companies.select("company_id", "sector"), on="company_id"
    )
    rows = add_year_rank(rows.sort("company_id", "fiscal_year").with_columns(size=size_group()), "pd_12m")
    profiles = {}
    for name, column in {"blend": "pd_12m", "Altman": "pd_altman"}.items():
        scored = add_year_rank(rows.filter(pl.col(column).is_not_null()), column)
        if scored["failed"].sum():
            failed, pd, place = (scored[each].to_numpy() for each in ("failed", column, f"{column}_place"))
            profiles[name] = cap_curve(failed, pd, place)
    return {
        "by_size": figures_by_group(rows, "size", how),
        "by_sector": figures_by_group(rows, "sector", how),
        "by_source": figures_by_group(rows, "source", how) if rows["source"].n_unique() > 1 else [],
        "cap": {name: profile.with_columns(pl.all().round(6)).to_dict(as_series=False) for name, profile in profiles.items()},
    }


def figures_by_horizon(
    history: pl.DataFrame, labels: pl.DataFrame, outcomes_through: int, exits_survive: bool, how: Bootstrap
) -> list[dict[str, Any]]:
    """Return one row per horizon of one to five years: its figures, and mean PD over the observed rate by fiscal year.

    A row counts where its outcome at the horizon is known by ``outcomes_through``; it failed where the failure came within the
    horizon. Horizons without failures, or without years, are left out.
    """
    known = outcome_horizons(labels, outcomes_through, exits_survive=exits_survive)
    found = []
    for years, column in zip(HORIZON_YEARS, PD_COLUMNS, strict=True):
        rows = history.join(known.filter(pl.col("years_known") >= years), on=VERSION_KEYS[:2]).sort(VERSION_KEYS[:2])
        rows = rows.with_columns(failed=(pl.col("years_to_failure") <= years).fill_null(False).cast(pl.Int8))
        if not rows["failed"].sum():
            continue
        by_year = rows.group_by("fiscal_year").agg(pd=pl.col(column).sum(), failed=pl.col("failed").sum()).sort("fiscal_year")
        ratios = {str(year): round_figure(pd / failed) if failed else None for year, pd, failed in by_year.iter_rows()}
        span = f"{by_year['fiscal_year'][0]}-{by_year['fiscal_year'][-1]}"
        found.append({"years": years, "fiscal_years": span, **judge_score(rows, column, how), "pd_over_observed_by_year": ratios})
    return found


def stability_figures(
    history: pl.DataFrame, features: pl.DataFrame, importance: pl.DataFrame, years: list[int], first_year: int, names: list[str]
) -> dict[str, Any]:
    """Return how scores, features and importance changed, as plain JSON values.

    psi: each judged year's PDs against those of all earlier years. csi: by feature, first published statements of the last judged
        year against those of the years before the first judged year. importance: each year against the year before.
    """
    scored = history.sort(VERSION_KEYS).partition_by("fiscal_year", as_dict=True)
    pds = {int(year): rows["pd_12m"].to_numpy() for (year,), rows in sorted(scored.items())}
    moved = [
        {"fiscal_year": year, "psi": round_figure(psi(np.concatenate([pd for y, pd in pds.items() if y < year]), pds[year]))}
        for year in years
        if any(y < year for y in pds)
    ]
    first = features.sort(VERSION_KEYS).unique(VERSION_KEYS[:2], keep="first", maintain_order=True)
    before = first.filter(pl.col("fiscal_year").is_between(first_year, years[0] - 1))
    drift = feature_stability(before, first.filter(pl.col("fiscal_year") == years[-1]), names)
    judged = importance.filter(pl.col("fiscal_year").is_between(years[0] - 1, years[-1]))
    return {
        "psi": moved,
        "csi": drift.with_columns(pl.col("csi").round(6)).to_dicts(),
        "importance": importance_shift(judged).with_columns(pl.selectors.float().round(6)).to_dicts(),
        "concepts": concept_shares(judged).to_dicts(),
    }


def blend_weights(
    history: pl.DataFrame, labels: pl.DataFrame, through: int, fixed: float | None, how: Bootstrap
) -> dict[str, Any]:
    """Return, by scorer, the model's weight against Altman fitted on its out-of-time scores, with an interval.

    Missing where there are too few failures to fit it. through: last fiscal year whose outcomes count. fixed: the weight in
    params, returned next to the fitted one.
    """
    rows = (
        history.filter(pl.col("fiscal_year") <= through)
        .join(labels.select(*VERSION_KEYS[:2], "failed"), on=VERSION_KEYS[:2])
        .sort(VERSION_KEYS)
    )
    found: dict[str, Any] = {}
    for (kind,), own in rows.group_by("scorer", maintain_order=True):
        model, altman = (own[f"log_odds_{name}"].fill_null(np.nan).to_numpy() for name in ("model", "altman"))
        failed = own["failed"].to_numpy().astype(float)

        def weight(times: np.ndarray, arrays: tuple[np.ndarray, ...] = (model, altman, failed)) -> dict[str, float]:
            counted = times > 0
            drawn_model, drawn_altman, drawn_failed = (a[counted] for a in arrays)
            blend = fit_blend(drawn_model, drawn_altman, drawn_failed, None, times[counted])
            return {"weight": blend.weight if blend.fitted_on else np.nan}  # NaN with too few failures drawn

        spans = firm_bootstrap(
            own["company_id"].to_numpy(),
            weight,
            resamples=min(MAX_WEIGHT_RESAMPLES, how.resamples),
            confidence=how.confidence,
            seed=how.seed,
        )
        fitted = fit_blend(model, altman, failed, None)
        found[str(kind)] = {
            "weight": round_figure(fitted.weight) if fitted.fitted_on else None,
            "interval": [round_figure(bound) for bound in spans["weight"]],
            "failures": fitted.fitted_on,
            "in_params": fixed,
        }
    return dict(sorted(found.items(), reverse=True))
