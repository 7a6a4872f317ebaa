"""Dates, currency, unit and versions of people's files, damaged panels, and no row lost: what is said, where and with which remedy."""

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from conftest import AMERICAN, ROOT, command, default_params, new_workspace
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from quiebra.canonical import EVENT_SCHEMA, STATEMENT_SCHEMA, conform_to_schema
from quiebra.cli.app import app
from quiebra.errors import LocalisedMessage, PanelError, SourceError
from quiebra.items import ITEM_NAMES, VERSION_KEYS
from quiebra.panels import Panel, build_panel
from quiebra.panels.periods import misplaced_periods
from quiebra.panels.quality import quality_summary, quality_warnings
from quiebra.panels.quarantine import QUARANTINE_RULES, split_quarantine
from quiebra.params import validate_params
from quiebra.services import portfolio
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.scoring import ScoredFile, score_file
from quiebra.sources import american, table
from quiebra.sources.currency import format_plain
from quiebra.sources.demo import Simulation
from quiebra.text.words import Words
from quiebra.workspace import Workspace

CASES = ROOT.parent / "shared" / "cases"
US_NAMED = ROOT.parent / "shared" / "data" / "us_named" / "us_statements_to_2018.csv.gz"
HEAD = "company_id,fiscal_year,total_assets,total_liabilities"
EN, ES = Words("en"), Words("es")


def options(**changes: object):
    return validate_params(default_params(ingest={"table": changes})).ingest.table


def read(path: Path, text: str, **changes: object) -> Panel:
    path.write_text(text)
    return build_panel(table.load(path, options(**changes)))


def scored(base: FinishedRunView, path: Path, text: str) -> ScoredFile:
    path.write_text(text)
    return score_file(base.workspace, path)


def uploaded(base: FinishedRunView, text: str) -> portfolio.ScoredPortfolio:
    return portfolio.uploaded_portfolio(base, "mine.csv", text.encode())


def told(said: list[LocalisedMessage]) -> str:
    return "\n".join(str(one) for one in said)


def problems(held: portfolio.ScoredPortfolio) -> list[tuple[int, str]]:
    return portfolio.row_problems(held.faults, EN).rows()


# Dates


@pytest.mark.parametrize(
    ("period_end", "available_at"),
    [("9999-12-31", ""), ("2020-12-31", "9999-12-31"), ("0001-01-01", ""), ("1899-12-30", ""), ("2020-12-31", "2999-01-01")],
)
def test_dates_that_are_none_are_set_aside_by_a_rule_of_their_own(
    base: FinishedRunView, tmp_path: Path, period_end: str, available_at: str
) -> None:
    text = f"{HEAD},period_end,available_at\nA,2020,100,60,,\nB,2020,1,1,{period_end},{available_at}\n"
    panel = read(tmp_path / "t.csv", text, filing_lag_days=1000)
    assert panel.statements["company_id"].to_list() == ["A"]
    assert panel.quality["quarantined_by_rule"] == {"bad_date": 1}
    assert panel.info.as_of == dt.date(2023, 9, 27)
    assert scored(base, tmp_path / "s.csv", text).table["company_id"].to_list() == ["A"]
    held = uploaded(base, text)
    assert held.table["company_id"].to_list() == ["A"]
    assert problems(held) == [(3, "period_end or available_at is not between 1900 and 2200")]


