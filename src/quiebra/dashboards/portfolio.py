"""The portfolio page in figures: a saved portfolio, or a reader's file, scored and turned into losses."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import polars as pl

from quiebra.dashboards.base import Base
from quiebra.errors import PanelError, Said, SourceError
from quiebra.items import ITEM_NAMES
from quiebra.panel.quarantine import RULES
from quiebra.risk.losses import loss_report
from quiebra.scoring import Scored, score_rows
from quiebra.sources.reading import ROW, as_text, cast_rows, read_rows, require
from quiebra.sources.table import statement_rows
from quiebra.words import Words, mark

KINDS = [".csv", ".xlsx"]
LARGEST = 60_000_000
SIMULATIONS = 30_000_000
"""Companies times simulated years at most, so that a large portfolio does not keep its reader waiting."""
TOO_LARGE = mark("The file has {size} MB, and {most} MB is the most. Split it, or leave columns out.")
FIT = (pl.col("exposure").is_between(0, 1e300) & pl.col("lgd").is_between(0, 1)).fill_null(False)
"""Whether a row's exposure and LGD can be used."""
SAVED = "data/raw/portfolios"
SHOWN = [
    "company_id",
    "name",
    "sector",
    "fiscal_year",
    "rating",
    "pd_12m",
    "pd_12m_low",
    "pd_12m_high",
    "pd_60m",
    "exposure",
    "lgd",
    "expected_loss",
    "contribution",
    "watch",
    "reasons",
    "reasons_es",
    "strengths",
    "strengths_es",
    "gaps",
    "gaps_es",
]


@dataclass(frozen=True)
class Portfolio:
    """name: of the file; None: all companies, one unit each. table: `SHOWN` columns, the largest expected loss first. report: see
    `quiebra.risk.losses.loss_report`.

    faults: rows left out or doubted, with what is wrong in each language (`FAULTS`). notes: what else a reader should know."""

    name: str | None
    table: pl.DataFrame
    report: dict[str, Any]
    faults: pl.DataFrame
    notes: list[Said]


FAULTS = {"row": pl.Int64, "text": pl.String, "of": pl.String}
"""Rows with a fault: what is wrong (English, ``{of}`` in it stands for the value), and the value."""


def problems(faults: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return row and problem, in the reader's language."""
    said = [words(text, of=of) for text, of in faults.select("text", "of").iter_rows()]
    return faults.select("row", problem=pl.Series(said, dtype=pl.String))


def _fault(text: str, of: pl.Expr | None = None) -> dict[str, pl.Expr]:
    return {"text": pl.lit(text), "of": pl.lit(None, pl.String) if of is None else of}


def saved(base: Base) -> list[str]:
    """Return the portfolios that can be chosen: that of the run first (an empty name), then the files in data/raw/portfolios."""
    folder = base.workspace.root / SAVED
    files = sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(tuple(KINDS))) if folder.is_dir() else []
    return ["", *files]


def of_run(base: Base) -> Portfolio:
    """Return the portfolio of the finished run: its file's in params, or one unit with every company."""
    shares = base.shares.select("company_id", "exposure", "lgd", "expected_loss", "contribution")
    table = shares.join(base.scores, on="company_id", maintain_order="left")
    return Portfolio(base.params.portfolio.file, _sorted(table), base.losses, pl.DataFrame(schema=FAULTS), [])


