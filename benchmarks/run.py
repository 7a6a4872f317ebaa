"""Side-by-side timings and quality, in one process and one run: ratios, not seconds, are what to compare between machines.

`make bench` prints a table and writes benchmarks/results/latest.json, which the README is checked against. With the American
panel where params.yaml says it is (or at the path given as the only argument) it is measured as well; without it, the demo alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from quality import benchmark_table, other_ways, walked
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from quiebra.feature_engineering import PeerRanks, feature_table
from quiebra.io.files import read_json, write_json
from quiebra.models import reasons
from quiebra.panels import Panel, build_panel, label_outcomes
from quiebra.params import Params, load_params
from quiebra.sources import american, demo
from quiebra.validation.figures import validation_report, years_to_judge
from quiebra.validation.metrics import RankedOutcomes
from quiebra.workspace import Workspace

JUDGED = ("walk_forward", "model_alone", "altman_alone", "blend_minus_altman")
RESULTS = Path(__file__).parent / "results" / "latest.json"


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the seconds that it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def measure(panel: Panel, params: Params) -> dict[str, Any]:
    """Return seconds by step, ratios between ways of doing the same, and quality out of time against Altman."""
    features, feature_seconds = timed(lambda: feature_table(panel.statements, panel.companies))
    chain, chain_seconds = timed(lambda: walked(panel, features, params))
    labels = label_outcomes(panel.statements, panel.events, window_months=params.labels.window_months)
    years = years_to_judge(chain.history, panel.info.outcomes_through, params.validate_)
    quality, validation_seconds = timed(
        lambda: validation_report(chain.history, labels, years, params.validate_, params.run.seed)
    )
    latest = features.filter(pl.col("fiscal_year") == years[-1])
    _, reason_seconds = timed(lambda: reasons(chain.model, latest, params.score.reasons, PeerRanks(latest), panel.statements))
    several = pl.concat([latest] * max(1, 20_000 // latest.height))
    _, explained_seconds = timed(lambda: chain.model.explain(several))
    judged = chain.history.filter(pl.col("fiscal_year").is_in(years)).join(labels, on=["company_id", "fiscal_year"])
    return {
        "statements": panel.statements.height,
        "seconds": {
            "features": feature_seconds,
            "chain of yearly models": chain_seconds,
            "validation": validation_seconds,
            "reasons per 1000": 1000 * reason_seconds / max(latest.height, 1),
            "explanations per 10,000 rows": 10_000 * explained_seconds / several.height,
        },
        "ratios": {"resample: scikit-learn over ours": resample_ratio(judged["failed"].to_numpy(), judged["pd_12m"].to_numpy())},
        "quality": {name: _short(quality[name]) for name in JUDGED},
        **(
            {"table": benchmark_table(panel, features, chain, params), "other ways": other_ways(panel, features, chain, params)}
            if panel.info.source == "american"
            else {}
        ),
    }


def resample_ratio(failed: np.ndarray, pd: np.ndarray, times: int = 20) -> float:
    """Return how many times longer scikit-learn takes for the weighted figures of one resample."""
    rng = np.random.default_rng(0)
    weights = [rng.integers(0, 3, len(pd)).astype(float) for _ in range(times)]
    ranked = RankedOutcomes.rank(failed, pd)
    _, ours = timed(lambda: [ranked.figures(w) for w in weights])
    library = (roc_auc_score, average_precision_score, brier_score_loss)
    _, theirs = timed(lambda: [f(failed, pd, sample_weight=w) for w in weights for f in library])
    return theirs / ours


def _short(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in ("auc", "average_precision", "brier", "interval") if name in figures}


def main() -> None:
    workspace = Workspace.find()
    params = load_params(workspace)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else workspace.root / params.ingest.american.path
    panels = {"demo": build_panel(demo.load(params.ingest.demo))}
    if path.is_file():
        panels["american"] = build_panel(american.load(path))
    results = {name: measure(panel, params) for name, panel in panels.items()}
    for name, found in results.items():
        print(f"\n{name}: {found['statements']:,} statements")
        for step, seconds in found["seconds"].items():
            print(f"  {step:<36}{seconds:9.2f} s")
        for what, ratio in found["ratios"].items():
            print(f"  {what:<36}{ratio:9.1f} x")
        for what, figures in found["quality"].items():
            low, high = figures["interval"]["auc"]
            print(f"  {what:<36} AUC {figures['auc']:.3f} ({low:.3f} to {high:.3f})  AP {figures['average_precision']:.3f}")
        if "table" in found:
            _print_table(found["table"])
    if "american" not in results:
        print(f"\nno American panel at {path}: give its path as the argument to measure on it")
    before = read_json(RESULTS) if RESULTS.exists() else {}
    write_json(RESULTS, {**before, **results})


def _print_table(table: dict[str, Any]) -> None:
    """Print every contender's figures, and what the blend has more in AUC and average precision, with intervals."""
    print(f"\n  {table['rows']:,} rows, {table['events']} failures, out of time")
    for name, found in table["figures"].items():
        line = f"  {name:<34} AUC {found['auc']:.4f}  AP {found['average_precision']:.3f}"
        line += f"  tenth {found['top_decile_capture']:.3f}  Brier {found['brier']:.5f}"
        if name in table["blend minus"]:
            gap = table["blend minus"][name]
            spans = ((gap[figure], *gap["interval"][figure]) for figure in ("auc", "average_precision"))
            line += "".join(f"  {value:+.3f} ({low:+.3f} to {high:+.3f})" for value, low, high in spans)
        print(line)


if __name__ == "__main__":
    main()