def test_no_notebook_dies_of_a_date_and_the_last_lines_say_what_was_set_aside(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "w", {"ingest": {"source": "table", "table": {"path": "data/raw/t.parquet"}}})
    days = pl.Series([17_900, 2_932_896, 3_000_000, -800_000, 40_000], dtype=pl.Int32)  # to the year 10183
    event = pl.Series([None, None, 3_000_000, 2_932_896, None], dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame(
        {
            "company_id": ["A", "B", "C", "D", "E"],
            "fiscal_year": [2019, 2019, 2019, 2019, 2019],
            "total_assets": [9.0, 1, 1, 1, 5],
            "total_liabilities": [5.0, 1, 1, 1, 2],
            "period_end": days.cast(pl.Date),
            "event_date": event,
        }
    )
    frame.write_parquet(workspace / "data/raw/t.parquet")
    done = command(workspace, "quiebra", "run", "ingest")
    assert done.returncode == 0, done.stderr
    first, *warnings = done.stdout.splitlines()
    assert first == "statements  5 rows in, 1 kept, 4 set aside (bad_date 3, year_and_date_differ 1)"
    assert all(line.startswith("WARNING     ") for line in warnings)
    assert "values of event_date before 1900 or after 2200, which are no failure: 2 (9999-12-31)" in done.stdout
    shown = (workspace / "data/panel/ingest.ipynb").read_text()
    assert "10183-09-21" in shown and "9999-12-31" in shown
    assert pl.read_parquet(workspace / "data/panel/events.parquet").is_empty()


def test_a_failure_in_9999_is_none_and_several_dates_are_said(tmp_path: Path) -> None:
    text = f"{HEAD},event_date\nA,2020,9,5,9999-12-31\nB,2020,9,5,2021-08-01\nB,2019,9,5,2022-02-01\nC,2020,9,5,2021-08-01\n"
    panel = read(tmp_path / "t.csv", text)
    assert panel.events.select("company_id", pl.col("event_date").cast(pl.String)).rows() == [
        ("B", "2021-08-01"),
        ("C", "2021-08-01"),
    ]
    said = told(quality_warnings(panel.quality))
    assert "which are no failure: 1 (9999-12-31)" in said
    assert "of which the earliest counts: 1" in said


def test_statements_of_the_future_are_said(base: FinishedRunView, tmp_path: Path) -> None:
    text = HEAD + "".join(f"\nC{i},{year},100,60" for i in range(3) for year in (2019, 2020)) + "\nX,2109,1,1\n"
    panel = read(tmp_path / "t.csv", text)
    assert (panel.info.as_of, panel.info.outcomes_through) == (dt.date(2021, 4, 30), 2019)
    assert panel.quality["dated_after_as_of"] == 1
    assert "statements dated after 2021-04-30, the date of the run: 1, the latest 2110-04-30" in told(
        quality_warnings(panel.quality)
    )
    assert "1 of the kept are dated after 2021-04-30" in quality_summary(panel.quality)[0]
    said = f"statements dated after {base.as_of}, the date of the run: 1, the latest 2110-04-30"
    assert said in told(scored(base, tmp_path / "s.csv", text).warnings)
    held = uploaded(base, text)
    assert said in told(held.notes)
    assert "cuentas con fecha posterior" in " ".join(ES.say(note) for note in held.notes)


# Currency


@pytest.mark.parametrize("given", ["EUR", " eur ", "€"])
def test_the_files_own_currency_is_used_where_it_is_that_of_params(tmp_path: Path, given: str) -> None:
    panel = read(tmp_path / "t.csv", f"{HEAD},currency\nA,2020,9,5,{given}\nB,2020,9,5,\n", currency="EUR")
    assert panel.statements["currency"].to_list() == ["EUR", "EUR"]


@pytest.mark.parametrize("given", [("GBP", "GBP"), ("GBP", ""), ("GBP", "JPY"), ("EUR", "GBP"), ("zlotys", "EUR")])
def test_another_currency_is_refused_with_the_remedy(base: FinishedRunView, tmp_path: Path, given: tuple[str, str]) -> None:
    text = f"{HEAD},Moneda\nA,2020,9,5,{given[0]}\nB,2020,9,5,{given[1]}\n"
    with pytest.raises(SourceError, match=r"Set ingest\.table\.currency to the currency of the file, or convert") as error:
        read(tmp_path / "t.csv", text, currency="EUR", columns={"currency": "Moneda"})
    assert given[0].upper() in str(error.value)
    for use in (
        lambda: scored(base, tmp_path / "s.csv", text.replace("Moneda", "currency")),
        lambda: uploaded(base, text.replace("Moneda", "currency")),
    ):
        with pytest.raises(SourceError, match="a panel has one currency"):
            use()


def test_a_few_rows_in_another_currency_are_set_aside(base: FinishedRunView, tmp_path: Path) -> None:
    text = f"{HEAD},currency\nA,2020,9,5,EUR\nB,2020,9,5,EUR\nC,2020,9,5,USD\nD,2020,9,5,\n"
    panel = read(tmp_path / "t.csv", text, currency="EUR")
    assert panel.statements.select("company_id", "currency").rows() == [("A", "EUR"), ("B", "EUR"), ("D", "EUR")]
    assert panel.quarantined.select("rule", "company_id", "currency").rows() == [("other_currency", "C", "USD")]
    assert sorted(scored(base, tmp_path / "s.csv", text).table["company_id"]) == ["A", "B", "D"]
    held = uploaded(base, text)
    assert problems(held) == [(4, "the currency is not that of the other rows")]


def test_amounts_in_another_currency_than_the_model_learnt_from_are_said(base: FinishedRunView, tmp_path: Path) -> None:
    row = "{head},currency\nA,2020,9,5,{code}\n"
    assert base.source["currency"] == "EUR" and base.params.ingest.table.currency == "USD"
    for code, unlike in (("EUR", False), ("USD", True)):
        text = row.format(head=HEAD, code=code)
        for said in (scored(base, tmp_path / "s.csv", text).warnings, uploaded(base, text).notes):
            assert ("amounts are in USD, and the model learnt from amounts in EUR" in told(said)) is unlike


def test_exposures_in_several_currencies_are_not_added_up(base: FinishedRunView) -> None:
    a, b = base.scores["company_id"][:2]
    with pytest.raises(SourceError, match="EUR, USD: exposures in several currencies"):
        uploaded(base, f"company_id,exposure,currency\n{a},5,EUR\n{b},5,USD\n")
    assert uploaded(base, f"company_id,exposure,currency\n{a},5,EUR\n{b},5,EUR\n").report["exposure"] == 10


def test_the_template_says_its_currency(base: FinishedRunView, tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(portfolio.portfolio_template(base))
    assert pl.read_excel(tmp_path / "t.xlsx")["currency"].to_list() == ["EUR", "EUR"]


# Units


@pytest.mark.parametrize(
    ("factor", "units", "remedy"),
    [(1_000_000, 1.0, "0.000001 "), (1000, 1.0, "0.001 "), (1000, 1000.0, "0.001 "), (1e-6, 1.0, "1000000 ")],
)
def test_an_implausible_unit_is_said_with_the_factor_that_mends_it(
    simulation: Simulation, tmp_path: Path, factor: float, units: float, remedy: str
) -> None:
    rows = simulation.source.statements.filter(pl.col("fiscal_year") > 2020).drop_nulls(["company_id", "total_assets"])
    rows = rows.select("company_id", "fiscal_year", "period_end", "available_at", "total_assets", "total_liabilities")
    rows.with_columns(pl.col("total_assets", "total_liabilities") * factor).write_csv(tmp_path / "t.csv")
    said = told(list(table.load(tmp_path / "t.csv", options(units=units)).warnings))
    assert f"Set ingest.table.units to {remedy}" in said, said
    assert table.load(tmp_path / "t.csv", options(units=units)).statements.height == rows.height
    rows.write_csv(tmp_path / "t.csv")
    assert not table.load(tmp_path / "t.csv", options()).warnings


def test_scores_and_uploads_say_an_implausible_unit(base: FinishedRunView, tmp_path: Path) -> None:
    unknown = HEAD + "".join(f"\nC{i},2020,{2 + i}000000,1500000" for i in range(6))
    for said in (scored(base, tmp_path / "s.csv", unknown).warnings, uploaded(base, unknown).notes):
        assert "the median of total assets is 4500000 millions, which is implausible" in told(said)
        assert "ingest.table.units to 0.001 (median 4500) or 0.000001 (median 4)" in told(said)
    known = base.statements.select("company_id", "fiscal_year", pl.col("total_assets", "total_liabilities") * 1000).head(40)
    text = known.write_csv()
    for said in (scored(base, tmp_path / "k.csv", text).warnings, uploaded(base, text).notes):
        assert "total assets are 1000 times those of the panel" in told(said)
        assert "set ingest.table.units to 0.001" in told(said)
    everything_huge = f"{HEAD}\nA,2020,90000000000,5\n"
    with pytest.raises(PanelError, match=r"beyond 10\^15.*another unit"):
        scored(base, tmp_path / "h.csv", everything_huge)
    with pytest.raises(PanelError, match=r"beyond 10\^15.*another unit"):
        read(tmp_path / "h.csv", everything_huge)


def test_one_very_large_company_is_no_mistake_and_in_thousands_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{HEAD}\nA,2023,352583,290437\n")
    assert not table.load(tmp_path / "t.csv", options()).warnings
    (tmp_path / "t.csv").write_text(f"{HEAD}\nA,2023,352583000,290437000\n")
    assert "0.000001 (median 353) or 0.001 (median 353000)" in told(list(table.load(tmp_path / "t.csv", options()).warnings))


def test_numbers_are_told_without_exponent() -> None:
    assert [format_plain(value) for value in (1e-9, 2.0, 123456.0, 0.05)] == ["0.000000001", "2", "123000", "0.05"]


# Versions


VERSIONS = [
    "A,2024,100,60,2025-05-01,5,0.1,Old name,G Trade",
    "A,2024,90,80,2025-09-01,50,0.6,New name,C Manufacturing",
    "A,2023,80,40,2024-05-01,7,0.3,Older name,F Construction",
]
BESIDE = f"{HEAD},available_at,exposure,lgd,name,sector"


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]])
def test_everything_beside_a_statement_is_of_the_version_that_is_scored(
    base: FinishedRunView, tmp_path: Path, order: list[int]
) -> None:
    text = "\n".join([BESIDE, *(VERSIONS[i] for i in order)])
    held = uploaded(base, text)
    shown = held.table.select("fiscal_year", "exposure", "lgd", "name", "sector").rows()
    assert shown == [(2024, 50.0, 0.6, "New name", "C Manufacturing")]
    assert held.table["pd_12m"].to_list() == scored(base, tmp_path / "s.csv", text).table["pd_12m"].to_list()
    first = scored(base, tmp_path / "f.csv", "\n".join([BESIDE, *VERSIONS])).table
    assert first.equals(scored(base, tmp_path / "o.csv", text).table)


