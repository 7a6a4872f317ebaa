"""What happens by itself: how long reports and tear sheets take to make, and how right alerts are.

Works in a finished run's workspace (the folder given, or the current one); prints a table and writes
benchmarks/results/operations.json, an entry a source. Times are of this machine; the ratio of a sheet in a batch to one alone
is what to compare.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import command

from quiebra.io.files import read_json, read_table, write_json
from quiebra.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "operations.json"
BATCH = 20


def seconds(workspace: Workspace, *words: str) -> float:
    """Return how long a command takes; it must succeed."""
    start = time.perf_counter()
    done = command(workspace.root, "quiebra", *words)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start


def measure(workspace: Workspace) -> dict[str, Any]:
    """Return seconds of reports and sheets, and what alerts at each budget found."""
    scores = read_table(workspace.scores / "scores.parquet").sort("pd_12m", descending=True)
    riskiest = scores["company_id"].head(BATCH).to_list()
    alone, batch = seconds(workspace, "report", "company", riskiest[0]), seconds(workspace, "report", "company", *riskiest)
    shown = ("budget", "under_alert", "recall", "recall_last", "precision", "false_alarms_a_year", "lead_years")
    shown += ("failures", "interval")
    judged = read_json(workspace.alerts / "back_test.json")
    return {
        "seconds": {
            "risk report": seconds(workspace, "report"),
            "validation report": seconds(workspace, "report", "validation"),
            "one tear sheet": alone,
            f"each of {BATCH} tear sheets": batch / BATCH,
            "alerts and their back-test": seconds(workspace, "run", "alerts"),
        },
        "ratios": {"a sheet alone over one of a batch": alone / (batch / BATCH)},
        "alerts": {"years": judged["years"], "budgets": [{name: b[name] for name in shown} for b in judged["budgets"]]},
    }


def main() -> None:
    workspace = Workspace.find(sys.argv[1] if len(sys.argv) > 1 else None)
    source = read_json(workspace.panel / "source.json")["source"]
    found = measure(workspace)
    print(source)
    for group in ("seconds", "ratios"):
        for name, value in found[group].items():
            print(f"  {name:<40}{value:9.1f}")
    for b in found["alerts"]["budgets"]:
        low, high = b["interval"]["recall"]
        print(f"  {b['budget']:.0%} under alert: recall {b['recall']:.3f} ({low:.3f} to {high:.3f}), last {b['recall_last']:.3f}")
    write_json(RESULTS, {**(read_json(RESULTS) if RESULTS.exists() else {}), source: found})


if __name__ == "__main__":
    main()
