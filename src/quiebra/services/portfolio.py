"""Figures of the portfolio page: a saved portfolio, or a user's file, scored and turned into losses."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.errors import LocalisedMessage, PanelError, SourceError
from quiebra.io.exports import to_excel
from quiebra.items import ITEM_NAMES
from quiebra.params import Table
from quiebra.risk.losses import loss_report
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.portfolio_files import EXPOSURE_SCHEMA, FAULT_SCHEMA, exposure_rows, row_fault, scored_statements
from quiebra.sources.cells import rename_to_known_names
from quiebra.sources.layouts import is_wide
from quiebra.sources.reading import read_rows
from quiebra.sources.table import KNOWN_COLUMNS, required_headers
from quiebra.text.words import Words, translatable

FILE_KINDS = [".csv", ".xlsx"]
MAX_UPLOAD_BYTES = 60_000_000
MAX_LOSS_DRAWS = 30_000_000
"""Maximum of companies times simulated years, which bounds the computing time of large portfolios."""
TOO_LARGE_MESSAGE = translatable("The file has {size} MB, and {most} MB is the most. Split it, or leave columns out.")
SAVED_FOLDER = "data/raw/portfolios"
TABLE_COLUMNS = [
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
class ScoredPortfolio:
    """A scored portfolio with its losses.

    name: of the file; None: all companies, one unit each. table: `TABLE_COLUMNS` columns, the largest expected loss first.
    report: see
    `quiebra.risk.losses.loss_report`. faults: rows left out or doubtful, with the reason (`FAULT_SCHEMA`). notes: further
    warnings.
    """

    name: str | None
    table: pl.DataFrame
    report: dict[str, Any]
    faults: pl.DataFrame
    notes: list[LocalisedMessage]


def row_problems(faults: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return row and problem, in the reader's language."""
    said = [words(text, of=of) for text, of in faults.select("text", "of").iter_rows()]
    return faults.select("row", problem=pl.Series(said, dtype=pl.String))


def saved_portfolios(view: FinishedRunView) -> list[str]:
    """Return the names of available portfolios: the run's first (an empty name), then the files in data/raw/portfolios."""
    folder = view.workspace.root / SAVED_FOLDER
    files = (
        sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(tuple(FILE_KINDS))) if folder.is_dir() else []
    )
    return ["", *files]


def run_portfolio(view: FinishedRunView) -> ScoredPortfolio:
    """Return the finished run's portfolio: the file in params, or every company with an exposure of one unit."""
    shares = view.portfolio_losses.select("company_id", "exposure", "lgd", "expected_loss", "contribution")
    table = shares.join(view.scores, on="company_id", maintain_order="left")
    return ScoredPortfolio(view.params.portfolio.file, _sorted(table), view.losses, pl.DataFrame(schema=FAULT_SCHEMA), [])