def test_a_version_without_name_or_lgd_takes_the_latest_name_and_the_lgd_of_params(base: FinishedRunView) -> None:
    held = uploaded(base, "\n".join([BESIDE, "A,2024,90,80,2025-09-01,50,,,", VERSIONS[0]]))
    assert held.table.select("exposure", "lgd", "name", "sector").rows() == [(50.0, 0.45, "Old name", "G Trade")]


def test_exposure_on_the_latest_row_alone_leaves_the_years_before_to_the_changes(base: FinishedRunView, tmp_path: Path) -> None:
    text = f"{HEAD},revenue,exposure\nA,2022,100,60,90,\nA,2023,100,70,70,\nA,2024,100,90,40,9\n"
    held, with_past = uploaded(base, text), scored(base, tmp_path / "s.csv", text)
    assert held.faults.is_empty()
    assert held.table.select("fiscal_year", "exposure").rows() == [(2024, 9.0)]
    assert held.table["pd_12m"].to_list() == with_past.table["pd_12m"].to_list()
    alone = scored(base, tmp_path / "a.csv", f"{HEAD},revenue\nA,2024,100,90,40\n")
    assert alone.table["pd_12m"].to_list() != with_past.table["pd_12m"].to_list()


def test_exposures_of_rows_that_are_not_scored_do_not_matter(base: FinishedRunView) -> None:
    text = f"{HEAD},exposure\nA,2023,100,70,none yet\nA,2024,100,90,9\nB,2023,100,70,9\nB,2024,100,90,\nC,2024,9,5,-1\n"
    held = uploaded(base, text)
    assert held.table.select("company_id", "exposure").rows() == [("A", 9.0)]
    assert problems(held) == [
        (5, "the statement that the company is scored by has no exposure"),
        (6, "exposure must be zero or more, lgd from 0 to 1"),
    ]


