"""What a feature is, and the few ways of making one."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Feature:
    """One model input: its definition, its words, why it is there and where it comes from. A missing input makes it missing.

    sign: what economics is sure of: +1 a higher value is never safer, -1 never riskier, 0 not sure.
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


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Divide, giving missing where the denominator is not above zero.

    >>> import polars as pl
    >>> pl.DataFrame({"a": [1.0, 1.0], "b": [2.0, 0.0]}).select(ratio(pl.col("a"), pl.col("b")))["a"].to_list()
    [0.5, None]
    """
    return pl.when(denominator > 0).then(numerator / denominator)


def log_million(amount: pl.Expr) -> pl.Expr:
    """Natural logarithm of an amount in millions, floored at a thousandth of a million; missing below zero."""
    return pl.when(amount >= 0).then(amount.clip(lower_bound=1e-3).log())