def _sorted(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(SHOWN).sort("expected_loss", "company_id", descending=[True, False])


def of_saved(base: Base, name: str) -> Portfolio:
    """Return a portfolio of data/raw/portfolios, or that of the run where ``name`` is empty."""
    if not name:
        return of_run(base)
    return of_path(base, base.workspace.root / SAVED / Path(name).name)


def of_upload(base: Base, name: str, content: bytes, progress: Callable[[float], None] = lambda share: None) -> Portfolio:
    """Return the portfolio in a reader's file, which is kept nowhere. SourceError where it cannot be used as a whole."""
    if not content:
        raise SourceError("The file is empty.")
    ending = next((kind for kind in KINDS if name.lower().endswith(kind)), None)
    if ending is None:
        raise SourceError("Only files ending in {kinds} can be read.", kinds=", ".join(KINDS))
    _refuse_above(LARGEST, len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(name).stem[:80].replace(chr(0), '')}{ending}"
        path.write_bytes(content)
        if ending == ".xlsx" and is_zipfile(path):  # a small workbook must not fill the memory
            _refuse_above(10 * LARGEST, sum(part.file_size for part in ZipFile(path).infolist()))
        try:
            return of_path(base, path, progress)
        except (SourceError, PanelError) as error:
            values = {n: v.name if isinstance(v, Path) else v for n, v in error.said.values.items()}
            raise type(error)(error.said.text, **values) from None


def _refuse_above(most: int, size: int) -> None:
    if size > most:
        raise SourceError(TOO_LARGE, size=size // 1_000_000, most=most // 1_000_000)


def of_path(base: Base, path: Path, progress: Callable[[float], None] = lambda share: None) -> Portfolio:
    """Return the portfolio in a file: statements, which are scored, or exposures with scored companies.

    Rows with a fault are listed and left out; the rest count.
    """
    frame, long = read_rows(path)
    columns = frame.columns
    theirs = set(base.params.ingest.table.columns.values())
    statements = bool({"total_assets", base.params.ingest.table.columns.get("total_assets", "total_assets")} & set(columns))
    if not statements and not {"company_id", "exposure"} <= set(columns) and not theirs & set(columns):
        raise SourceError(
            "{name} has neither exposures (company_id, exposure) nor statements (company_id, fiscal_year, total_assets, …): "
            "take the template.", name=path.name,
        )  # fmt: skip
    scores, faults, notes = _scored_statements(base, frame, path, progress) if statements else _exposures(base, frame, path)
    too_long = pl.DataFrame({"row": long}, schema={"row": pl.Int64})
    faults = pl.concat([faults, too_long.with_columns(**_fault(mark("more cells than the header")))]).sort("row")
    options = base.params.portfolio
    draws = max(1000, min(options.draws, SIMULATIONS // max(1, scores.height)))
    if draws < options.draws:
        notes.append(Said("Losses come from {n} simulated years, since the portfolio is large.", {"n": draws}))
    sectors = scores.select("company_id", "sector", pl.lit(None, pl.String).alias("region"))
    report, shares = loss_report(scores, sectors, options.model_copy(update={"draws": draws}), base.params.run.seed)
    table = scores.join(shares.select("company_id", "expected_loss", "contribution"), on="company_id")
    progress(1.0)
    return Portfolio(path.name, _sorted(table), report, faults, notes)


Read = tuple[pl.DataFrame, pl.DataFrame, list[Said]]
"""Scored companies with exposure and lgd, faults (`FAULTS`), notes."""
UNUSABLE = mark("exposure must be zero or more, lgd from 0 to 1")
MONEY = {"exposure": pl.Float64, "lgd": pl.Float64}


def _scored_statements(base: Base, frame: pl.DataFrame, path: Path, progress: Callable[[float], None]) -> Read:
    raw, wrong = statement_rows(frame, path, base.params.ingest.table)
    faults = [wrong.select("row", **_fault("{of}", pl.format("{} = {}", "column", "value")))]
    extra = {name: raw[name] if name in raw.columns else pl.Series(name, [None] * raw.height, pl.String) for name in MONEY}
    money, bad = cast_rows(pl.DataFrame({**extra, ROW: raw["row"]}), MONEY, path)
    exposure = money["exposure"] if "exposure" in raw.columns else money["exposure"].fill_null(1.0)
    raw = raw.with_columns(exposure, money["lgd"].fill_null(base.params.portfolio.lgd))
    unusable = ~FIT | pl.col("row").is_in(bad["row"].implode())
    faults.append(raw.filter(unusable).select("row", **_fault(UNUSABLE)))
    keys = ["row", "company_id", "fiscal_year"]
    left, every = raw.filter(unusable).select(keys), raw.select(keys)
    raw = raw.filter(~unusable)
    if raw.is_empty() or not raw["exposure"].sum():
        raise _nothing_usable(pl.concat(faults))
    scored = score_rows(
        raw, base.model, base.companies, base.features, base.compared, base.params.score, path.name,
        lambda share: progress(0.9 * share),
    )
    left = pl.concat([left, every.join(scored.aside, on="row", how="semi")])
    for rule in RULES:
        faults.append(scored.aside.filter(pl.col("rule") == rule.name).select("row", **_fault(rule.meaning)))
    latest = (
        raw.sort("fiscal_year")
        .group_by("company_id")
        .agg(pl.col("exposure", "lgd").last(), pl.col("name", "sector").drop_nulls().last())
    )
    named = base.companies.select("company_id", known="name", known_sector="sector")
    table = (
        scored.table.join(latest, on="company_id")
        .join(named, on="company_id", how="left")
        .with_columns(name=pl.coalesce("name", "known", "company_id"), sector=pl.coalesce("sector", "known_sector"))
    )
    notes = _outdated(pl.concat([wrong, left], how="diagonal"), scored)
    return table, pl.concat(faults), [*notes, *scored.warnings]


def _outdated(left: pl.DataFrame, scored: Scored) -> list[Said]:
    """Say how many companies are scored by an older statement, since a newer one of theirs was left out."""
    used = scored.table.select("company_id", used="fiscal_year")
    newer = left.join(used, on="company_id").filter(pl.col("fiscal_year") > pl.col("used"))
    count = newer["company_id"].n_unique()
    older = mark("Companies scored by an older statement, since their latest was left out: {n}.")
    return [Said(older, {"n": count})] if count else []


def _exposures(base: Base, frame: pl.DataFrame, path: Path) -> Read:
    require(frame, ["company_id", "exposure"], path)
    frame = frame if "lgd" in frame.columns else frame.with_columns(lgd=pl.lit(None, pl.Float64))
    frame = frame.select(as_text("company_id", frame).alias("company_id"), *MONEY, ROW)
    rows, wrong = cast_rows(frame, MONEY, path)
    rows = rows.with_columns(row=pl.col(ROW), lgd=pl.col("lgd").fill_null(base.params.portfolio.lgd))
    known = base.scores.select("company_id", scored=pl.lit(True))
    rows = rows.join(known, on="company_id", how="left", maintain_order="left")
    broken = {
        mark("not a number ({of})"): pl.col("row").is_in(wrong["row"].implode()),
        mark("company_id is missing"): pl.col("company_id").is_null(),
        mark("the company is there twice ({of})"): pl.int_range(pl.len()).over("company_id") > 0,
        UNUSABLE: ~FIT,
        mark("no company with this id was scored ({of})"): pl.col("scored").is_null(),
    }
    rows = rows.with_columns(text=pl.coalesce(pl.when(where).then(pl.lit(text)) for text, where in broken.items()))
    faults = rows.filter(pl.col("text").is_not_null()).select("row", "text", of="company_id")
    good = rows.filter(pl.col("text").is_null()).select("company_id", *MONEY)
    if good.is_empty() or not good["exposure"].sum():
        raise _nothing_usable(faults)
    return good.join(base.scores, on="company_id"), faults, []


def _nothing_usable(faults: pl.DataFrame, count: int = 5) -> SourceError:
    rows = faults.head(count).iter_rows()
    listed = [Said("{row}: {problem}", {"row": row, "problem": Said(text, {"of": of})}) for row, text, of in rows]
    return SourceError("No row of the file can be used: {list}", list=listed)


def template(base: Base) -> bytes:
    """Return an Excel file with the columns of a portfolio, and two rows that show them, in the names and units of params."""
    example: dict[str, list[Any]] = {
        "company_id": ["A-1", "A-2"],
        "name": ["First company", "Second company"],
        "sector": ["C Manufacturing", "G Trade"],
        "fiscal_year": [2024, 2024],
        "exposure": [1.5, 0.8],
        "lgd": [0.45, 0.6],
    }
    amounts = {
        "current_assets": 40.0,
        "cash": 8.0,
        "receivables": 15.0,
        "inventory": 14.0,
        "total_assets": 100.0,
        "current_liabilities": 28.0,
        "long_term_debt": 25.0,
        "total_liabilities": 60.0,
        "retained_earnings": 18.0,
        "revenue": 120.0,
        "cost_of_goods_sold": 80.0,
        "gross_profit": 40.0,
        "operating_expenses": 108.0,
        "depreciation_amortization": 4.0,
        "ebitda": 12.0,
        "ebit": 8.0,
        "interest_expense": 2.0,
        "net_income": 4.0,
        "operating_cash_flow": 7.0,
    }
    options = base.params.ingest.table
    example |= {name: [None, None] for name in options.columns if name not in example}  # a mapped column must be there
    for name in ITEM_NAMES:
        amount = amounts.get(name)
        example[name] = [None if amount is None else round(amount / options.units, 6)] * 2
    return excel(pl.DataFrame({options.columns.get(name, name): values for name, values in example.items()}, strict=False))


def for_download(table: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return a portfolio's table with the reasons in the reader's language alone: raises_pd, lowers_pd and not_known."""
    named = {"reasons": "raises_pd", "strengths": "lowers_pd", "gaps": "not_known"}
    end, other = ("_es", "") if words.language == "es" else ("", "_es")
    return table.drop(name + other for name in named).rename({name + end: title for name, title in named.items()})


def excel(table: pl.DataFrame) -> bytes:
    """Return a table as an Excel file; text that looks like a formula stays text."""
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(
        buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    ) as book:
        table.write_excel(book, worksheet="portfolio", autofit=False)
    return buffer.getvalue()


def csv(table: pl.DataFrame) -> bytes:
    """Return a table as CSV; a text cell that a spreadsheet would take for a formula starts with an apostrophe."""
    risky = pl.selectors.string().str.contains(r"^[=+\-@\t\r]")
    safe = table.with_columns(
        pl.when(risky).then(pl.lit("'") + pl.selectors.string()).otherwise(pl.selectors.string()).name.keep()
    )
    return safe.write_csv(float_scientific=False).encode()


def labels(table: pl.DataFrame) -> list[str]:
    """Return the companies' names, with the id where two have the same."""
    twice = pl.col("name").is_duplicated()
    return table.select(pl.when(twice).then(pl.format("{} ({})", "name", "company_id")).otherwise("name"))["name"].to_list()


def by_sector(table: pl.DataFrame) -> pl.DataFrame:
    """Return sector, exposure and expected_loss as shares of the portfolio's, the largest first; empty without sectors."""
    rows = table.filter(pl.col("sector").is_not_null()).group_by("sector").agg(pl.col("exposure", "expected_loss").sum())
    return rows.with_columns(pl.col("exposure", "expected_loss") / pl.col("exposure", "expected_loss").sum()).sort(
        "exposure", "sector", descending=[True, False]
    )
