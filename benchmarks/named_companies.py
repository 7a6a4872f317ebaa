"""Whether the panel of others teaches a model of one's own companies, where those have few failures.

    python benchmarks/named_companies.py AMERICAN.csv.gz STATEMENTS.csv.gz FAILURES.csv

AMERICAN: the public American panel (anonymous). STATEMENTS: firm-years of named companies, with columns cik, company and the
canonical ones; FAILURES: company_id, date, kind. Each fiscal year is scored by models fitted on outcomes that were known before
it in every source. Judged on the named companies alone, on the same rows and resamples of companies: a model learnt from them
alone; the American panel's accounting scorer, unchanged; the mean of both log-odds; a model learnt from both panels as one, in
which firm-years that both have count once; and that one with blend and calibration of the named companies alone. Writes
results/named_companies.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.feature_engineering import feature_table
from quiebra.items import VERSION_KEYS
from quiebra.models import ModelChain, walk_forward
from quiebra.panels import Panel, build_panel, label_outcomes
from quiebra.params import Table, load_params
from quiebra.sources import american, table
from quiebra.sources.combined import combine
from quiebra.validation.comparison import Bootstrap, ResampledScore
from quiebra.workspace import Workspace

HERE = Path(__file__).parent
PARAMS = load_params(Workspace(HERE.parent))
TEST_YEARS = (2013, 2017)


def walked(panel: Panel, features: pl.DataFrame, first_year: int, **train: Any) -> ModelChain:
    return walk_forward(
        features,
        panel.statements,
        panel.events,
        first_year=first_year,
        as_of=panel.info.as_of,
        train=PARAMS.train.model_copy(update=train),
        labels=PARAMS.labels,
        run=PARAMS.run,
    )


def main() -> None:
    others = american.load(Path(sys.argv[1]))
    options = Table(path="x", columns={"company_id": "cik", "name": "company"}, currency="USD", outcomes_through=TEST_YEARS[1])
    own = table.load(Path(sys.argv[2]), options, Path(sys.argv[3]))
    panels = {
        "own": build_panel(own),
        "others": build_panel(others),
        "both": build_panel(combine({"table": own, "american": others})),
    }
    tables = {name: feature_table(panel.statements, panel.companies) for name, panel in panels.items()}
    chains = {
        "own": walked(panels["own"], tables["own"], panels["own"].info.first_label_year, min_years=2),
        "others": walked(panels["others"], tables["others"], 2003),
        "both": walked(panels["both"], tables["both"], 2003),
        "both, calibrated on own": walked(panels["both"], tables["both"], 2003, calibrate_on=["table"]),
    }
    outcomes = label_outcomes(panels["both"].statements, panels["both"].events).select("company_id", "fiscal_year", "failed")
    rows = tables["own"].join(outcomes, on=["company_id", "fiscal_year"]).filter(pl.col("fiscal_year").is_between(*TEST_YEARS))
    rows = rows.sort(VERSION_KEYS).unique(VERSION_KEYS[:2], keep="first", maintain_order=True)
    applied = [
        (part := rows.filter(pl.col("fiscal_year") == year))
        .select("company_id", "fiscal_year")
        .with_columns(others=(scorer := chains["others"].scorers[year]["accounting"]).finish(scorer.parts(part), 0.9)["pd_12m"])
        for year in range(TEST_YEARS[0], TEST_YEARS[1] + 1)
    ]
    judged = rows.select("company_id", "fiscal_year", "failed").join(pl.concat(applied), on=["company_id", "fiscal_year"])
    for name in ("own", "both", "both, calibrated on own"):
        scores = chains[name].history.select("company_id", "fiscal_year", pl.col("pd_12m").alias(name))
        judged = judged.join(scores, on=["company_id", "fiscal_year"])
    logit = {name: (pl.col(name) / (1 - pl.col(name))).log() for name in ("own", "others")}
    judged = judged.with_columns(mean=1 / (1 + (-(logit["own"] + logit["others"]) / 2).exp()))
    how = Bootstrap(1000, 0.95, PARAMS.run.seed)
    found = {name: ResampledScore.resample(judged, name, how) for name in judged.columns[3:]}
    less = {
        base: {name: score.judge_against(found[base]) for name, score in found.items() if name != base}
        for base in ("own", "others")
    }
    result = {
        "failures": int(judged["failed"].sum()),
        "firm-years": judged.height,
        "figures": {name: score.judge() for name, score in found.items()},
        "less own alone": less["own"],
        "less others unchanged": less["others"],
    }
    (HERE / "results/named_companies.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for title in ("figures", "less own alone", "less others unchanged"):
        print(title)
        for name, score in result[title].items():
            shown = [
                f"{key} {score[key]:+.3f} {score['interval'][key]}" for key in ("auc", "average_precision", "pd_over_observed")
            ]
            print(f"  {name:26}{'  '.join(shown)}")


if __name__ == "__main__":
    main()
