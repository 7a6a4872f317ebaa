"""Several sources in one panel: one list of companies, each firm-year once, outcomes where the row's source vouches for them."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT, SMALL, command, default_params, new_workspace, walk_on

from quiebra.canonical import (
    COMPANY_SCHEMA,
    EVENT_SCHEMA,
    MACRO_SCHEMA,
    STATEMENT_SCHEMA,
    OwnColumn,
    Source,
    SourceInfo,
    conform_to_schema,
)
from quiebra.errors import ParamsError, SourceError
from quiebra.feature_engineering import feature_table
from quiebra.items import FIRM_YEAR_KEYS, ITEM_NAMES
from quiebra.models.chain import source_marks
from quiebra.panels import Panel, build_panel, label_outcomes
from quiebra.panels.quality import quality_summary
from quiebra.params import validate_params
from quiebra.sources.combined import combine

DAY = dt.date


def source(
    name: str, rows: list[dict], failures: dict[str, dt.date] | None = None, named: bool = True, **changes: object
) -> Source:
    """Return a source with the given firm-years; amounts that are not given follow from the year and the company."""
    made = [
        {
            "period_end": DAY(row["fiscal_year"], 12, 31),
            "available_at": DAY(row["fiscal_year"] + 1, 4, 30),
            "currency": "USD",
            **{item: 10.0 + at + row["fiscal_year"] % 100 + row.get("size", 0) for at, item in enumerate(ITEM_NAMES)},
            **row,
        }
        for row in rows
    ]
    statements = pl.DataFrame(made, infer_schema_length=None).with_columns(source=pl.lit(name))
    ids = statements["company_id"].unique().sort().to_list()
    companies = pl.DataFrame({"company_id": ids, "name": [f"{each} Inc" if named else each for each in ids]})
    events = [
        {"company_id": each, "event_date": day, "kind": "bankruptcy", "source": name} for each, day in (failures or {}).items()
    ]
    years = statements["fiscal_year"]
    info = SourceInfo(name, name, False, "USD", int(years.min()), int(years.max()), DAY(2020, 1, 1), name, f"Notes of {name}.")
    return Source(
        replace(info, **changes),
        conform_to_schema(companies, COMPANY_SCHEMA),
        conform_to_schema(statements, STATEMENT_SCHEMA),
        conform_to_schema(pl.DataFrame(events, schema=EVENT_SCHEMA), EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
    )


def years(company: str, first: int, last: int, size: float = 0.0, **changes: object) -> list[dict]:
    return [{"company_id": company, "fiscal_year": year, "size": size, **changes} for year in range(first, last + 1)]


def rows_of(found: Source) -> list[tuple]:
    return found.statements.select("company_id", "fiscal_year", "source").sort(FIRM_YEAR_KEYS).rows()


def test_companies_are_one_where_they_share_firm_years_and_each_counts_once() -> None:
    own = source("table", [*years("7", 2012, 2014), *years("8", 2012, 2013, 500)])
    others = source("american", [*years("C_1", 2010, 2014), *years("C_2", 2012, 2013, 900)], named=False)
    for order in ((own, others), (others, own)):
        found = combine({each.info.source: each for each in order})
        assert rows_of(found) == [
            ("7", 2010, "american"), ("7", 2011, "american"), ("7", 2012, "table"), ("7", 2013, "table"), ("7", 2014, "table"),
            ("8", 2012, "table"), ("8", 2013, "table"), ("C_2", 2012, "american"), ("C_2", 2013, "american"),
        ]  # fmt: skip
        aside = found.set_aside.select("company_id", "fiscal_year", "source", "rule").sort("fiscal_year").rows()
        assert aside == [("7", year, "american", "same_firm_year") for year in (2012, 2013, 2014)]
        assert found.companies.rows(named=True)[0]["name"] == "7 Inc" and found.companies.height == 3
        panel = build_panel(found)
        assert panel.quality["rows_in"] == own.statements.height + others.statements.height
        assert any("firm-years that two sources have count once: 3 set aside" in line for line in quality_summary(panel.quality))


def test_amounts_that_only_look_alike_are_two_companies() -> None:
    own = source("table", years("7", 2012, 2014))
    same_assets = {item: 1.0 for item in ITEM_NAMES if item != "total_assets"}
    others = source("american", years("C_1", 2012, 2014, **same_assets), named=False)
    found = combine({"table": own, "american": others})
    assert found.statements.height == 6 and found.set_aside.is_empty()
    one_year = source("american", [*years("C_1", 2012, 2012), *years("C_1", 2013, 2014, 70)], named=False)
    found = combine({"table": own, "american": one_year})
    assert [row for row in rows_of(found) if row[0] == "C_1"] == [("C_1", 2013, "american"), ("C_1", 2014, "american")]


@pytest.mark.parametrize(("gap", "same"), [(0.0004, True), (0.01, False)])
def test_amounts_are_compared_to_the_thousand(gap: float, same: bool) -> None:
    own = source("table", years("7", 2012, 2014))
    others = source("american", [{**row, "size": gap} for row in years("C_1", 2012, 2014)], named=False)
    assert combine({"table": own, "american": others}).set_aside.height == (3 if same else 0)


def test_a_failure_counts_whichever_source_has_it_unless_the_company_went_on() -> None:
    own = source("table", years("7", 2012, 2014))
    others = source("american", years("C_1", 2010, 2014), {"C_1": DAY(2015, 12, 31)}, named=False)
    found = combine({"table": own, "american": others})
    assert found.events.select("company_id", "event_date").rows() == [("7", DAY(2015, 12, 31))]
    gone_on = source("table", years("7", 2012, 2017))
    found = combine({"table": gone_on, "american": others})
    assert found.events.is_empty() and any(
        "has accounts of the company after them: 1, such as 7" in str(said) for said in found.warnings
    )
    alone = combine(
        {
            "table": source("table", years("7", 2012, 2014), {"7": DAY(2013, 6, 30)}),
            "american": source("american", years("C", 2010, 2011, 80), named=False),
        }
    )
    assert alone.events.height == 1, "a source's own failure stands, whatever it published after"


def test_outcomes_are_known_where_the_source_of_a_row_vouches_for_them() -> None:
    own = source("table", years("7", 2010, 2016), first_label_year=2013, outcomes_through=2015)
    others = source("american", years("C_1", 2005, 2012, 300), named=False, first_label_year=2006, outcomes_through=2012)
    panel = build_panel(combine({"table": own, "american": others}))
    assert (panel.info.first_label_year, panel.info.outcomes_through) == (2006, 2015)
    found = label_outcomes(panel.statements, panel.events).select("company_id", "fiscal_year", "outcome").rows()
    assert found == [
        *(("7", year, "survived") for year in (2013, 2014, 2015)),
        *(("C_1", year, "survived") for year in range(2006, 2012)),
        ("C_1", 2012, "exited"),
    ]
    assert label_outcomes(build_panel(own).statements, own.events).height == 7, "a source alone is vouched for as a whole"


def test_currencies_that_differ_are_refused_with_the_remedy() -> None:
    with pytest.raises(SourceError, match=r"table EUR, american USD.*ingest\.table\.units times the rate"):
        combine(
            {
                "table": source("table", years("7", 2012, 2013), currency="EUR"),
                "american": source("american", years("C", 2012, 2013)),
            }
        )


def test_ids_that_mean_different_companies_are_told_apart_and_ciks_are_one() -> None:
    one, two = source("demo", years("A1", 2012, 2013)), source("table", years("A1", 2012, 2013, 400))
    assert {row[0] for row in rows_of(combine({"demo": one, "table": two}))} == {"A1", "table:A1"}
    edgar = source("edgar", years("CIK0000000007", 2012, 2013))
    mine = source("table", [*years("cik7", 2013, 2014, 0.3), *years("CIK8", 2013, 2013, 90)])
    assert rows_of(combine({"edgar": edgar, "table": mine})) == [
        ("CIK0000000007", 2012, "edgar"), ("CIK0000000007", 2013, "edgar"), ("CIK0000000007", 2014, "table"), ("CIK0000000008", 2013, "table"),
    ]  # fmt: skip


def test_numbers_are_no_ciks_and_a_chain_of_three_sources_is_one_company() -> None:
    edgar = source("edgar", years("CIK0000000012", 2012, 2013))
    found = combine({"edgar": edgar, "table": source("table", years("12", 2012, 2013, 700))})
    assert {row[0] for row in rows_of(found)} == {"CIK0000000012", "12"} and found.set_aside.is_empty()
    mine, others = (
        source("table", years("B1", 2012, 2013)),
        source("american", years("A1", 2012, 2013), {"A1": DAY(2014, 12, 31)}, named=False),
    )
    found = combine({"edgar": edgar, "table": mine, "american": others})
    assert {row[0] for row in rows_of(found)} == {"CIK0000000012"} and found.companies.height == 1
    assert found.events["company_id"].to_list() == ["CIK0000000012"]


def test_shells_with_a_few_small_amounts_are_not_one_company() -> None:
    small = dict.fromkeys(ITEM_NAMES, 0.0) | {"total_assets": 0.003, "current_assets": 0.003, "cash": 0.003}
    own = source("table", years("A1", 2012, 2014, **{**small, "operating_expenses": 0.0003}))
    other = source("american", years("Z9", 2012, 2014, **{**small, "cash": 0.0025, "operating_expenses": 0.0005}), named=False)
    assert combine({"table": own, "american": other}).set_aside.is_empty()


def test_own_columns_stay_those_of_their_source() -> None:
    column = OwnColumn("late", "Late", "Late", 1)
    own = source("table", years("7", 2012, 2013))
    own = replace(own, info=replace(own.info, own_columns=(column,)), statements=own.statements.with_columns(late=pl.lit(2.0)))
    found = build_panel(combine({"table": own, "american": source("american", years("C", 2012, 2013, 50))}))
    assert found.info.own_columns == (column,)
    assert found.statements.sort("source")["late"].to_list() == [None, None, 2.0, 2.0]


def test_params_name_sources_or_one_source_by_its_former_name() -> None:
    import yaml

    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["ingest"]["sources"] = ["american", "table"]
    assert validate_params(content).ingest.sources == ["american", "table"]
    for wrong, said in ((["american", "american"], "each source once"), ([], "sources"), (["sap"], "sources")):
        with pytest.raises(ParamsError, match=said):
            validate_params({**content, "ingest": {**content["ingest"], "sources": wrong}})
    with pytest.raises(ParamsError, match="source and sources name different ones"):
        validate_params({**content, "ingest": {**content["ingest"], "source": "edgar"}})
    content["ingest"] |= {"sources": ["demo"], "source": "edgar"}
    assert validate_params(content).ingest.sources == ["edgar"]


@pytest.mark.slow
def test_a_whole_run_on_two_sources_with_the_level_of_ones_own(tmp_path: Path) -> None:
    from test_own_columns import firm_years

    folder = tmp_path / "house"
    changes = {
        "ingest": {"sources": ["table", "demo"], "table": {"path": "data/raw/rows.csv", "currency": "EUR"}, "demo": {"companies": 250, "years": 9, "first_year": 2012}},
        "train": {"calibrate_on": ["table"]},
        "score": {"sources": ["table"]},
        "validate": {"bootstrap": 50},
        "portfolio": {"draws": 1000},
    }  # fmt: skip
    new_workspace(folder, changes)
    rows = firm_years(300, 8).drop("late_payments", "opinion").with_columns(name=pl.col("company_id") + " SA", months=12)
    rows = rows.with_columns(months=pl.when(pl.int_range(pl.len()) == 0).then(6).otherwise("months"))
    rows.write_csv(folder / "data/raw/rows.csv")
    done = command(folder, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    statements = pl.read_parquet(folder / "data/panel/statements.parquet")
    assert set(statements["source"]) == {"table", "demo"} and statements["labelled"].null_count() == 0
    quarantine = pl.read_parquet(folder / "data/panel/quarantine.parquet")
    assert (quarantine["rule"] == "not_a_year").sum() == 1, "what a source sets aside itself is among the rows in"
    scores = pl.read_parquet(folder / "data/scores/scores.parquet")
    assert scores.height > 50 and scores["company_id"].str.starts_with("C").all(), "the others only teach"
    learnt = pl.read_parquet(folder / "models/history.parquet")
    assert learnt["company_id"].str.starts_with("SIM").any()
    groups = json.loads((folder / "data/validation/pack.json").read_text())["groups"]["by_source"]
    assert [group["group"] for group in groups] == ["demo", "table"] and all(group["rows"] for group in groups)
    page = re.sub(r"\s+", " ", (folder / "reports/build/risk_report.html").read_text())
    assert "demo+table" in page and "The model has learnt from simulated companies too" in page
    assert "These companies do not exist" not in page
    own = next(group for group in groups if group["group"] == "table")
    sentence = f"of those of table alone, on {own['events']} failures"
    assert f"own         Figures and gates are of all sources, monitoring of the scored companies; {sentence}" in done.stdout
    judged = re.sub(r"\s+", " ", (folder / "reports/build/validation_report.html").read_text())
    assert sentence in judged
    assert sentence in page and "of table alone" in page and "of them of demo" in page


@pytest.mark.parametrize("named", [{"train": {"calibrate_on": ["american"]}}, {"score": {"sources": ["demo", "table"]}}])
def test_a_source_that_is_not_read_neither_calibrates_nor_is_scored(named: dict[str, dict[str, list[str]]]) -> None:
    """It would switch calibration off, or end a run after training with advice that does not help."""
    content = default_params()
    for section, values in named.items():
        content[section] |= values
    with pytest.raises(ParamsError, match=r"(american|table) is not read: ingest\.sources has demo"):
        validate_params(content)


@pytest.mark.slow
def test_a_source_with_too_few_failures_leaves_the_level_to_all(small_panel: Panel) -> None:
    """Not calibrated at all, PDs would be another model's, and gates would not tell."""
    failed = small_panel.events["company_id"].head(5).to_list()
    mine = pl.when(pl.col("company_id").is_in(failed)).then(pl.lit("table")).otherwise("source").alias("source")
    panel = replace(small_panel, statements=small_panel.statements.with_columns(mine))
    changes = {**SMALL, "train": {**SMALL.get("train", {}), "trees": 20}}
    params = validate_params(default_params(**changes))
    own = params.model_copy(update={"train": params.train.model_copy(update={"calibrate_on": ["table"]})})
    assert walk_on(panel, own).history.equals(walk_on(panel, params).history)


