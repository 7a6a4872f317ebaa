"""Portfolios: a reader's file with bad rows, files that cannot be used, downloads, saved portfolios."""

import io
from pathlib import Path

import polars as pl
import pytest

from quiebra.errors import SourceError
from quiebra.io.exports import to_csv, to_excel
from quiebra.items import VERSION_KEYS
from quiebra.services import portfolio
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words
from quiebra.workspace import Workspace

EN, ES = Words("en"), Words("es")


BAD = b"company_id,exposure,lgd\n%s,5,0.4\n%s,abc,0.4\n%s,3,\nZZZ,4,\n%s,-4,\n,4,\n<script>alert(1)</script>,2,\n"


def test_a_file_with_bad_rows_is_scored_without_them_and_they_are_listed(base: FinishedRunView) -> None:
    ids = [i.encode() for i in base.scores["company_id"][:3]]
    held = portfolio.uploaded_portfolio(base, "mine.csv", BAD % (ids[0], ids[1], ids[0], ids[2]))
    assert held.table["company_id"].to_list() == [ids[0].decode()]
    assert held.faults["row"].to_list() == [3, 4, 5, 6, 7, 8]
    english, spanish = (portfolio.row_problems(held.faults, words)["problem"] for words in (EN, ES))
    assert english[0].startswith("exposure = ") and english[0].endswith("is not a number")
    assert "there twice" in english[1]
    assert "no es un número" in spanish[0]
    assert held.report["exposure"] == 5.0


def test_statements_with_bad_rows_are_scored_without_them(base: FinishedRunView) -> None:
    latest = (
        base.statements.join(base.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi").head(8).drop("currency", "source")
    )
    rows = latest.with_columns(pl.col("revenue").cast(pl.String), exposure=pl.lit(2.0))
    rows = rows.with_columns(
        revenue=pl.when(pl.int_range(pl.len()) == 1).then(pl.lit("many")).otherwise("revenue"),
        total_assets=pl.when(pl.int_range(pl.len()) == 2).then(-1.0).otherwise("total_assets"),
        exposure=pl.when(pl.int_range(pl.len()) == 3).then(-1.0).otherwise("exposure"),
    )
    told = []
    held = portfolio.uploaded_portfolio(base, "mine.csv", rows.write_csv().encode(), told.append)
    assert held.faults["row"].to_list() == [3, 4, 5]
    said = portfolio.row_problems(held.faults, EN)["problem"]
    assert said[0] == "revenue = 'many'"
    assert "total_assets" in said[1]
    assert held.table.height == 5
    assert told == sorted(told)
    assert len(told) > 2
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.pdf", b"%PDF-1.4", "Only files ending in"),
        ("x.csv", b"", "empty"),
        ("x.csv", b"a,b\n1,2\n", "take the template"),
        ("x.csv", b"company_id,exposure\n", "no rows"),
        ("x.xlsx", b"not a workbook", "x.xlsx cannot be read"),
        ("x.csv", b"company_id,fiscal_year,total_assets\nA,2020,5\n", "total_liabilities"),
        ("x.csv", b"company_id,exposure\nA,\x81\n", "UTF-8"),
        ("x.csv", b"company_id,exposure\nNOBODY,3\n", "No row"),
        ("x.csv", b"0" * (portfolio.MAX_UPLOAD_BYTES + 1), "is the most"),
    ],
    ids=["kind", "empty", "columns", "no rows", "damaged", "lacks one", "encoding", "unknown", "large"],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_remedy(
    base: FinishedRunView, name: str, content: bytes, words: str
) -> None:
    with pytest.raises(SourceError, match=words) as error:
        portfolio.uploaded_portfolio(base, name, content)
    assert "/tmp" not in str(error.value)  # noqa: S108  where the file lay is not told


def test_text_far_down_in_a_workbook_is_a_fault_and_empty_rows_count(base: FinishedRunView) -> None:
    row = base.statements.join(base.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi").head(1).drop("currency", "source")
    rows = pl.concat([row.with_columns(company_id=pl.lit(f"X-{i}")) for i in range(1400)])
    place = pl.int_range(pl.len())
    rows = rows.with_columns(
        net_income=pl.when(place == 1298).then(pl.lit("many")).otherwise(pl.col("net_income").cast(pl.String))
    )
    rows = rows.with_columns(pl.when(place != 2).then(pl.all()))  # an empty row, the fourth
    held = portfolio.uploaded_portfolio(base, "mine.xlsx", to_excel(rows))
    assert portfolio.row_problems(held.faults, EN).rows() == [(1300, "net_income = 'many'")]
    assert held.table.height == 1398


def test_a_workbook_with_a_cell_far_out_is_refused_before_it_fills_the_memory(base: FinishedRunView) -> None:
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["company_id", "exposure"])
        sheet.write_row(1, 0, [base.scores["company_id"][0], 1.0])
        sheet.write(1_048_575, 16_383, "x")
    with pytest.raises(SourceError, match="delete what lies beyond the table"):
        portfolio.uploaded_portfolio(base, "far.xlsx", buffer.getvalue())


