"""The `Feature` class, and functions to build features' expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Feature:
    """One model input: definition, label, reason and source. A missing input makes it null.

    sign: +1 where economics says that a higher value is never safer, -1 never riskier, 0 not certain.
    history: it is computed from several years, not from one statement. label_es: of own features alone.
    """

    name: str
    label: str
    concept: str
    unit: str
    formula: str
    why: str
    source: str
    expr: pl.Expr
    sign: int = 0
    history: bool = False
    label_es: str = ""


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Return numerator over denominator; null where the denominator is not above zero.

    >>> import polars as pl
    >>> pl.DataFrame({"a": [1.0, 1.0], "b": [2.0, 0.0]}).select(ratio(pl.col("a"), pl.col("b")))["a"].to_list()
    [0.5, None]
    """
    return pl.when(denominator > 0.0).then(numerator / denominator)


def log_million(amount: pl.Expr) -> pl.Expr:
    """Return the natural logarithm of an amount in millions, floored at 0.001; null below zero."""
    return pl.when(amount >= 0).then(amount.clip(lower_bound=1e-3).log())


def mean_known(values: Sequence[pl.Expr]) -> pl.Expr:
    """Return the mean of the values that are not missing; null where all are.

    Values are added pairwise in a fixed order: Polars guarantees none for a sum across columns, so that the last digit would
    differ between runs.

    >>> import polars as pl
    >>> pl.DataFrame({"a": [1.0, None], "b": [2.0, None]}).select(mean_known([pl.col("a"), pl.col("b")]))["a"].to_list()
    [1.5, None]
    """

    def added(terms: list[pl.Expr]) -> pl.Expr:
        half = len(terms) // 2
        return terms[0] if len(terms) == 1 else added(terms[:half]) + added(terms[half:])

    known = added([value.is_not_null().cast(pl.Float64) for value in values])
    return ratio(added([value.fill_null(0.0) for value in values]), known)
