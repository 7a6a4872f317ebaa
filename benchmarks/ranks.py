"""Ranks among peers in each way, side by side: sorted date by date, looked up, in one pass over all dates: seconds and memory.

    python benchmarks/ranks.py [--copies 1 4 16]

The demo's companies are repeated under new names, with figures that differ by a thousandth and filings up to ten days earlier or
later, on weekdays; 66 copies are a million statements. Each way ranks the same table in a process of its own, one after the
other; its ranks must be the same to the last bit. Prints a table and writes benchmarks/results/ranks.json. The one pass includes
importing numba and compiling; "again" is without. Memory is what the process held at most beyond the table that it had read, as
Linux counts it.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import multiprocessing
import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

from quiebra.feature_engineering import feature_table, peers
from quiebra.io.files import write_json
from quiebra.panels import build_panel
from quiebra.params import load_params
from quiebra.sources import demo
from quiebra.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "ranks.json"
WAYS = {"sorted": "_sorted", "looked up": "_looked_up", "one pass": "_in_one_pass"}
JITTER = 10
"""Days."""


def repeated(features: pl.DataFrame, copies: int) -> pl.DataFrame:
    """Return a feature table as of so many times more companies: what ranks are made from."""
    rng = np.random.default_rng(0)
    count = features.height * copies
    days = pl.Series(rng.integers(-JITTER, JITTER, count, endpoint=True), dtype=pl.Int64)
    filed = (pl.col("available_at") + pl.duration(days=days)).dt.add_business_days(0, roll="forward")
    moved = ((pl.col(name) * (1 + 0.001 * pl.Series(rng.standard_normal(count)))).alias(name) for name in peers.RANKED)
    names = pl.col("company_id") + "-" + pl.Series(np.repeat(np.arange(copies), features.height)).cast(pl.String)
    many = pl.concat([features.select("company_id", "available_at", "sector", *peers.RANKED)] * copies)
    return many.with_columns(names, filed, *moved).sort("company_id", "available_at")


def measured(path: Path, way: str) -> dict[str, Any]:
    """Return seconds by the clock and of all cores, once and again, memory and a hash of the ranks; for a process of its own."""
    table = pl.read_parquet(path)
    peers._Published._quickest = lambda self, *window: getattr(self, WAYS[way])
    held = psutil.Process().memory_info().rss
    ranked, seconds, cores = ranked_in(table)
    most = 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])
    ranks = ranked.select(pl.col("^(sector_)?rank_.*$").fill_null(math.nan)).to_numpy().tobytes()
    del ranked
    again = ranked_in(table)[1:] if way == "one pass" else None
    return {
        "seconds": (seconds, cores),
        "again": again,
        "megabytes": (most - held) / 1e6,
        "ranks": hashlib.sha256(ranks).hexdigest(),
    }


def ranked_in(table: pl.DataFrame) -> tuple[pl.DataFrame, float, float]:
    """Return a table with its ranks among itself, and the seconds that this took, by the clock and of all cores."""
    clock, cores = time.perf_counter(), time.process_time()
    ranked = peers.add_ranks(table, peers.Peers(table))
    return ranked, time.perf_counter() - clock, time.process_time() - cores


def chosen_way(table: pl.DataFrame) -> str:
    """Return the way that is chosen among all companies, in a process that has not compiled the pass."""
    published = peers.Peers(table).everyone
    _, starts, ends = published._windows(table["available_at"].to_numpy().astype("datetime64[D]"))
    chosen = published._quickest(starts, ends).__name__
    return next((way for way, name in WAYS.items() if name == chosen), chosen)


def compare(table: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """Return both ways' figures for a table, and their ratios; the ranks must be the same."""
    path = folder / "table.parquet"
    table.write_parquet(path)
    found = {}
    for way in WAYS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            found[way] = alone.submit(measured, path, way).result()
    assert len({figures["ranks"] for figures in found.values()}) == 1
    taken = {**{way: figures["seconds"] for way, figures in found.items()}, "one pass again": found["one pass"]["again"]}
    return {
        "statements": table.height,
        "dates": table["available_at"].n_unique(),
        "chosen": chosen_way(table),
        "seconds": {way: clock for way, (clock, _) in taken.items()},
        "seconds of all cores": {way: cores for way, (_, cores) in taken.items()},
        "megabytes": {way: figures["megabytes"] for way, figures in found.items()},
        "ratios": {
            f"{what}: {way} over one pass": before / after
            for way in ("sorted", "looked up")
            for what, before, after in zip(
                ("seconds", "of all cores"), found[way]["seconds"], found["one pass"]["seconds"], strict=True
            )
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4, 16])
    copies = parser.parse_args().copies
    if find_spec("numba") is None:
        raise SystemExit("numba cannot be imported here: there is no pass to compare with")
    panel = build_panel(demo.load(load_params(Workspace.find()).ingest.demo))
    features = feature_table(panel.statements, panel.companies)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for times in copies:
            found = results[f"demo × {times}"] = compare(repeated(features, times), Path(folder))
            print(f"demo × {times}: {found['statements']:,} statements on {found['dates']:,} dates; chosen: {found['chosen']}")
            for group, unit in (("seconds", "s"), ("seconds of all cores", "s"), ("megabytes", "MB"), ("ratios", "x")):
                for name, value in found[group].items():
                    print(f"  {name:<46}{value:9.2f} {unit}{' of all cores' if 'cores' in group else ''}", flush=True)
    write_json(RESULTS, results)


if __name__ == "__main__":
    main()
