"""What scoring a statement with reasons costs in CPU time, by part and by the number of companies that are scored at once.

    python benchmarks/scoring_cost.py [WORKSPACE] [--sizes 1 8 128 1000] [--years 1 5] [--seconds 3]

In a finished run's workspace (default: the one at hand), each company's latest statement, alone or with the years before it, goes
through quality rules, features, PD and grade, and reasons, as for a file or a request. The companies to compare with are prepared
once beforehand, and each size is repeated, with other companies each time, for so many seconds. Prints CPU milliseconds a call,
of all threads, as the least and the median, and how often Polars is asked to compute; writes
benchmarks/results/scoring_cost.json.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from quiebra.canonical import EVENT_SCHEMA, conform_to_schema, statement_schema
from quiebra.feature_engineering import OWN_FEATURES, PeerRanks, feature_table
from quiebra.feature_engineering.peers import Peers
from quiebra.io.files import read_table, write_json
from quiebra.items import VERSION_KEYS
from quiebra.models import reasons
from quiebra.panels import read_panel_table
from quiebra.panels.quarantine import blank_negatives, split_quarantine
from quiebra.params import load_params
from quiebra.registry import read_scoring_model, registered_model
from quiebra.risk import current_statements, score_statements
from quiebra.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "scoring_cost.json"
PEER_DAYS = 800
"""Days before the newest statement from which on statements are peers: a year of publication for accounts over a year old."""
LEAST_REPEATS = 5


class Scoring:
    """A finished run's model and peers, prepared once, and the parts of scoring, each as a function of what the last one gave."""

    def __init__(self, workspace: Workspace) -> None:
        self.params = load_params(workspace)
        self.model = registered_model(workspace, read_scoring_model(workspace).model_sha256).load()
        features = read_table(workspace.features / "features.parquet")
        events, as_of = read_panel_table(workspace.panel, "events"), dt.date.fromisoformat(self.model.card["as_of"])
        self.living = current_statements(features, events, as_of, self.params.score.max_age_months)
        self.compared = PeerRanks(self.living)
        newest = features["available_at"].max()
        self.peers = Peers(features.filter(pl.col("available_at") > newest - dt.timedelta(PEER_DAYS)))
        self.companies = read_panel_table(workspace.panel, "companies").select("company_id", "sector")
        self.statements = read_panel_table(workspace.panel, "statements").sort(VERSION_KEYS)
        self.parts: dict[str, Callable[[Any], Any]] = {
            "quality rules": self.usable,
            "features": self.features,
            "PD and grade": self.scores,
            "reasons": self.reasons,
        }

    def usable(self, rows: pl.DataFrame) -> pl.DataFrame:
        statements = conform_to_schema(rows, statement_schema(OWN_FEATURES))
        kept, _ = split_quarantine(statements, pl.DataFrame(schema=EVENT_SCHEMA))
        return blank_negatives(kept.sort(VERSION_KEYS))[0]

    def features(self, usable: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        latest = usable.unique("company_id", keep="last", maintain_order=True)
        return feature_table(usable, self.companies, self.peers, latest.select(VERSION_KEYS)), latest

    def scores(self, found: tuple[pl.DataFrame, pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
        score_statements(self.model, found[0], self.params.score)
        return found

    def reasons(self, found: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
        return reasons(self.model, found[0], self.params.score.reasons, self.compared, found[1])

    def requests(self, size: int, years: int) -> Iterator[pl.DataFrame]:
        """Yield the statements of so many companies, others each time: of each the latest, and of up to ``years`` in all."""
        ids = self.living["company_id"].sort().shuffle(seed=0)
        starts = range(0, max(1, ids.len() - size + 1), size)
        chosen = self.statements.join(self.living.select("company_id", latest="fiscal_year"), on="company_id")
        chosen = chosen.filter(pl.col("fiscal_year").is_between(pl.col("latest") - years + 1, pl.col("latest"))).drop("latest")
        for start in cycle(starts):
            yield chosen.filter(pl.col("company_id").is_in(ids.slice(start, size).implode())).rechunk()


class CountedCollects:
    """Counts how often Polars is asked to compute."""

    def __init__(self) -> None:
        self.count = 0
        for name in ("collect", "_collect_eager"):
            collect = getattr(pl.LazyFrame, name)

            def counted(frame: pl.LazyFrame, *args: Any, collect: Any = collect, **kwargs: Any) -> Any:
                self.count += 1
                return collect(frame, *args, **kwargs)

            setattr(pl.LazyFrame, name, counted)


def measured(scoring: Scoring, size: int, years: int, seconds: float, collects: CountedCollects) -> dict[str, Any]:
    """Return the CPU milliseconds and the number of `collect` calls of each part and of all together."""
    requests = scoring.requests(size, years)
    taken: dict[str, list[float]] = {part: [] for part in (*scoring.parts, "together")}
    counts = dict.fromkeys(taken, 0)
    end, repeats = None, 0
    while end is None or repeats < LEAST_REPEATS or time.perf_counter() < end:
        value: Any = next(requests)
        spent = 0.0
        for part, work in scoring.parts.items():
            start, before = time.process_time(), collects.count
            value = work(value)
            milliseconds = 1000 * (time.process_time() - start)
            counts[part], spent = collects.count - before, spent + milliseconds
            if end is not None:
                taken[part].append(milliseconds)
        if end is None:  # the first call imports and fills caches
            end = time.perf_counter() + seconds
        else:
            taken["together"].append(spent)
            repeats += 1
    counts["together"] = sum(counts.values())
    return {
        part: {"least": min(times), "median": median(times), "collects": counts[part], "repeats": repeats}
        for part, times in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, nargs="?")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 8, 128, 1000])
    parser.add_argument("--years", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    scoring, collects = Scoring(Workspace(asked.workspace) if asked.workspace else Workspace.find()), CountedCollects()
    results: dict[str, Any] = {}
    for years in asked.years:
        for size in asked.sizes:
            name = f"{size} {'companies' if size > 1 else 'company'}, up to {years} {'years' if years > 1 else 'year'} each"
            found = results[name] = measured(scoring, size, years, asked.seconds, collects)
            print(f"{name} ({found['together']['repeats']} times)")
            for part, figures in found.items():
                times = f"{figures['least']:9.2f} ms least{figures['median']:9.2f} ms median"
                print(f"  {part:<16}{times}{figures['collects']:6d} collects")
    write_json(asked.results, results)


if __name__ == "__main__":
    main()
