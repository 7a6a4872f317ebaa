"""The validation figures of a model: all of them in figures.json, and those that DVC compares in metrics.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from quiebra.io.files import read_json

FIGURES_FILE, METRICS_FILE = "figures.json", "metrics.json"
MOST_SHOWN = 15
"""Most features in a plot."""


def headline_figures(figures: dict[str, Any], calibration: dict[str, Any]) -> dict[str, float | int | None]:
    """Return the headline figures under short names and rounded, all out of time, so that a table of experiments fits a screen.

    auc, ap (average precision), top10 (share of failures in the riskiest tenth), brier, ratio (mean PD over observed rate),
    altman (AUC less Altman's), grades (share of grades whose rate lies in the interval), cover (coverage of intervals on PDs) and
    gates (how many failed). figures, calibration: as validation writes them.
    """
    pooled = figures["walk_forward"]
    found = {
        "auc": (pooled.get("auc"), 4),
        "ap": (pooled.get("average_precision"), 4),
        "top10": (pooled.get("top_decile_capture"), 3),
        "brier": (pooled.get("brier"), 5),
        "ratio": (pooled.get("pd_over_observed"), 3),
        "altman": (figures["blend_minus_altman"].get("auc"), 4),
        "grades": (calibration["grades_inside"], 3),
        "cover": (calibration["interval_coverage"], 3),
    }
    rounded = {name: None if value is None else round(value, decimals) for name, (value, decimals) in found.items()}
    return {**rounded, "gates": len(figures["failed_gates"])}


def comparison_tables(pack: dict[str, Any], importance: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the tables that DVC plots beside those of other experiments, by name.

    cap: share of companies, riskiest first, and of failures among them. importance: the fifteen features with the largest mean
    effect on the log-odds in the last year's model. drift: the fifteen that have moved most, by their stability index.
    pack: as validation writes it; importance: as in `quiebra.models.ModelChain`.
    """
    last = importance.filter(pl.col("fiscal_year") == pl.col("fiscal_year").max())
    labels = last.select("feature", "label")
    moved = pl.DataFrame(pack["stability"]["csi"], schema={"csi": pl.Float64, "feature": pl.String})
    drift = moved.drop_nulls("csi").join(labels, on="feature", how="left", maintain_order="left")
    return {
        "cap": pl.DataFrame(pack["groups"]["cap"].get("blend", {}), schema={"companies": pl.Float64, "failures": pl.Float64}),
        "importance": last.sort("mean_abs", "label", descending=[True, False]).head(MOST_SHOWN).select("label", "mean_abs"),
        "drift": drift.head(MOST_SHOWN).select(label=pl.coalesce("label", "feature"), csi="csi"),
    }


def read_figures(folder: Path) -> dict[str, Any]:
    """Read all figures of a model from its validation's folder; models kept by earlier versions have them in metrics.json."""
    path = folder / FIGURES_FILE
    return read_json(path if path.is_file() or not (folder / METRICS_FILE).is_file() else folder / METRICS_FILE)
