"""The validation figures of a model: all of them in figures.json, and the ten that DVC compares in metrics.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quiebra.io.files import read_json

FIGURES_FILE, METRICS_FILE = "figures.json", "metrics.json"


def headline_figures(figures: dict[str, Any], calibration: dict[str, Any]) -> dict[str, float | int | None]:
    """Return ten figures under short names, all out of time, so that a table of experiments fits a screen.

    auc, ap (average precision), top10 (share of failures in the riskiest tenth), brier, pd_ratio (mean PD over observed rate),
    altman (AUC less Altman's), grades (share of grades whose rate lies in the interval), coverage (of intervals on PDs),
    failures, and gates (how many failed). figures, calibration: as validation writes them.
    """
    pooled = figures["walk_forward"]
    return {
        "auc": pooled.get("auc"),
        "ap": pooled.get("average_precision"),
        "top10": pooled.get("top_decile_capture"),
        "brier": pooled.get("brier"),
        "pd_ratio": pooled.get("pd_over_observed"),
        "altman": figures["blend_minus_altman"].get("auc"),
        "grades": calibration["grades_inside"],
        "coverage": calibration["interval_coverage"],
        "failures": pooled["events"],
        "gates": len(figures["failed_gates"]),
    }


def read_figures(folder: Path) -> dict[str, Any]:
    """Read all figures of a model from its validation's folder; models kept by earlier versions have them in metrics.json."""
    path = folder / FIGURES_FILE
    return read_json(path if path.is_file() or not (folder / METRICS_FILE).is_file() else folder / METRICS_FILE)
