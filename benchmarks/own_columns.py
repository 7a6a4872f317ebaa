"""What columns of one's own add to ratios, out of time: Spanish firm-years with payment incidents, auditors' opinions and delays.

    python benchmarks/own_columns.py bankruptcy_spain_1998_2003.arff.gz

The table (2,859 firm-years of 1998 to 2003, 62 flagged as failed; from github.com/geneura-papers/data) has ratios, no amounts and
no company's name: rows are linked by their order, which is that of companies, and by province, legal form and partners. A
company has failed in the first year in which it is flagged, and fails in the September after that year's end. The years 2002 and
2003 are scored, each by a model of earlier years' outcomes, with and without the columns that are no ratios; figures and
differences have intervals from resampled companies. Each column's AUC alone is what the guard against leakage looks at. Writes
results/own_columns.json.
"""

from __future__ import annotations

import difflib
import gzip
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.feature_engineering import feature_table, use_own_features
from quiebra.models import walk_forward
from quiebra.panels import Panel, build_panel, label_outcomes
from quiebra.params import OwnFeature, Table, load_params
from quiebra.sources import table
from quiebra.validation.comparison import Bootstrap, ResampledScore
from quiebra.validation.leakage import refuse_leaks
from quiebra.workspace import Workspace

HERE = Path(__file__).parent
TEST_YEARS = (2002, 2003)
RATIOS = {
    "DEBT_STRUCTURE": 0, "DEBT_COST": 0, "DEBT_PAYING_AVAILABILITY": -1, "DEBT_RATIO": 0, "WORKING_CAPITAL": -1, "WARRANTY": 0,
    "OPERATING_INCOME_MARGIN": -1, "RETURN_OPERATING_ASSETS": -1, "RETURN_EQUITY": 0, "RETURN_ASSETS": -1, "STOCK_TURNOVER": 0,
    "ASSET_TURNOVER": 0, "RECEIVABLE_TURNOVER": 0, "ASSET_ROTATION": 0, "FINANCIAL_SOLVENCY": -1, "ACID_TEST": -1,
}  # fmt: skip
OTHERS = {
    "NUMBER_EMPLOYEES": 0, "AGE": 0, "NUMBER_PARTNERS": 0, "CHANGES_LOCATION": 0, "DELAY_ACCOUNTS": 1,
    "NUMBER_JUDICIAL_INCIDENCES_TOTAL": 1, "NUMBER_JUDICIAL_INCIDENCES_YEAR": 1, "SPENT_JUDICIAL_INCIDENCES_TOTAL": 1,
    "SPENT_JUDICIAL_INCIDENCES_YEAR": 1, "NUMBER_SERIOUS_INCIDENCES": 1, "AUDITORS_OPINION": 1,
}  # fmt: skip
VALUES = {
    "DELAY_ACCOUNTS": {"no": 0.0, "yes": 1.0},
    "AUDITORS_OPINION": {"nothing": 0.0, "positive": 0.0, "minor": 1.0, "negative": 2.0},
}


def read_arff(path: Path) -> pl.DataFrame:
    """Return the rows of the file as text, with company_id and event_date."""
    text = gzip.decompress(path.read_bytes()).decode()
    names = re.findall(r"^@attribute (\w+)", text, re.MULTILINE)
    lines = [line for line in text.split("@data")[1].split("\n") if line.strip() and not line.startswith("%")]
    years: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        row = {name: None if value == "?" else value for name, value in zip(names, line.strip().split(","), strict=True)}
        years.setdefault(row["YEAR"] or "", []).append(row)
    before: list[dict[str, Any]] = []
    companies = 0
    for year in sorted(years):
        now = years[year]
        marks = [[(row["PROVINCE_CODE"], row["SOCIAL_CODE"], row["NUMBER_PARTNERS"]) for row in rows] for rows in (before, now)]
        for block in difflib.SequenceMatcher(None, *marks, autojunk=False).get_matching_blocks():
            for place in range(block.size):
                now[block.b + place]["company_id"] = before[block.a + place]["company_id"]
        for row in now:
            if "company_id" not in row:
                companies += 1
                row["company_id"] = f"ES{companies:04}"
        before = now
    rows = pl.DataFrame([row for year in years.values() for row in year], infer_schema_length=None)
    flagged = rows.filter(pl.col("BANKRUPTCY") == "YES").group_by("company_id").agg(pl.col("YEAR").cast(pl.Int32).min())
    events = flagged.select("company_id", event_date=pl.date(pl.col("YEAR") + 1, 9, 30))
    return rows.rename({"YEAR": "fiscal_year"}).join(events, on="company_id", how="left", maintain_order="left")


def own_table(rows: pl.DataFrame, folder: Path) -> Panel:
    """Return the panel of the rows, whose columns are all features of one's own."""
    path = folder / "spain.csv"
    rows.write_csv(path)
    columns = {**RATIOS, **OTHERS}
    options = Table(
        path=str(path),
        columns={f"es_{name.lower()}": name for name in columns},
        currency="EUR",
        decimal=".",
        outcomes_through=TEST_YEARS[-1],
        features={
            f"es_{name.lower()}": OwnFeature(label=name.replace("_", " ").capitalize(), sign=sign, values=VALUES.get(name, {}))
            for name, sign in columns.items()
        },
    )
    return build_panel(table.load(path, options))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        panel = own_table(read_arff(Path(sys.argv[1])), Path(folder))
    use_own_features(panel.info.own_columns)
    params = load_params(Workspace(HERE.parent))
    features = feature_table(panel.statements, panel.companies)
    labels = label_outcomes(panel.statements, panel.events)
    alone, _ = refuse_leaks(features, labels)  # raises where a column is the outcome in disguise
    scores = {}
    for name, dropped in (("ratios", OTHERS), ("with further columns", {})):
        train = params.train.model_copy(
            update={"embargo_years": 0, "min_years": 3, "drop_features": [f"es_{column.lower()}" for column in dropped]}
        )
        chain = walk_forward(
            features,
            panel.statements,
            panel.events,
            first_year=1998,
            as_of=panel.info.as_of,
            train=train,
            labels=params.labels,
            run=params.run,
        )
        judged = chain.history.join(labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"])
        rows = judged.filter(pl.col("fiscal_year").is_in(TEST_YEARS)).sort("company_id", "fiscal_year")
        scores[name] = ResampledScore.resample(rows, "pd_12m", Bootstrap(1000, 0.95, params.run.seed))
    names = {f"es_{name.lower()}" for name in OTHERS}
    found = {
        "figures": {name: score.judge() for name, score in scores.items()},
        "with further columns less ratios": scores["with further columns"].judge_against(scores["ratios"]),
        "auc of each column alone": {
            row["feature"]: [round(row["auc"], 3), round(row["low"], 3), round(row["high"], 3)]
            for row in alone.filter(pl.col("feature").is_in(list(names)), ~pl.col("missing")).drop_nulls().to_dicts()
        },
    }
    (HERE / "results/own_columns.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