def test_a_restated_version_that_is_left_out_is_told_and_a_comparative_is_none(base: FinishedRunView) -> None:
    said = "Companies scored by an older statement, since their latest was left out: 1."
    head = f"{HEAD},period_end,available_at\nA,2024,100,70,2024-12-31,2025-05-01\n"
    assert said in told(uploaded(base, f"{head}A,2024,-5,70,2024-12-31,2025-09-01\n").notes)
    held = uploaded(base, f"{head}A,2024,90,70,2023-12-31,2025-09-01\n")
    assert held.faults.height == 1
    assert said not in told(held.notes)


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not on this machine")
def test_versions_and_dates_of_real_files(base: FinishedRunView) -> None:
    held = {
        name[:2]: portfolio.uploaded_portfolio(base, name, (CASES / name).read_bytes())
        for name in ("08_restated_exposure_order.csv", "12_period_9999.csv", "14_exposure_latest_only.csv")
    }
    assert held["08"].table["exposure"].to_list() == [50.0]
    assert held["12"].faults["row"].to_list() == [3]
    of_file = score_file(base.workspace, CASES / "14_exposure_latest_only.csv").table
    assert held["14"].table["pd_12m"].to_list() == of_file["pd_12m"].to_list()
    panel = build_panel(table.load(CASES / "12_period_9999.csv", options()))
    assert (panel.quality["rows_kept"], panel.quality["quarantined_by_rule"]) == (1, {"bad_date": 1})


