"""The portfolio page in figures: a saved portfolio, or a reader's file, scored and turned into losses."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.dashboards.base import Base
from quiebra.dashboards.portfolio_rows import FAULTS, MONEY, exposures, fault, scored_statements
from quiebra.errors import PanelError, Said, SourceError
from quiebra.exports import as_excel
from quiebra.items import ITEM_NAMES
from quiebra.risk.losses import loss_report
from quiebra.sources.cells import rename_to_known_names
from quiebra.sources.reading import read_rows
from quiebra.sources.table import KNOWN, header_names
from quiebra.words import Words, mark

KINDS = [".csv", ".xlsx"]
LARGEST = 60_000_000
SIMULATIONS = 30_000_000
"""Companies times simulated years at most, so that a large portfolio does not keep its reader waiting."""
TOO_LARGE = mark("The file has {size} MB, and {most} MB is the most. Split it, or leave columns out.")
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


def problems(faults: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return row and problem, in the reader's language."""
    said = [words(text, of=of) for text, of in faults.select("text", "of").iter_rows()]
    return faults.select("row", problem=pl.Series(said, dtype=pl.String))


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
    options = base.params.ingest.table
    raw = read_rows(path, options, wanted=[header_names(options), ("company_id", "exposure")])
    theirs = set(options.columns.values())
    raw = rename_to_known_names(raw, [*theirs, *(name for name in (*KNOWN, *MONEY) if name not in options.columns)])
    columns = raw.columns
    statements = bool({"total_assets", options.columns.get("total_assets", "total_assets")} & set(columns))
    if not statements and not {"company_id", "exposure"} <= set(columns) and not theirs & set(columns):
        raise SourceError(
            "{name} has neither exposures (company_id, exposure) nor statements (company_id, fiscal_year, total_assets, …): "
            "take the template.", name=path.name,
        )  # fmt: skip
    scores, faults, notes = scored_statements(base, raw, progress) if statements else exposures(base, raw)
    notes = [*raw.notes, *notes]
    too_long = pl.DataFrame({"row": list(raw.long)}, schema={"row": pl.Int64})
    faults = pl.concat([faults, too_long.with_columns(**fault(mark("more cells than the header")))]).sort("row")
    losses = base.params.portfolio
    draws = max(1000, min(losses.draws, SIMULATIONS // max(1, scores.height)))
    if draws < losses.draws:
        notes.append(Said("Losses come from {n} simulated years, since the portfolio is large.", {"n": draws}))
    sectors = scores.select("company_id", "sector", pl.lit(None, pl.String).alias("region"))
    report, shares = loss_report(scores, sectors, losses.model_copy(update={"draws": draws}), base.params.run.seed)
    table = scores.join(shares.select("company_id", "expected_loss", "contribution"), on="company_id")
    progress(1.0)
    return Portfolio(path.name, _sorted(table), report, faults, notes)


def template(base: Base) -> bytes:
    """Return an Excel file with the columns of a portfolio, and two rows that show them, in the names and units of params."""
    example: dict[str, list[Any]] = {
        "company_id": ["A-1", "A-2"],
        "name": ["First company", "Second company"],
        "sector": ["C Manufacturing", "G Trade"],
        "fiscal_year": [2024, 2024],
        "currency": [base.source["currency"]] * 2,
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
    return as_excel(pl.DataFrame({options.columns.get(name, name): values for name, values in example.items()}, strict=False))


def for_download(table: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return a portfolio's table with the reasons in the reader's language alone: raises_pd, lowers_pd and not_known."""
    named = {"reasons": "raises_pd", "strengths": "lowers_pd", "gaps": "not_known"}
    end, other = ("_es", "") if words.language == "es" else ("", "_es")
    return table.drop(name + other for name in named).rename({name + end: title for name, title in named.items()})


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
