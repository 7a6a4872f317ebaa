"""Columns of a table as one array, and back, at little cost a column: a table of one row has as many as one of a million."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl


def to_matrix(table: pl.DataFrame, names: Iterable[str]) -> np.ndarray:
    """Return numeric columns as float64, rows × columns; a missing value is NaN."""
    return table[list(names)].to_numpy().astype(np.float64, copy=False)


def to_columns(matrix: np.ndarray, names: Iterable[str]) -> list[pl.Series]:
    """Return the columns of a matrix (rows × names) by their names; NaN is missing."""
    rows = len(matrix)
    values = pl.Series(matrix.ravel(order="F"), dtype=pl.Float64, nan_to_null=True)
    return [values.slice(at * rows, rows).alias(name) for at, name in enumerate(names)]
