"""Export tables for spreadsheets; every CSV and Excel file for users is written here.

A spreadsheet runs a text such as ``=HYPERLINK(...)`` as a formula, and names and ids come from third parties' files. Texts and
column names are therefore escaped; numbers stay numbers.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl

from quiebra.errors import WorkspaceError

FORMULA_START_PATTERN = r"^[\s\x{feff}\x{200b}\x{a0}\"'`]*[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]|^[\t\r\n]"
"""A text that some spreadsheet runs as a formula: also after blanks or quotes, and with full-width signs of Asian keyboards."""
INNER_FORMULA_PATTERN = r"([;\t\r\n][\s\"']*)([=+\-@])"
"""The same after a character that another spreadsheet, or one in another language, takes for the end of a cell."""
NUMBER_PATTERN = r"^\s*[+\-]?\d+([.,]\d+)?\s*$"


def to_csv(table: pl.DataFrame, *, header: bool = True) -> str:
    """Return a table as CSV, with an apostrophe before texts that a spreadsheet would run as a formula.

    A text that is an integer or a decimal number, such as the id ``-5``, is left unchanged.
    """
    return escape_formulas(table).write_csv(float_scientific=False, include_header=header)


def to_excel(table: pl.DataFrame, sheet: str = "portfolio") -> bytes:
    """Return a table as an Excel workbook with one sheet, in which every text is stored as text."""
    import xlsxwriter

    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(buffer, options) as book:
        table.write_excel(book, worksheet=sheet, autofit=False)
    return buffer.getvalue()


def as_parquet(table: pl.DataFrame) -> bytes:
    """Return a table as Parquet. No spreadsheet opens it, so that nothing is escaped."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def encoder_for(path: Path) -> Callable[[pl.DataFrame], bytes]:
    """Return the function that encodes a table of scores by the path's extension; raise WorkspaceError for an unknown one."""
    ways: dict[str, Callable[[pl.DataFrame], bytes]] = {
        ".csv": lambda table: to_csv(table).encode(),
        ".xlsx": lambda table: to_excel(table, "scores"),
        ".parquet": as_parquet,
    }
    if path.suffix.lower() not in ways:
        raise WorkspaceError("{path}: name a file that ends in {all}", path=path, all=", ".join(ways))
    return ways[path.suffix.lower()]


def escape_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose texts and column names no spreadsheet runs as formulas.

    >>> escape_formulas(pl.DataFrame({"name": ["=1+1", "Acme", "-5"], "pd": [-0.5, 0.1, 0.2]})).rows()
    [("'=1+1", -0.5), ('Acme', 0.1), ('-5', 0.2)]
    """
    return table.with_columns(_safe(pl.col(name)).alias(name) for name in _texts(table)).rename(_safe_names(table))


def _texts(table: pl.DataFrame) -> list[str]:
    return [name for name, kind in table.schema.items() if kind in (pl.String, pl.Categorical, pl.Enum)]


def _safe_names(table: pl.DataFrame) -> dict[str, str]:
    return dict(zip(table.columns, pl.select(_safe(pl.Series(table.columns, dtype=pl.String))).to_series(), strict=True))


def _safe(text: pl.Expr | pl.Series) -> pl.Expr:
    text = (pl.lit(text) if isinstance(text, pl.Series) else text).cast(pl.String)
    inside = text.str.replace_all(INNER_FORMULA_PATTERN, "${1}'${2}")
    risky = text.str.contains(FORMULA_START_PATTERN)
    return pl.when(text.str.contains(NUMBER_PATTERN)).then(text).when(risky).then(pl.lit("'") + inside).otherwise(inside)