def _sorted(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(TABLE_COLUMNS).sort("expected_loss", "company_id", descending=[True, False])


def saved_portfolio(view: FinishedRunView, name: str) -> ScoredPortfolio:
    """Return a portfolio of data/raw/portfolios, or the run's if ``name`` is empty."""
    if not name:
        return run_portfolio(view)
    return portfolio_from_file(view, view.workspace.root / SAVED_FOLDER / Path(name).name)


def uploaded_portfolio(
    view: FinishedRunView, name: str, content: bytes, progress: Callable[[float], None] = lambda share: None
) -> ScoredPortfolio:
    """Return the portfolio in an uploaded file, which is not kept. SourceError if the file cannot be used at all."""
    if not content:
        raise SourceError("The file is empty.")
    ending = next((kind for kind in FILE_KINDS if name.lower().endswith(kind)), None)
    if ending is None:
        raise SourceError("Only files ending in {kinds} can be read.", kinds=", ".join(FILE_KINDS))
    _refuse_above(MAX_UPLOAD_BYTES, len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(name).stem[:80].replace(chr(0), '')}{ending}"
        path.write_bytes(content)
        try:
            return portfolio_from_file(view, path, progress)
        except (SourceError, PanelError) as error:
            values = {n: v.name if isinstance(v, Path) else v for n, v in error.said.values.items()}
            raise type(error)(error.said.text, **values) from None


def exposures_portfolio(view: FinishedRunView, table: pl.DataFrame) -> ScoredPortfolio:
    """Return the portfolio of exposures to scored companies: company_id, exposure and lgd (missing: that of params)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exposures.parquet"
        table.write_parquet(path)
        return portfolio_from_file(view, path)


def _refuse_above(most: int, size: int) -> None:
    if size > most:
        raise SourceError(TOO_LARGE_MESSAGE, size=size // 1_000_000, most=most // 1_000_000)


def _are_statements(columns: Collection[str], options: Table) -> bool:
    """Return whether columns are of statements, as params say that these look, rather than of exposures to scored companies."""
    if {"total_assets", options.columns.get("total_assets", "total_assets")} & set(columns):
        return True
    if options.layout == "wide" and is_wide(columns):
        return True
    return "exposure" not in columns and (options.layout == "lines" or options.preset is not None)


def portfolio_from_file(
    view: FinishedRunView, path: Path, progress: Callable[[float], None] = lambda share: None
) -> ScoredPortfolio:
    """Return the portfolio in a file: statements, which are scored, or exposures to scored companies.

    Faulty rows are listed and left out.
    """
    options = view.params.ingest.table
    raw = read_rows(path, options, wanted=[required_headers(options), ("company_id", "exposure")])
    theirs = set(options.columns.values())
    raw = rename_to_known_names(
        raw, [*theirs, *(name for name in (*KNOWN_COLUMNS, *EXPOSURE_SCHEMA) if name not in options.columns)]
    )
    columns = raw.columns
    statements = _are_statements(columns, options)
    if not statements and not {"company_id", "exposure"} <= set(columns) and not theirs & set(columns):
        raise SourceError(
            "{name} has neither exposures (company_id, exposure) nor statements (company_id, fiscal_year, total_assets, …): "
            "take the template.",
            name=path.name,
        )
    scores, faults, notes = scored_statements(view, raw, progress) if statements else exposure_rows(view, raw)
    notes = [*raw.notes, *notes]
    too_long = pl.DataFrame({"row": list(raw.long)}, schema={"row": pl.Int64})
    faults = pl.concat([faults, too_long.with_columns(**row_fault(translatable("more cells than the header")))]).sort("row")
    losses = view.params.portfolio
    draws = max(1000, min(losses.draws, MAX_LOSS_DRAWS // max(1, scores.height)))
    if draws < losses.draws:
        notes.append(LocalisedMessage("Losses come from {n} simulated years, since the portfolio is large.", {"n": draws}))
    sectors = scores.select("company_id", "sector", pl.lit(None, pl.String).alias("region"))
    report, shares = loss_report(scores, sectors, losses.model_copy(update={"draws": draws}), view.params.run.seed)
    table = scores.join(shares.select("company_id", "expected_loss", "contribution"), on="company_id")
    progress(1.0)
    return ScoredPortfolio(path.name, _sorted(table), report, faults, notes)


def portfolio_template(view: FinishedRunView) -> bytes:
    """Return an Excel template of a portfolio with two example rows, in the column names and units of params."""
    example: dict[str, list[Any]] = {
        "company_id": ["A-1", "A-2"],
        "name": ["First company", "Second company"],
        "sector": ["C Manufacturing", "G Trade"],
        "fiscal_year": [2024, 2024],
        "currency": [view.source["currency"]] * 2,
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
    options = view.params.ingest.table
    example |= {name: [None, None] for name in options.columns if name not in example}  # a mapped column must be there
    for name in ITEM_NAMES:
        amount = amounts.get(name)
        example[name] = [None if amount is None else round(amount / options.units, 6)] * 2
    return to_excel(pl.DataFrame({options.columns.get(name, name): values for name, values in example.items()}, strict=False))


def download_table(table: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return a portfolio's table with the reasons in one language only: raises_pd, lowers_pd and not_known."""
    named = {"reasons": "raises_pd", "strengths": "lowers_pd", "gaps": "not_known"}
    end, other = ("_es", "") if words.language == "es" else ("", "_es")
    return table.drop(name + other for name in named).rename({name + end: title for name, title in named.items()})


def company_labels(table: pl.DataFrame) -> list[str]:
    """Return the companies' names, with the id added to repeated names."""
    twice = pl.col("name").is_duplicated()
    return table.select(pl.when(twice).then(pl.format("{} ({})", "name", "company_id")).otherwise("name"))["name"].to_list()


def sector_shares(table: pl.DataFrame) -> pl.DataFrame:
    """Return sector, and exposure and expected_loss as shares of the portfolio's, the largest first; empty without sectors."""
    rows = table.filter(pl.col("sector").is_not_null()).group_by("sector").agg(pl.col("exposure", "expected_loss").sum())
    return rows.with_columns(pl.col("exposure", "expected_loss") / pl.col("exposure", "expected_loss").sum()).sort(
        "exposure", "sector", descending=[True, False]
    )