def test_names_and_sectors_of_a_panel_are_the_latest_versions(tmp_path: Path) -> None:
    for order in (VERSIONS, VERSIONS[::-1]):
        panel = read(tmp_path / "t.csv", "\n".join([BESIDE, *order]))
        assert panel.companies.select("name", "sector").rows() == [("New name", "C Manufacturing")]


def test_of_two_rows_for_one_day_the_fuller_is_kept_and_the_conflict_said(tmp_path: Path) -> None:
    rows = ["A,2020,100,60,", "A,2020,101,60,5", "B,2020,7,3,1", "B,2020,7,3,1", "C,2020,7,-3,1", "C,2020,7,-3,1"]
    for order in (rows, rows[::-1]):
        panel = read(tmp_path / "t.csv", "\n".join([f"{HEAD},ebit", *order]))
        assert panel.statements["total_assets"].to_list() == [101, 7, 7]
        assert panel.quality["duplicates"] == 3
        assert "publication date of another with other amounts: 1;" in told(quality_warnings(panel.quality))


def test_a_broken_row_does_not_make_a_sound_one_its_duplicate(tmp_path: Path) -> None:
    panel = read(tmp_path / "t.csv", f"{HEAD}\nA,2020,-5,60\nA,2020,100,60\n")
    assert panel.statements["total_assets"].to_list() == [100]
    assert panel.quality["quarantined_by_rule"] == {"no_assets": 1}


# Damaged panels


def damaged(simulation: Simulation, **columns: str) -> pl.DataFrame:
    """The demo with columns that hold what belongs in others."""
    return simulation.source.statements.with_columns(pl.col(theirs).alias(ours) for ours, theirs in columns.items())


@pytest.mark.parametrize(
    "columns",
    [
        {"ebitda": "ebit", "ebit": "depreciation_amortization", "depreciation_amortization": "ebitda"},
        {"gross_profit": "revenue", "revenue": "gross_profit"},
        {"total_assets": "current_assets", "current_assets": "total_assets"},
        {"long_term_debt": "total_assets", "total_assets": "total_liabilities", "total_liabilities": "long_term_debt"},
    ],
    ids=["results", "revenue", "assets", "debts"],
)
def test_columns_that_are_not_what_they_are_called_stop_the_ingest(simulation: Simulation, columns: dict[str, str]) -> None:
    with pytest.raises(PanelError, match=r"is broken in .* rows \(\d+ %\): the columns are not what they are called"):
        build_panel(replace(simulation.source, statements=damaged(simulation, **columns)))


def test_any_shuffle_of_the_columns_stops_the_ingest(simulation: Simulation) -> None:
    names = [name for name in ITEM_NAMES if name not in ("cash", "interest_expense", "operating_cash_flow")]
    for seed in range(12):
        others = random.Random(seed).sample(names, len(names))
        with pytest.raises(PanelError, match="the columns are not what they are called"):
            build_panel(replace(simulation.source, statements=damaged(simulation, **dict(zip(names, others, strict=True)))))


def test_an_identity_broken_here_and_there_is_a_loud_warning(simulation: Simulation) -> None:
    some = pl.int_range(pl.len()) % 10 == 0
    changes = {
        "gross profit": (pl.col("gross_profit") * 3, "'gross_profit = revenue - cost_of_goods_sold' is broken in"),
        "signs": (-pl.col("interest_expense").alias("x"), "negative values of interest_expense, which count as missing:"),
        "units": (pl.col("net_income") * 1000, "net_income is "),
        "thousandths": (pl.col("revenue") / 100_000, "total assets are "),
    }
    for kind, (expr, wanted) in changes.items():
        name = expr.meta.root_names()[0]
        value = pl.when(some).then(expr).otherwise(pl.col(name)) if kind in ("gross profit", "signs") else expr
        rows = simulation.source.statements.with_columns(value.alias(name))
        if kind == "thousandths":
            rows = rows.with_columns(gross_profit=pl.lit(None, pl.Float64))
        panel = build_panel(replace(simulation.source, statements=rows))
        assert wanted in told(quality_warnings(panel.quality)), kind


