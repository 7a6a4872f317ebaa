"""Two checkouts side by side: how long a whole run takes in each, its peak memory, and whether the tables are the same.

    python benchmarks/two_checkouts.py BEFORE AFTER [--rounds 2] [--american FILE]

Each is a clone with its installation (`make setup`) and no files of its own in data/. Runs alternate, so that both see the same
machine; each starts from nothing. Prints a table and writes benchmarks/results/two_checkouts.json: seconds of every round, the
ratio of the medians, peak memory (proportional set size of all processes of a run together), and the tables whose bytes differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from quiebra.io.files import write_json
from quiebra.provenance import file_sha256

RESULTS = Path(__file__).resolve().parent / "results" / "two_checkouts.json"
TABLES = (
    "data/panel/statements.parquet",
    "data/panel/companies.parquet",
    "data/panel/events.parquet",
    "data/features/features.parquet",
    "data/scores/scores.parquet",
    "data/scores/history.parquet",
    "data/scores/contributions.parquet",
    "data/scores/reasons.parquet",
    "data/validation/pack.json",
)
"""The tables that a reader's figures come from; the trees of the model are compared besides."""


def start_over(checkout: Path) -> None:
    """Remove all that a run writes."""
    for name in ("data", "models", "reports/build", ".dvc/cache", ".dvc/tmp"):
        for path in (checkout / name).glob("*"):
            if path.name != "raw":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    (checkout / "dvc.lock").unlink(missing_ok=True)


def memory(process: psutil.Process) -> int:
    """Return the bytes of a process and all that it has started, shared pages counted once."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def run(checkout: Path) -> tuple[float, int]:
    """Return seconds and peak bytes of a whole run from nothing."""
    start_over(checkout)
    env = {**os.environ, "PATH": f"{checkout / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    began = time.perf_counter()
    process = subprocess.Popen(["quiebra", "run"], cwd=checkout, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            peak[0] = max(peak[0], memory(psutil.Process(process.pid)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - began
    ended.set()
    if code:
        sys.exit(f"the run in {checkout} failed: run `quiebra run` there to see why")
    return seconds, peak[0]


def tables(checkout: Path) -> dict[str, str]:
    """Return file → SHA-256 of the tables and the model's trees."""
    trees = sorted(path.relative_to(checkout).as_posix() for path in (checkout / "models/trees").rglob("*") if path.is_file())
    folder = checkout / "data/validation"
    figures = (
        folder / "figures.json" if (folder / "figures.json").is_file() else folder / "metrics.json"
    )  # as it was called before
    return {"figures": file_sha256(figures), **{name: file_sha256(checkout / name) for name in (*TABLES, *trees)}}


def compare(before: Path, after: Path, rounds: int) -> dict[str, Any]:
    """Return seconds, memory and tables that differ; runs of both alternate."""
    seconds: dict[str, list[float]] = {"before": [], "after": []}
    peaks: dict[str, list[int]] = {"before": [], "after": []}
    for _ in range(rounds):
        for name, checkout in (("before", before), ("after", after)):
            took, peak = run(checkout)
            seconds[name].append(round(took, 1))
            peaks[name].append(peak)
    old, new = tables(before), tables(after)
    return {
        "seconds": seconds,
        "ratio": round(statistics.median(seconds["after"]) / statistics.median(seconds["before"]), 3),
        "peak_mb": {name: max(values) // 1_000_000 for name, values in peaks.items()},
        "compared": len(old),
        "differ": sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)),
    }


def choose_american(checkout: Path, panel: Path) -> str:
    """Have a checkout run on the American panel; return its params as they were."""
    params = checkout / "params.yaml"
    text = params.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    content["ingest"]["source"] = "american"
    content["ingest"]["american"]["path"] = str(panel)
    params.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--american", type=Path, help="the American panel's file, to run on it too")
    asked = parser.parse_args()
    before, after = asked.before.resolve(), asked.after.resolve()
    found = {"demo": compare(before, after, asked.rounds)}
    if asked.american is not None:
        kept = {checkout: choose_american(checkout, asked.american.resolve()) for checkout in (before, after)}
        try:
            found["american"] = compare(before, after, asked.rounds)
        finally:
            for checkout, text in kept.items():
                (checkout / "params.yaml").write_text(text, encoding="utf-8")
    for source, result in found.items():
        print(
            f"{source:<9} {result['seconds']}  ratio {result['ratio']}  peak MB {result['peak_mb']}  "
            f"{len(result['differ'])} of {result['compared']} tables and trees differ {result['differ']}"
        )
    write_json(RESULTS, found)


if __name__ == "__main__":
    main()
