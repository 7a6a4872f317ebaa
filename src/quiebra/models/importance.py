"""Feature importance: the mean absolute contribution of each feature to the log-odds."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.models.pd_model import PdModel


def feature_importance(model: PdModel, table: pl.DataFrame) -> pl.DataFrame:
    """Return feature, label, concept and mean_abs (log-odds) over the table's rows, strongest first."""
    parts, _ = model.explain(table)
    sizes = parts.select(pl.all().abs().mean()).row(0, named=True)
    rows = [
        {
            "feature": name,
            "label": FEATURES_BY_NAME[name].label if name in FEATURES_BY_NAME else "Altman score",
            "concept": FEATURES_BY_NAME[name].concept if name in FEATURES_BY_NAME else "altman",
            "mean_abs": round(size, 8),
        }
        for name, size in sizes.items()
    ]
    return pl.DataFrame(rows).sort("mean_abs", "feature", descending=[True, False])


def importance_by_year(model: PdModel, rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return `feature_importance` of each fiscal year, with fiscal_year, over some ``most`` of its rows; rows: one or more."""
    found = []
    for (year,), table in rows.group_by("fiscal_year", maintain_order=True):
        some = table.gather_every(max(1, table.height // most))
        found.append(feature_importance(model, some).select(pl.lit(year, pl.Int32).alias("fiscal_year"), pl.all()))
    return pl.concat(found)


def importance_shift(by_year: pl.DataFrame, top: int = 15) -> pl.DataFrame:
    """Return fiscal_year, rank_correlation and kept: how similar each year's feature importance is to the year before's.

    by_year: fiscal_year, feature and mean_abs (see `quiebra.models.ModelChain`). rank_correlation: Spearman's, over all features.
    kept: share of the ``top`` features that were in the top of the year before. The first year has no row.
    """
    years = sorted(set(by_year["fiscal_year"].to_list()))
    wide = by_year.pivot(on="fiscal_year", index="feature", values="mean_abs").fill_null(0.0).sort("feature")
    rows = []
    for before, now in pairwise(map(str, years)):
        leading = [set(wide.sort(name, "feature", descending=[True, False])["feature"].head(top)) for name in (before, now)]
        correlation = wide.select(pl.corr(before, now, method="spearman")).item()
        rows.append((int(now), correlation, len(leading[0] & leading[1]) / len(leading[0])))
    schema = {"fiscal_year": pl.Int32, "rank_correlation": pl.Float64, "kept": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def concept_shares(by_year: pl.DataFrame) -> pl.DataFrame:
    """Return fiscal_year, concept and share (to nine decimals): each concept's share of the year's summed importance."""
    sums = by_year.group_by("fiscal_year", "concept").agg(pl.col("mean_abs").sum())
    share = (pl.col("mean_abs") / pl.col("mean_abs").sum().over("fiscal_year")).round(9)
    return sums.select("fiscal_year", "concept", share=share).sort("fiscal_year", "concept")