def test_scores_and_uploads_say_a_broken_identity(base: FinishedRunView, tmp_path: Path) -> None:
    text = f"{HEAD},current_assets\n" + "".join(f"C{i},2020,100,60,400\n" for i in range(4))
    for said in (scored(base, tmp_path / "s.csv", text).warnings, uploaded(base, text).notes):
        assert "'current_assets <= total_assets' is broken in 4 of 4 rows (100 %)" in told(said)


def test_a_small_panel_is_doubted_but_not_refused(tmp_path: Path) -> None:
    panel = read(tmp_path / "t.csv", f"{HEAD},current_assets\nA,2020,100,60,400\nB,2020,100,60,\n")
    assert panel.statements.height == 2
    assert "'current_assets <= total_assets' is broken in 1 of 1 rows" in told(quality_warnings(panel.quality))


def test_the_demo_passes_without_a_doubt(panel: Panel, small_panel: Panel) -> None:
    assert panel.quality["warnings"] == small_panel.quality["warnings"] == []


@pytest.mark.skipif(not AMERICAN.exists(), reason="the American panel is not on this machine")
@pytest.mark.slow
def test_the_american_panel_passes_and_its_damaged_copy_stops(tmp_path: Path) -> None:
    source = american.load(AMERICAN)
    panel = build_panel(source)
    assert panel.quality["warnings"] == [] and panel.quality["rows_quarantined"] == 0
    frame = pl.read_csv(AMERICAN, n_rows=5000)
    names = [name for name in frame.columns if name.startswith("X")]
    frame.rename(dict(zip(names, random.Random(5).sample(names, len(names)), strict=True))).write_csv(tmp_path / "a.csv")
    with pytest.raises(PanelError, match="or get the file again"):
        build_panel(american.load(tmp_path / "a.csv"))
    assert not american.load(AMERICAN).warnings
    thousands = frame.with_columns(pl.selectors.starts_with("X") * 1000)
    thousands.write_csv(tmp_path / "t.csv")
    assert "millions, which is implausible" in told(list(american.load(tmp_path / "t.csv").warnings))
    off = frame.with_columns(pl.col("X1", "X3", "X6") * 1000)
    off.write_csv(tmp_path / "b.csv")
    with pytest.raises(PanelError, match="the columns are not what they are called"):
        build_panel(american.load(tmp_path / "b.csv"))


@pytest.mark.slow
@pytest.mark.skipif(not US_NAMED.exists(), reason="the panel of named companies is not on this machine")
def test_a_real_file_keeps_its_currency_and_its_unit_is_judged() -> None:
    columns = {"company_id": "simfin_id", "name": "company"}
    panel = build_panel(table.load(US_NAMED, options(columns=columns)))
    assert panel.quality["quarantined_by_rule"] == {"available_early": 3, "no_assets": 5, "other_currency": 1}
    assert panel.quality["warnings"] == []
    said = told(list(table.load(US_NAMED, options(columns=columns, units=1_000_000.0)).warnings))
    assert "Set ingest.table.units to 1 (median 1620)." in said


# What a run says of its data


def test_last_accounts_lost_to_the_assumed_lag_are_said_with_the_remedy(tmp_path: Path) -> None:
    rows = [f"F{i},{year},9,5,2021-0{i + 1}-15" for i in range(4) for year in (2018, 2019, 2020)]
    rows += [f"S{i},{year},9,5," for i in range(9) for year in (2018, 2019, 2020)]
    text = "\n".join([f"{HEAD},event_date", *rows])
    panel = read(tmp_path / "t.csv", text, filing_lag_days=120)
    assert panel.quality["quarantined_by_rule"] == {"after_event": 4}
    assert panel.quality["last_accounts_set_aside"] == 4
    said = told(quality_warnings(panel.quality))
    assert "failed companies whose last accounts are set aside: 4 of 4, since with the assumed lag of 120 days" in said
    assert "Give available_at, or lower ingest.table.filing_lag_days" in said
    assert not quality_warnings(read(tmp_path / "t.csv", text, filing_lag_days=10).quality)
    given = "\n".join([f"{HEAD},event_date,available_at", *(f"{row},{row.split(',')[1]}-12-31" for row in rows)])
    assert not quality_warnings(read(tmp_path / "t.csv", given).quality)


