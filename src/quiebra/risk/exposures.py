"""Exposures and LGDs of the portfolio, from a user's file, or equal for all companies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from quiebra.errors import SourceError
from quiebra.params import Portfolio
from quiebra.sources.cells import ROW_COLUMN, cast_columns, rename_to_known_names, require_columns, text_column, without_folder
from quiebra.sources.currency import require_one_currency
from quiebra.sources.reading import read_file


def portfolio_exposures(scores: pl.DataFrame, options: Portfolio, root: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the scores of the companies in the portfolio with exposure and lgd, and a report as plain JSON values.

    The report has the file's ids without a score (``without_score``), their exposure (``exposure_without_score``), and notes on
    how the file was read (``portfolio_notes``).
    scores: company_id and any other columns, which are kept.
    ``options.file``: company_id, exposure (in one currency, any unit) and, if wanted, lgd (a share; missing: ``options.lgd``).
        Without a file every scored company has an exposure of one.
    Raise SourceError naming the first bad row: a negative exposure, an LGD that is not a share, a duplicate or missing company.
    """
    if options.file is None:
        everybody = {"without_score": [], "exposure_without_score": 0.0, "portfolio_notes": []}
        return scores.with_columns(exposure=pl.lit(1.0), lgd=pl.lit(options.lgd)), everybody
    path = root / options.file
    table = read_file(path, options, wanted=[("company_id", "exposure")])
    table = rename_to_known_names(table, ("company_id", "exposure", "lgd", "currency"))
    require_columns(table, ["company_id", "exposure"])
    require_one_currency(table.frame, path)
    if "lgd" not in table.columns:
        table = table.with_frame(table.frame.with_columns(lgd=pl.lit(None, pl.Float64)))
    table = table.with_frame(table.frame.with_columns(text_column(table, "company_id").alias("company_id")))
    frame = cast_columns(table, {"exposure": pl.Float64, "lgd": pl.Float64}).select("company_id", "exposure", "lgd", ROW_COLUMN)
    _refuse(frame, path)
    frame = frame.drop(ROW_COLUMN).with_columns(pl.col("lgd").fill_null(options.lgd))
    if not frame["exposure"].sum():
        raise SourceError(f"{path}: all exposures are zero, so there is nothing to lose; fill them in")
    unknown = frame.join(scores, on="company_id", how="anti", maintain_order="left")
    held = scores.join(frame, on="company_id", maintain_order="left")
    if held.is_empty():
        raise SourceError(f"{path}: none of its {frame.height} companies has a score; ids must be those of the source")
    return held, {
        "without_score": unknown["company_id"].to_list(),
        "exposure_without_score": round(float(unknown["exposure"].sum()), 9),
        "portfolio_notes": [str(without_folder(note)) for note in table.notes],
    }


def _refuse(frame: pl.DataFrame, path: Path) -> None:
    rules = {
        "company_id must be given": pl.col("company_id").is_null(),
        "a company must be there once": pl.col("company_id").is_duplicated(),
        "exposure must be a number of zero or more": ~pl.col("exposure").is_between(0, 1e300).fill_null(False),
        "lgd must be a share from 0 to 1": ~pl.col("lgd").is_between(0, 1).fill_null(True),
    }
    for meaning, broken in rules.items():
        rows = frame.select(broken.arg_true()).to_series()
        if len(rows):
            *cells, row = frame.row(rows[0])
            raise SourceError(f"{path}: {meaning}, but row {row} has {tuple(cells)} (such rows: {len(rows)})")