def test_a_row_with_too_many_cells_is_listed_and_the_rest_is_scored(base: FinishedRunView) -> None:
    a, b, c = base.scores["company_id"][:3]
    held = portfolio.uploaded_portfolio(base, "mine.csv", f"company_id,exposure\n{a},1\n{b},1,000\n\n{c},2\n".encode())
    assert portfolio.row_problems(held.faults, EN).rows() == [(3, "more cells than the header")]
    assert held.report["exposure"] == 3.0
    assert held.table.height == 2


def test_a_spanish_csv_is_read_as_it_is_meant(base: FinishedRunView) -> None:
    a, b, c = base.scores["company_id"][:3]
    held = portfolio.uploaded_portfolio(
        base, "cartera.csv", f"company_id;exposure;lgd\n{a};1,5;0,4\n{b};1.250;0,4\n{c};2;x\n".encode()
    )
    assert sorted(held.table["exposure"]) == [1.5, 1250.0]
    assert held.faults["row"].to_list() == [4]


def test_the_template_can_be_uploaded_as_it_is(base: FinishedRunView) -> None:
    held = portfolio.uploaded_portfolio(base, "template.xlsx", portfolio.portfolio_template(base))
    assert held.table.height == 2
    assert held.faults.is_empty()
    assert held.report["exposure"] == pytest.approx(2.3)


def test_downloads_hold_the_table_and_no_formula(base: FinishedRunView, tmp_path: Path) -> None:
    held = portfolio.run_portfolio(base)
    table = held.table.with_columns(name=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("=1+1")).otherwise("name"))
    (tmp_path / "x.xlsx").write_bytes(to_excel(table))
    back = pl.read_excel(tmp_path / "x.xlsx")
    assert back["pd_12m"].to_list() == pytest.approx(table["pd_12m"].to_list())
    assert back["name"][0] == "=1+1"  # as text
    lines = to_csv(table).splitlines()
    assert len(lines) == table.height + 1
    assert "'=1+1" in lines[1]