def test_accounts_after_a_failure_are_not_last_accounts(tmp_path: Path) -> None:
    rows = [f"F,{year},9,5,2019-08-01" for year in (2017, 2018, 2019, 2020)]
    panel = read(tmp_path / "t.csv", "\n".join([f"{HEAD},event_date", *rows]))
    assert panel.quality["quarantined_by_rule"] == {"after_event": 2}
    assert panel.quality["last_accounts_set_aside"] == 0


def test_the_summary_counts_every_row_by_rule(panel: Panel) -> None:
    line, *warnings = quality_summary(panel.quality)
    rules = panel.quality["quarantined_by_rule"]
    assert not warnings
    assert line.startswith(f"statements  {panel.quality['rows_in']:,} rows in, {panel.statements.height:,} kept, ")
    assert all(f"{rule} {rows}" in line for rule, rows in rules.items())
    assert sum(rules.values()) == panel.quality["rows_quarantined"]


def test_the_command_line_says_what_it_doubts(base: FinishedRunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text(f"{HEAD},currency\nA,2020,9,5,EUR\nB,2020,9,5,EUR\nC,2020,9,5,USD\nD,2109,1,1,EUR\n")
    monkeypatch.chdir(base.workspace.root)
    done = CliRunner().invoke(app, ["score", str(tmp_path / "t.csv")])
    assert done.exit_code == 0, done.output
    assert "1 row left out: the currency is not that of the other rows" in done.stderr
    assert "the date of the run: 1, the latest 2110-04-30" in done.stderr
    assert sorted(pl.read_csv(done.stdout.encode())["company_id"]) == ["A", "B", "D"]


def test_the_report_says_what_is_doubtful_about_the_data(base: FinishedRunView, monkeypatch: pytest.MonkeyPatch) -> None:
    from quiebra.reports.risk_report import risk_report

    monkeypatch.chdir(base.workspace.root)
    report = risk_report({"report": {"lang": "es"}})
    assert report.data_warnings() == ""
    values = {"rows": 3, "as_of": "2024-06-30", "latest": "2109-12-31"}
    text = "statements dated after {as_of}, the date of the run: {rows}, the latest {latest}; are fiscal_year, period_end and available_at right?"
    quality = {**report.data_quality, "warnings": [{"text": text, "values": values}]}
    report.__dict__["data_quality"] = quality
    assert "cuentas con fecha posterior a 2024-06-30" in report.data_warnings()
    assert "Dudas sobre su conjunto: 1" in report.summary()


# No row is lost


DAYS = st.one_of(
    st.none(), st.dates(dt.date(2018, 1, 1), dt.date(2023, 1, 1)), st.sampled_from([dt.date(9999, 12, 31), dt.date(1, 1, 1)])
)
AMOUNTS = st.one_of(st.none(), st.floats(-50, 500), st.sampled_from([float("inf"), float("nan"), 1e12, 0.0]))
ROWS = st.fixed_dictionaries(
    {
        "company_id": st.sampled_from(["A", "B", "C", "", None]),
        "fiscal_year": st.one_of(st.none(), st.integers(2018, 2022), st.sampled_from([-1, 120, 9999])),
        "period_end": DAYS,
        "available_at": DAYS,
        "total_assets": AMOUNTS,
        "ebit": AMOUNTS,
        "currency": st.sampled_from(["EUR", "EUR", "USD", None]),
    }
)


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=14),
    order=st.randoms(use_true_random=False),
    event=st.one_of(st.none(), st.dates(dt.date(2018, 6, 1), dt.date(2023, 1, 1))),
)
def test_no_row_of_any_table_is_lost_and_their_order_changes_nothing(
    rows: list[dict], order: random.Random, event: dt.date | None
) -> None:
    schema = {**STATEMENT_SCHEMA, "row": pl.Int64}
    frame = conform_to_schema(pl.DataFrame(rows, schema_overrides=STATEMENT_SCHEMA, infer_schema_length=None), STATEMENT_SCHEMA)
    frame = frame.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64)).select(*schema)
    failed = pl.DataFrame({"company_id": ["A", "A", "B"], "event_date": [event] * 3}, schema_overrides={"event_date": pl.Date})
    events = conform_to_schema(failed.drop_nulls(), EVENT_SCHEMA)
    kept, aside = split_quarantine(frame, events, "EUR")
    assert sorted([*kept["row"], *aside["row"]]) == list(range(len(rows)))
    assert set(aside["rule"]) <= {rule.name for rule in QUARANTINE_RULES}
    assert kept.select(VERSION_KEYS).is_unique().all()
    assert misplaced_periods(kept).is_null().all()
    places = list(range(len(rows)))
    order.shuffle(places)
    again, _ = split_quarantine(frame[places], events, "EUR")
    assert again.drop("row").sort(VERSION_KEYS).equals(kept.drop("row").sort(VERSION_KEYS))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=14), lag=st.integers(0, 1000))
