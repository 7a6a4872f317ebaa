"""A researcher's own features: a table by firm-year, or a function of the statements that is checked for looking ahead."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from quiebra.errors import LeakageError, ResearchError
from quiebra.items import FIRM_YEAR_KEYS, VERSION_KEYS
from quiebra.research.frames import FrameKind, cast_keys, to_frame, to_polars
from quiebra.validation.leakage import single_feature_auc, suspected_leaks

OwnFeatures = Any
"""A DataFrame with company_id, fiscal_year, perhaps available_at, and numeric columns; or a function that makes one from
statements."""


def add_own_features(
    table: pl.DataFrame, own: OwnFeatures, statements: pl.DataFrame, kind: FrameKind, dates: Sequence[dt.date]
) -> tuple[pl.DataFrame, list[str]]:
    """Return the feature table with the columns of ``own``, and their names.

    own: rows without available_at count for every version of their firm-year. A function is called with the statements, as a
        DataFrame of ``kind``, and again with those published by each of ``dates``: its values of what was published by then must
        be the same.
    Raise ResearchError where the table cannot be joined, and LeakageError where the function looks ahead.
    """
    if not callable(own):
        return _join(table, _read(own))
    found = _call(own, statements, kind)
    joined, names = _join(table, found)
    for date in dates:
        then = _call(own, statements.filter(pl.col("available_at") <= date), kind)
        known = table.filter(pl.col("available_at") <= date).select(VERSION_KEYS)
        _refuse_look_ahead(_join(known, found)[0], _join(known, then)[0], names, date)
    return joined, names


def refuse_outcomes(table: pl.DataFrame, outcomes: pl.DataFrame, names: Sequence[str], accepted: Sequence[str]) -> None:
    """Raise LeakageError where one of the features alone ranks failures better than an honest one does.

    outcomes: company_id, fiscal_year, available_at and failed. accepted: names that params call honest.
    """
    found = [each for each in suspected_leaks(single_feature_auc(table, outcomes, names)) if each.feature not in accepted]
    if found:
        raise LeakageError(
            f"your own features are suspected of holding the outcome: {'; '.join(map(str, found))}. Look whether they were known "
            "when the statement came out; one that is honest goes into validate.accept_features."
        )


def kind_of(own: OwnFeatures) -> FrameKind:
    """Return the kind of table that a researcher works with, by the features given; pandas without any."""
    return "pandas" if own is None or callable(own) else to_polars(own, "own")[1]


def _read(own: Any) -> pl.DataFrame:
    return cast_keys(to_polars(own, "own")[0], "own")


def _call(make: Callable[[Any], Any], statements: pl.DataFrame, kind: FrameKind) -> pl.DataFrame:
    return _read(make(to_frame(statements, kind)))


def _join(table: pl.DataFrame, own: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    keys = VERSION_KEYS if "available_at" in own.columns else FIRM_YEAR_KEYS
    names = [name for name in own.columns if name not in (*VERSION_KEYS, "period_end")]
    if not names:
        raise ResearchError(f"own has no column besides {', '.join(own.columns)}: give at least one feature")
    if taken := [name for name in names if name in table.columns]:
        raise ResearchError(f"own has columns that there are already: {', '.join(taken)}. Give them names of their own.")
    if wrong := [name for name in names if not (own[name].dtype.is_numeric() or own[name].dtype == pl.Boolean)]:
        raise ResearchError(f"own has columns that are not numbers: {', '.join(wrong)}. Encode them, or leave them out.")
    if (doubled := own.select(keys).is_duplicated()).any():
        row = own.filter(doubled).select(keys).row(0)
        raise ResearchError(f"own has several rows for {', '.join(map(str, row))}: give one for each {' and '.join(keys)}")
    values = own.select(*keys, pl.col(names).cast(pl.Float64).fill_nan(None))
    joined = table.join(values, on=keys, how="left", maintain_order="left")
    if joined.height and own.height and joined.select(pl.all_horizontal(pl.col(names).is_null().all())).item():
        example = ", ".join(map(str, own.select(keys).row(0)))
        raise ResearchError(
            f"own matches no statement of the panel: its first row is {example}, the panel's {table.select(keys).row(0)}"
        )
    return joined, names


def _refuse_look_ahead(now: pl.DataFrame, then: pl.DataFrame, names: list[str], date: dt.date) -> None:
    for name in names:
        one, other = now[name], then[name]
        same = one.eq_missing(other) | ((one - other).abs() <= 1e-9 * one.abs()).fill_null(False)
        if not same.all():
            row = now.filter(~same).row(0, named=True)
            before = then.filter(~same)[name][0]
            raise LeakageError(
                f"the feature '{name}' looks ahead: for {row['company_id']}, {row['fiscal_year']}, it is {row[name]}, but "
                f"{before} from what was published by {date}. Compute each row from statements with available_at up to its own."
            )
