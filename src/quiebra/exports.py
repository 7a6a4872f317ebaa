"""Tables as files for spreadsheets: every CSV and Excel file that people are given is written here.

A spreadsheet takes a text such as ``=HYPERLINK(...)`` for a formula and runs it; names and ids come from other people's files.
Numbers stay numbers; only texts and column names are guarded.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl

from quiebra.errors import WorkspaceError

LEADING = r"^[\s\x{feff}\x{200b}\x{a0}\"'`]*[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]|^[\t\r\n]"
"""A text that some spreadsheet takes for a formula: also after blanks or quotes, and with the wide signs of Asian keyboards."""
INNER = r"([;\t\r\n][\s\"']*)([=+\-@])"
"""The same after a sign that another spreadsheet, or one in another language, takes for the end of a cell."""
NUMBER = r"^\s*[+\-]?\d+([.,]\d+)?\s*$"


def as_csv(table: pl.DataFrame) -> str:
    """Return a table as CSV. A text that a spreadsheet would take for a formula starts with an apostrophe; one that is a whole
    number or a decimal, such as an id ``-5``, is left as it is."""
    return guarded(table).write_csv(float_scientific=False)


def as_excel(table: pl.DataFrame, sheet: str = "portfolio") -> bytes:
    """Return a table as an Excel workbook of one sheet. Texts are written as texts, whatever they look like."""
    import xlsxwriter

    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(buffer, options) as book:
        table.write_excel(book, worksheet=sheet, autofit=False)
    return buffer.getvalue()


def as_parquet(table: pl.DataFrame) -> bytes:
    """Return a table as Parquet: no spreadsheet opens it, and nothing is guarded."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def encoder_for(path: Path) -> Callable[[pl.DataFrame], bytes]:
    """Return what makes the bytes of a file of scores from a table, as its ending says. WorkspaceError for other endings."""
    ways: dict[str, Callable[[pl.DataFrame], bytes]] = {
        ".csv": lambda table: as_csv(table).encode(), ".xlsx": lambda table: as_excel(table, "scores"), ".parquet": as_parquet,
    }  # fmt: skip
    if path.suffix.lower() not in ways:
        raise WorkspaceError("{path}: name a file that ends in {all}", path=path, all=", ".join(ways))
    return ways[path.suffix.lower()]


def guarded(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose texts and column names no spreadsheet runs as formulas.

    >>> guarded(pl.DataFrame({"name": ["=1+1", "Acme", "-5"], "pd": [-0.5, 0.1, 0.2]})).rows()
    [("'=1+1", -0.5), ('Acme', 0.1), ('-5', 0.2)]
    """
    return table.with_columns(_safe(pl.col(name)).alias(name) for name in _texts(table)).rename(_safe_names(table))


def _texts(table: pl.DataFrame) -> list[str]:
    return [name for name, kind in table.schema.items() if kind in (pl.String, pl.Categorical, pl.Enum)]


def _safe_names(table: pl.DataFrame) -> dict[str, str]:
    return dict(zip(table.columns, pl.select(_safe(pl.Series(table.columns, dtype=pl.String))).to_series(), strict=True))


def _safe(text: pl.Expr | pl.Series) -> pl.Expr:
    text = (pl.lit(text) if isinstance(text, pl.Series) else text).cast(pl.String)
    inside = text.str.replace_all(INNER, "${1}'${2}")
    risky = text.str.contains(LEADING)
    return pl.when(text.str.contains(NUMBER)).then(text).when(risky).then(pl.lit("'") + inside).otherwise(inside)