def test_no_row_of_any_file_is_lost(tmp_path_factory: pytest.TempPathFactory, rows: list[dict], lag: int) -> None:
    frame = pl.DataFrame(rows, schema_overrides=STATEMENT_SCHEMA, infer_schema_length=None)
    frame = frame.with_columns(pl.lit(1.0).alias("total_liabilities"), currency=pl.lit("EUR"))
    path = tmp_path_factory.mktemp("rows") / "t.parquet"
    frame.write_parquet(path)
    try:
        panel = build_panel(table.load(path, options(currency="EUR", filing_lag_days=lag)))
    except (PanelError, SourceError) as error:
        assert "no statement is left" in str(error) or "holds no year" in str(error) or "no rows" in str(error)
        return
    assert panel.quality["rows_in"] == frame.height == panel.statements.height + panel.quarantined.height
    assert sum(panel.quality["quarantined_by_rule"].values()) == panel.quarantined.height


def test_the_documentation_names_every_rule_identity_and_share() -> None:
    from quiebra.panels import identities, periods
    from quiebra.sources import currency as amounts

    page = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*(rule.name for rule in QUARANTINE_RULES), *identities.IDENTITIES))
    shares = [f"more than {100 * identities.WARN_SHARE:.0f} % of the rows", f"{100 * identities.TOLERANCE:.0f} % of total assets"]
    shares += [f"Above {100 * identities.STOP_SHARE:.0f} % (of {identities.MIN_ROWS_TO_REFUSE} rows or more)"]
    days = [f"less than {periods.SHORT_PERIOD_DAYS} days after", f"within {periods.SAME_PERIOD_DAYS} days"]
    medians = [
        f"{amounts.MAX_MEDIAN_ASSETS:,.0f} millions",
        f"{amounts.MAX_MEDIAN_ASSETS_OF_FEW:,.0f}",
        f"below {amounts.MIN_MEDIAN_ASSETS}",
    ]
    assert all(text in page for text in (*shares, *days, *medians))


def test_a_file_with_failed_companies_and_old_accounts_says_so_when_it_is_scored(workspace: Path) -> None:
    """They would lead the list of the riskiest."""
    rows = pl.read_parquet(workspace / "data/panel/statements.parquet").unique(["company_id", "fiscal_year"], keep="first")
    a, b, c = rows.group_by("company_id").len().filter(pl.col("len") > 6).sort("company_id")["company_id"].head(3)
    mine = rows.filter(pl.col("company_id").is_in([a, b, c]), (pl.col("company_id") != b) | (pl.col("fiscal_year") < 2016))
    mine = mine.drop("currency", "source").with_columns(
        event_date=pl.when(pl.col("company_id") == a).then(pl.lit("2021-05-01")).otherwise(pl.lit(None, pl.String))
    )
    mine.write_csv(workspace / "mine.csv")
    said = [str(warning) for warning in score_file(Workspace(workspace), workspace / "mine.csv").warnings]
    assert any(
        f"failed or gone by the file itself, with a PD of the time of their accounts: 1, such as {a}" in line for line in said
    )
    assert any(f"months before the newest in the file: 1, such as {b}, 2015" in line for line in said)
    mine.filter(pl.col("company_id") == c).write_csv(workspace / "mine.csv")
    said = [str(warning) for warning in score_file(Workspace(workspace), workspace / "mine.csv").warnings]
    assert not any("failed or gone" in line or "newest in the file" in line for line in said)