def test_a_statement_without_exposure_beside_others_is_a_fault(base: FinishedRunView) -> None:
    latest = (
        base.statements.join(base.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi").head(3).drop("currency", "source")
    )
    rows = latest.with_columns(exposure=pl.Series([250.0, None, 250.0]))
    held = portfolio.uploaded_portfolio(base, "mine.csv", rows.write_csv().encode())
    assert held.faults["row"].to_list() == [3]
    with pytest.raises(SourceError, match="No row"):
        portfolio.uploaded_portfolio(base, "mine.csv", rows.with_columns(exposure=0.0).write_csv().encode())


def test_saved_portfolios_are_offered_and_cannot_lead_elsewhere(workspace: Path) -> None:
    base = FinishedRunView(Workspace(workspace))
    folder = workspace / "data/raw/portfolios"
    folder.mkdir(parents=True)
    some = base.scores.head(3).select("company_id", exposure=pl.lit(10.0))
    some.write_csv(folder / "small.csv")
    assert portfolio.saved_portfolios(base) == ["", "small.csv"]
    assert portfolio.saved_portfolio(base, "small.csv").table.height == 3
    with pytest.raises(SourceError, match="no file"):
        portfolio.saved_portfolio(base, "../../../params.yaml")


def test_who_is_scored_by_an_older_statement_is_told(base: FinishedRunView) -> None:
    rows = base.statements.drop("currency", "source").filter(pl.col("company_id") == base.scores["company_id"][0])
    rows = rows.unique("fiscal_year", keep="first").sort("fiscal_year").tail(2).with_columns(pl.col("net_income").cast(pl.String))
    latest = pl.col("fiscal_year") == pl.col("fiscal_year").max()
    bad = rows.with_columns(net_income=pl.when(latest).then(pl.lit("n/k")).otherwise("net_income"))
    held = portfolio.uploaded_portfolio(base, "two.csv", bad.write_csv().encode())
    assert held.table["fiscal_year"].to_list() == [rows["fiscal_year"].min()]
    assert "Companies scored by an older statement, since their latest was left out: 1." in [EN.say(note) for note in held.notes]
    assert held.faults["row"].to_list() == [3]


def test_the_template_speaks_the_names_and_units_of_params(base: FinishedRunView, monkeypatch: pytest.MonkeyPatch) -> None:
    table = base.params.ingest.table.model_copy(
        update={"columns": {"total_assets": "activo", "event_date": "concurso"}, "units": 0.001}
    )
    ingest = base.params.ingest.model_copy(update={"table": table})
    other = FinishedRunView(base.workspace)
    other.__dict__["params"] = base.params.model_copy(update={"ingest": ingest})
    frame = pl.read_excel(io.BytesIO(portfolio.portfolio_template(other)))
    assert frame["activo"].to_list() == [100_000, 100_000] and "total_assets" not in frame.columns
    held = portfolio.uploaded_portfolio(other, "t.xlsx", portfolio.portfolio_template(other))
    as_is = portfolio.uploaded_portfolio(base, "t.xlsx", portfolio.portfolio_template(base))
    assert held.table["pd_12m"].to_list() == pytest.approx(as_is.table["pd_12m"].to_list(), rel=1e-6)


def test_two_companies_of_one_name_keep_their_own_bars() -> None:
    table = pl.DataFrame({"company_id": ["A", "B", "C"], "name": ["Sol", "Sol", "Mar"]})
    assert portfolio.company_labels(table) == ["Sol (A)", "Sol (B)", "Mar"]


def test_all_that_was_guessed_of_an_uploaded_file_is_told(base: FinishedRunView, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped column that is not there, a name in capitals, and thousands that only the semicolon shows, in one file."""
    chosen = base.params.ingest.table.model_copy(update={"columns": {"ebit": "Resultado"}})
    params = base.params.model_copy(update={"ingest": base.params.ingest.model_copy(update={"table": chosen})})
    monkeypatch.setitem(base.__dict__, "params", params)
    text = b"company_id;fiscal_year;total_assets;total_liabilities;REVENUE\nA;2020;1.421;900;80\n"
    notes = "\n".join(EN.say(note) for note in portfolio.uploaded_portfolio(base, "mine.csv", text).notes)
    assert "not there and count as missing: Resultado" in notes
    assert "'REVENUE' as revenue" in notes and "'1.421' (column 'total_assets')" in notes


def test_a_wide_file_is_scored_by_its_statements_also_where_it_has_exposures(base: FinishedRunView) -> None:
    ids = base.scores["company_id"][:5].implode()
    rows = (
        base.statements.filter(pl.col("company_id").is_in(ids))
        .sort("available_at")
        .unique(["company_id", "fiscal_year"], keep="last")
    )
    rows = rows.select("company_id", "fiscal_year", "total_assets", "total_liabilities", "ebit", "revenue").drop_nulls()
    wide = rows.unpivot(index=["company_id", "fiscal_year"]).with_columns(name=pl.format("{} {}", "variable", "fiscal_year"))
    wide = wide.pivot(on="name", index="company_id", values="value")
    table = base.params.ingest.table.model_copy(update={"layout": "wide", "currency": base.source["currency"]})
    params = base.params.model_copy(update={"ingest": base.params.ingest.model_copy(update={"table": table})})
    view = FinishedRunView(base.workspace)
    view.__dict__["params"] = params
    with_exposure = wide.with_columns(exposure=pl.lit(3.0))
    held = portfolio.uploaded_portfolio(view, "wide.csv", with_exposure.write_csv().encode())
    alone = portfolio.uploaded_portfolio(view, "wide.csv", wide.write_csv().encode())
    assert held.table["exposure"].to_list() == [3.0] * wide.height and held.table.height == alone.table.height == wide.height
    assert held.table.sort("company_id")["pd_12m"].equals(alone.table.sort("company_id")["pd_12m"])
    stored = base.scores.filter(pl.col("company_id").is_in(ids)).sort("company_id")["pd_12m"]
    assert not held.table.sort("company_id")["pd_12m"].equals(stored), "scored by the file, not taken from the run"
    plain = f"company_id,exposure\n{base.scores['company_id'][0]},5\n"
    assert portfolio.uploaded_portfolio(view, "plain.csv", plain.encode()).table.height == 1