def test_a_feature_that_tells_the_source_is_not_learnt_from() -> None:
    own = source("table", years("7", 2012, 2014), named=True)
    lacking = source("american", years("C", 2012, 2014, 60, operating_cash_flow=None, market_value=None), named=False)
    panel = build_panel(combine({"table": own, "american": lacking}))
    features = feature_table(panel.statements, panel.companies)
    marks = source_marks(features, panel.statements)
    assert "cash_flow_to_liabilities" in marks and "market_leverage" in marks and "liabilities_to_assets" not in marks
    alone = features.filter(pl.col("log_market_value").is_not_null())
    assert source_marks(alone, panel.statements) == [], "among companies with a market value all have it"
    one = build_panel(own)
    assert source_marks(feature_table(one.statements, one.companies), one.statements) == []


def test_the_documented_figures_are_those_that_were_measured() -> None:
    page = (ROOT / "docs/real-companies.md").read_text(encoding="utf-8")
    found = json.loads((ROOT / "benchmarks/results/named_companies.json").read_text(encoding="utf-8"))
    assert f"({found['firm-years']:,} firm-years, {found['failures']} failures)" in page
    for words, name in (
        ("own companies alone", "own"),
        ("**both as one panel**", "both"),
        ("both, level by own companies alone", "both, calibrated on own"),
    ):
        figures = found["figures"][name]
        low, high = figures["interval"]["auc"]
        assert f"| {words} | {figures['auc']:.3f} ({low:.3f} to {high:.3f}) |" in page, words
