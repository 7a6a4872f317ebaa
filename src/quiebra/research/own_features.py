"""A researcher's own features: a table by firm-year, or a function of the statements that is checked for looking ahead."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from quiebra.errors import LeakageError, ResearchError
from quiebra.items import FIRM_YEAR_KEYS, VERSION_KEYS
from quiebra.research.frames import FrameKind, cast_keys, to_frame, to_polars
from quiebra.research.identity import tables_used
from quiebra.validation.leakage import single_feature_auc, suspected_leaks

OwnFeatures = Any
"""A DataFrame with company_id, fiscal_year, perhaps available_at, and numeric columns; or a function that makes one from
statements."""
CUTS = 24
"""Dates at which a function is called again, spread over the statements' dates of publication."""
RESERVED_COLUMNS = ("base", "period_end", "years_to_failure", "years_known", "failed", "outcome")
"""Names of columns that folds have beside the features."""


def add_own_features(
    table: pl.DataFrame, own: OwnFeatures, statements: pl.DataFrame, kind: FrameKind
) -> tuple[pl.DataFrame, list[str]]:
    """Return the feature table with the columns of ``own``, and their names.

    own: rows without available_at count for every version of their firm-year. A function is called with the statements, as a
        DataFrame of ``kind``, and again with those published by each of `CUTS` dates: it may give rows of these only, and its
        values must be the same.
    Raise ResearchError where the table cannot be joined, and LeakageError where the function looks ahead.
    """
    if not callable(own):
        found = _read(own)
        names = _feature_columns(found, table)
        _refuse_strangers(found, table)
        return _join(table, found, names), names
    early = [(date, statements.filter(pl.col("available_at") <= date)) for date in cut_dates(statements)]
    before = [_call(own, published, kind) for _, published in early]  # first, so that nothing of later is remembered
    found = _call(own, statements, kind)
    names = _feature_columns(found, table)
    _refuse_strangers(found, table)
    for (date, published), then in zip(early, before, strict=True):
        _refuse_rows_of_later(then, published, date)
        if missing := [name for name in names if name not in then.columns]:
            raise LeakageError(
                f"the function gives no column {', '.join(missing)} from the statements published by {date}: give the same "
                "columns whatever the statements are"
            )
        known = table.filter(pl.col("available_at") <= date).select(VERSION_KEYS)
        _refuse_look_ahead(_join(known, found, names), _join(known, then, names), names, date)
    return _join(table, found, names), names


def cut_dates(statements: pl.DataFrame) -> list[dt.date]:
    """Return `CUTS` dates of publication, about evenly many statements apart, without the last."""
    dates = statements["available_at"].sort()
    places = [math.floor(len(dates) * (place + 1) / (CUTS + 1)) for place in range(CUTS)]
    return sorted({dates[place] for place in places if place < len(dates)} - {dates[-1]}) if len(dates) else []


def coverage(table: pl.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Return the share of rows that have a value of each feature."""
    shares = table.select(pl.col(name).is_not_null().mean() for name in names).row(0)
    return {name: float(share or 0.0) for name, share in zip(names, shares, strict=True)}


def unchecked(own: OwnFeatures) -> bool:
    """Return whether features of one's own rest on a table that was made before: they are one, or the function uses one."""
    return own is not None and (not callable(own) or tables_used(own))


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
    try:
        return _read(make(to_frame(statements, kind)))
    except AttributeError as error:
        other = "polars" if kind == "pandas" else "pandas"
        error.add_note(f"The function is given the statements as a {kind} DataFrame; frame='{other}' gives it the other kind.")
        raise


def _keys(own: pl.DataFrame) -> list[str]:
    return VERSION_KEYS if "available_at" in own.columns else FIRM_YEAR_KEYS


def _feature_columns(own: pl.DataFrame, table: pl.DataFrame) -> list[str]:
    """Return the names of the features in a researcher's table. ResearchError where they cannot be used."""
    names = [name for name in own.columns if name not in VERSION_KEYS]
    if not names:
        raise ResearchError(f"own has no column besides {', '.join(own.columns)}: give at least one feature")
    if taken := [name for name in names if name in (*table.columns, *RESERVED_COLUMNS)]:
        raise ResearchError(f"own has columns that there are already: {', '.join(taken)}. Give them names of their own.")
    if patterns := [name for name in names if name == "*" or name.startswith("^")]:
        raise ResearchError(f"own has columns whose names are patterns: {', '.join(patterns)}. Give them plain names.")
    if wrong := [name for name in names if not _is_number(own[name])]:
        raise ResearchError(f"own has columns that are not numbers: {', '.join(wrong)}. Encode them, or leave them out.")
    if (doubled := own.select(_keys(own)).is_duplicated()).any():
        row = own.filter(doubled).select(_keys(own)).row(0)
        raise ResearchError(f"own has several rows for {', '.join(map(str, row))}: give one for each {' and '.join(_keys(own))}")
    return names


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype == pl.Boolean or column.null_count() == len(column)


def _refuse_strangers(own: pl.DataFrame, table: pl.DataFrame) -> None:
    """Raise ResearchError where no row of a researcher's table is of a statement of the panel."""
    keys = _keys(own)
    if own.join(table.select(keys), on=keys, how="semi").is_empty():
        example = "it has no row" if own.is_empty() else f"its first row is of {', '.join(map(str, own.select(keys).row(0)))}"
        first = ", ".join(map(str, table.select(keys).row(0))) if table.height else "none"
        raise ResearchError(
            f"own matches no statement of the panel by {', '.join(keys)}: {example}; the panel's first is {first}"
        )


def _join(table: pl.DataFrame, own: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    values = own.select(*_keys(own), pl.col(names).cast(pl.Float64))
    finite = values.with_columns(pl.when(pl.col(names).is_finite()).then(pl.col(names)))
    return table.join(finite, on=_keys(own), how="left", maintain_order="left")


def _refuse_rows_of_later(then: pl.DataFrame, published: pl.DataFrame, date: dt.date) -> None:
    keys = _keys(then)
    later = then.join(published.select(keys), on=keys, how="anti")
    if later.height:
        row = ", ".join(map(str, later.select(keys).row(0)))
        raise LeakageError(
            f"the function gives rows of statements that it was not given, such as {row} from those published by {date}: it uses "
            "something else than its argument. Make every row from the statements that are passed."
        )


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
