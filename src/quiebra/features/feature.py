"""What a feature is, and the few ways of making one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Feature:
    """One model input: its definition, its words, why it is there and where it comes from. A missing input makes it missing.

    sign: what economics is sure of: +1 a higher value is never safer, -1 never riskier, 0 not sure. history: it says what several
    years have been, and not what one statement says.
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


def mean_known(values: Sequence[pl.Expr]) -> pl.Expr:
    """Mean of those values that are not missing; missing where none is known.

    They are added in pairs, in one order: polars promises none for a sum across columns, and its last digit then differs from run
    to run.

    >>> import polars as pl
    >>> pl.DataFrame({"a": [1.0, None], "b": [2.0, None]}).select(mean_known([pl.col("a"), pl.col("b")]))["a"].to_list()
    [1.5, None]
    """

    def added(terms: list[pl.Expr]) -> pl.Expr:
        half = len(terms) // 2
        return terms[0] if len(terms) == 1 else added(terms[:half]) + added(terms[half:])

    known = added([value.is_not_null().cast(pl.Float64) for value in values])
    return ratio(added([value.fill_null(0.0) for value in values]), known)
