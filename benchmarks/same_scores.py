"""The same companies scored over every interface, and whether they get the same score.

    python benchmarks/same_scores.py [AMERICAN.csv.gz] [--companies 1000]

The interfaces are run, database, command line, dashboards and HTTP. On the demo panel, and on the American panel if its file is
given: a run in a new workspace, then for so many of its companies all statements that had been published by the run's date are
sent as a file to `quiebra score` and to the portfolio page, and as JSON to POST /v1/predict/batch (all statements sent, and
again the latest alone with use_history); the run's scores and the database's stand beside them, and for some GET
/v1/companies/ID. Compared at six decimals, and by grade. Prints and writes benchmarks/results/same_scores.json; ends with status
1 where anything differs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import polars as pl
from api_server import api_server
from conftest import command, new_workspace

from quiebra.io.files import read_json, read_table, write_json
from quiebra.params import load_params
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.portfolio_files import scored_statements
from quiebra.services.prediction import STATEMENT_COLUMNS
from quiebra.sources.reading import read_file
from quiebra.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "same_scores.json"
QUICK = {"train": {"trees": 60, "later_trees": 30}, "validate": {"bootstrap": 20}, "report": {"watch_list": 10}}
"""A smaller model: what is compared is how it is asked, not how good it is."""
STORED = 50
"""Companies of which the stored score is asked for over HTTP, one by one."""
Scores = dict[str, tuple[float, str]]
"""Company → one-year PD to six decimals, and grade."""


def scores_of(rows: Iterable[Mapping[str, Any]]) -> Scores:
    return {row["company_id"]: (round(row["pd_12m"], 6), row["rating"]) for row in rows}


def over_http(
    folder: Path, sent: dict[str, list[dict[str, Any]]], sectors: dict[str, str | None], as_of: dt.date
) -> dict[str, Scores]:
    """Return the scores of POST /v1/predict/batch with all statements and with the stored history, and those of GET."""

    def bodies(rows: int | None) -> list[dict[str, Any]]:
        more = {} if rows is None else {"use_history": True, "as_of": str(as_of)}
        return [
            {"company_id": name, "sector": sectors[name], "statements": all_[-rows:] if rows else all_, **more}
            for name, all_ in sent.items()
        ]

    with api_server(folder) as server, server.client(server.local_key) as client:
        found = {}
        for title, asked in {"HTTP": bodies(None), "HTTP, latest statement and stored history": bodies(1)}.items():
            answer = client.post("/v1/predict/batch", json=asked, timeout=600)
            answer.raise_for_status()
            found[title] = scores_of(one for one in answer.json()["results"] if "pd_12m" in one)
        some = list(sent)[:STORED]
        found["HTTP, stored"] = scores_of(client.get(f"/v1/companies/{name}").raise_for_status().json() for name in some)
    return found


def compare_panel(changes: dict[str, Any], files: dict[str, Path], most: int) -> dict[str, Any]:
    """Return, for a panel, how many companies were scored over each interface, and which of them otherwise than in the run."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "workspace"
        new_workspace(folder, {**QUICK, **changes})
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
        done = command(folder, "quiebra", "run")
        assert done.returncode == 0, done.stdout + done.stderr
        return compare_interfaces(folder, most)


def compare_interfaces(folder: Path, most: int) -> dict[str, Any]:
    workspace = Workspace(folder.resolve())
    run = read_json(workspace.scores / "run.json")
    as_of = dt.date.fromisoformat(run["as_of"])
    table = read_table(workspace.scores / "scores.parquet").sort("company_id").head(most)
    expected = scores_of(table.iter_rows(named=True))
    panel = read_table(workspace.panel / "statements.parquet").filter(pl.col("available_at") <= as_of)
    statements = panel.filter(pl.col("company_id").is_in(list(expected))).sort("company_id", "fiscal_year", "available_at")
    companies = read_table(workspace.panel / "companies.parquet").select("company_id", "sector")
    sectors = dict(companies.iter_rows())
    rows = statements.select("company_id", *STATEMENT_COLUMNS)
    sent: dict[str, list[dict[str, Any]]] = {}
    for row in rows.with_columns(pl.col("period_end", "available_at").cast(pl.String)).iter_rows(named=True):
        sent.setdefault(row.pop("company_id"), []).append(row)
    path = folder / "statements.parquet"
    in_units = pl.col(STATEMENT_COLUMNS[3:]) / load_params(workspace).ingest.table.units
    rows.join(companies, on="company_id", how="left").with_columns(in_units).write_parquet(path)
    done = command(folder, "quiebra", "score", path.name, "--out", "scored.parquet")
    assert done.returncode == 0, done.stderr
    view = FinishedRunView(workspace)
    on_the_page, _, _ = scored_statements(view, read_file(path, view.params.ingest.table), lambda _share: None)
    with sqlite3.connect(workspace.root / "data" / "quiebra.db") as database:
        stored = database.execute("SELECT company_id, pd_12m, rating FROM predicciones WHERE kind = 'current'").fetchall()
    found = {
        "database": {name: (round(pd, 6), rating) for name, pd, rating in stored if name in expected},
        "command line": scores_of(pl.read_parquet(folder / "scored.parquet").iter_rows(named=True)),
        "portfolio page": scores_of(on_the_page.iter_rows(named=True)),
        **over_http(folder, sent, sectors, as_of),
    }
    return {
        "companies": len(expected),
        "statements": statements.height,
        "interfaces": {
            each: {
                "companies": len(scores),
                "otherwise": sorted(name for name, score in scores.items() if expected.get(name) != score),
            }
            for each, scores in found.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("american", nargs="?", type=Path)
    parser.add_argument("--companies", type=int, default=1000)
    asked = parser.parse_args()
    result = {"demo": compare_panel({}, {}, asked.companies)}
    if asked.american:
        raw = "data/raw/american_bankruptcy.csv.gz"
        changes = {"ingest": {"sources": ["american"], "american": {"path": raw}}}
        result["american"] = compare_panel(changes, {raw: asked.american}, asked.companies)
    write_json(RESULTS, result)
    print(json.dumps(result, indent=2))
    every = [each for panel in result.values() for each in panel["interfaces"].values()]
    return 1 if any(each["otherwise"] for each in every) else 0


if __name__ == "__main__":
    sys.exit(main())
