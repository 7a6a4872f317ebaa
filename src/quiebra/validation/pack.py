"""What a model-risk reader asks beyond the headline figures: for whom it works, how stable it is, what the blend adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quiebra.models.blend import fit_blend
from quiebra.models.importance import concept_shares, importance_shift
from quiebra.models.term import COLUMNS, HORIZONS
from quiebra.panel.horizons import outlook
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.discrimination import by_group, cap, size_group
from quiebra.validation.judging import Resampling, judge, rounded, with_place
from quiebra.validation.stability import feature_stability, psi

KEYS = ["company_id", "fiscal_year", "available_at"]
REFITS = 100
"""Resamples behind the interval of the blend's weight, each of which is fitted anew."""


def groups(judged: pl.DataFrame, statements: pl.DataFrame, companies: pl.DataFrame, how: Resampling) -> dict[str, Any]:
    """Return figures by size (thirds of total assets within the year) and by sector, and the profile of all (`cap`).

    judged: out-of-time scores with failed. by_sector is empty where the source has no sectors.
    """
    rows = judged.join(statements.select(*KEYS, "total_assets"), on=KEYS).join(
        companies.select("company_id", "sector"), on="company_id"
    )
    rows = with_place(rows.sort("company_id", "fiscal_year").with_columns(size=size_group()), "pd_12m")
    profiles = {}
    for name, column in {"blend": "pd_12m", "Altman": "pd_altman"}.items():
        scored = with_place(rows.filter(pl.col(column).is_not_null()), column)
        if scored["failed"].sum():
            profiles[name] = cap(*(scored[name].to_numpy() for name in ("failed", column, f"{column}_place")))
    return {
        "by_size": by_group(rows, "size", how),
        "by_sector": by_group(rows, "sector", how),
        "cap": {name: profile.with_columns(pl.all().round(6)).to_dict(as_series=False) for name, profile in profiles.items()},
    }


def horizons(
    history: pl.DataFrame, labels: pl.DataFrame, outcomes_through: int, exits_survive: bool, how: Resampling
) -> list[dict[str, Any]]:
    """Return one row a horizon of one to five years: its figures, and mean PD over the observed rate by fiscal year.

    Every out-of-time year counts whose outcome at that horizon is known by ``outcomes_through``; a failure is one within the
    horizon. A horizon without failures, or without years, is left out.
    """
    known = outlook(labels, outcomes_through, exits_survive=exits_survive)
    found = []
    for years, column in zip(HORIZONS, COLUMNS, strict=True):
        rows = history.join(known.filter(pl.col("years_known") >= years), on=KEYS[:2]).sort(KEYS[:2])
        rows = rows.with_columns(failed=(pl.col("years_to_failure") <= years).fill_null(False).cast(pl.Int8))
        if not rows["failed"].sum():
            continue
        by_year = rows.group_by("fiscal_year").agg(pd=pl.col(column).sum(), failed=pl.col("failed").sum()).sort("fiscal_year")
        ratios = {str(year): rounded(pd / failed) if failed else None for year, pd, failed in by_year.iter_rows()}
        span = f"{by_year['fiscal_year'][0]}-{by_year['fiscal_year'][-1]}"
        found.append({"years": years, "fiscal_years": span, **judge(rows, column, how), "pd_over_observed_by_year": ratios})
    return found


def stability(
    history: pl.DataFrame, features: pl.DataFrame, importance: pl.DataFrame, years: list[int], first_year: int, names: list[str]
) -> dict[str, Any]:
    """Return how scores, features and importance moved, as plain JSON values.

    psi: of each judged year's PDs against those of all years before it. csi: of every feature, the last judged year's first
    published statements against those of the years up to the first judged year. importance: against the year before.
    """
    scored = history.sort(KEYS).partition_by("fiscal_year", as_dict=True)
    pds = {int(year): rows["pd_12m"].to_numpy() for (year,), rows in sorted(scored.items())}
    moved = [
        {"fiscal_year": year, "psi": rounded(psi(np.concatenate([pd for y, pd in pds.items() if y < year]), pds[year]))}
        for year in years
        if any(y < year for y in pds)
    ]
    first = features.sort(KEYS).unique(KEYS[:2], keep="first", maintain_order=True)
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
    history: pl.DataFrame, labels: pl.DataFrame, through: int, fixed: float | None, how: Resampling
) -> dict[str, Any]:
    """Return, for each scorer, the model's weight against Altman fitted on its out-of-time scores, with an interval;
    missing where there are too few failures to fit it on.

    through: last fiscal year whose outcomes count. fixed: the weight in params, reported beside the fitted one.
    """
    rows = history.filter(pl.col("fiscal_year") <= through).join(labels.select(*KEYS[:2], "failed"), on=KEYS[:2]).sort(KEYS)
    found: dict[str, Any] = {}
    for (kind,), own in rows.group_by("scorer", maintain_order=True):
        model, altman = (own[f"log_odds_{name}"].fill_null(np.nan).to_numpy() for name in ("model", "altman"))
        failed = own["failed"].to_numpy().astype(float)

        def weight(times: np.ndarray, arrays: tuple[np.ndarray, ...] = (model, altman, failed)) -> dict[str, float]:
            counted = times > 0
            blend = fit_blend(*(a[counted] for a in arrays), None, times[counted])
            return {"weight": blend.weight if blend.fitted_on else np.nan}  # too few failures drawn say nothing

        spans = firm_bootstrap(
            own["company_id"].to_numpy(), weight, resamples=min(REFITS, how.resamples), confidence=how.confidence, seed=how.seed
        )
        fitted = fit_blend(model, altman, failed, None)
        found[str(kind)] = {
            "weight": rounded(fitted.weight) if fitted.fitted_on else None,
            "interval": [rounded(bound) for bound in spans["weight"]],
            "failures": fitted.fitted_on, "in_params": fixed,
        }  # fmt: skip
    return dict(sorted(found.items(), reverse=True))
