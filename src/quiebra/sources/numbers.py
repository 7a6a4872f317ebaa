"""Numbers as people write them in text cells: which of ``.`` and ``,`` is the decimal mark, and which stands between thousands.

The rule, in this order, for a cell such as ``1.421`` that can be read either way:

1. What ``decimal`` and ``thousands`` say, where a person has set them.
2. What the other cells of its column say (``12,5``: the comma is decimal; ``1.234.567``: the point stands between thousands).
3. What the other columns of numbers say. A decimal comma alone settles nothing there: it says what the comma is, not what the
point is.
4. Where nothing says it, a point before three digits stands between thousands in a file whose cells are separated by ``;``,
   unless another column of the file has decimal marks. Every other such table is refused.

A column whose cells contradict each other keeps what most of them say; the others are no numbers. Blanks and apostrophes between
groups of three digits are marks between thousands everywhere. Columns that are not asked for as numbers, such as identifiers,
are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import polars as pl

Meaning = Literal["decimal", "thousands"]
MARKS = (".", ",")
BLANKS = " \u00a0\u2007\u2009\u202f"
APOSTROPHES = "'\u2019\u02bc"

INFINITE = r"(?i)^[+-]?inf(inity)?$"
PLAIN = r"^-?[0-9]+$"
EXPONENT = r"^-?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+$"
"""As programs write numbers; it says nothing about how people do."""
GROUPED = (
    rf"^-?[1-9][0-9]{{0,2}}([{BLANKS}][0-9]{{3}})+([.,][0-9]*)?$|^-?[1-9][0-9]{{0,2}}([{APOSTROPHES}][0-9]{{3}})+([.,][0-9]*)?$"
)


def _either(mark: str) -> str:
    return rf"^-?[1-9][0-9]{{0,2}}[{mark}][0-9]{{3}}$"


def _decimal(mark: str, other: str) -> str:
    """Return what has a decimal mark for sure, but for what is also of the form of `_either`."""
    exponent = "([eE][+-]?[0-9]+)?" if "," in mark else ""
    return (
        rf"^-?([0-9]+[{mark}][0-9]*|[{mark}][0-9]+){exponent}$|^-?[1-9][0-9]{{0,2}}([{other}][0-9]{{3}})+[{mark}][0-9]*$"
        rf"|^-?[1-9][0-9]?([{other}][0-9]{{2}})*[{other}][0-9]{{3}}[{mark}][0-9]*$"
    )


def _thousands(mark: str, other: str) -> str:
    """Return what has a mark between thousands for sure: two of them, or one beside a decimal mark. Groups of two are India's."""
    groups = rf"([1-9][0-9]{{0,2}}([{mark}][0-9]{{3}})+|[1-9][0-9]?([{mark}][0-9]{{2}})*[{mark}][0-9]{{3}})"
    twice = rf"([1-9][0-9]{{0,2}}([{mark}][0-9]{{3}}){{2,}}|[1-9][0-9]?([{mark}][0-9]{{2}})+[{mark}][0-9]{{3}})"
    return rf"^-?{twice}$|^-?{groups}[{other}][0-9]*$"


@dataclass(frozen=True)
class Evidence:
    """How many cells of a column show a convention: point or comma as decimal mark or between thousands, or another mark between
    thousands; and how many can be read either way."""

    point_decimal: int = 0
    point_thousands: int = 0
    comma_decimal: int = 0
    comma_thousands: int = 0
    grouped: int = 0
    point_either: int = 0
    comma_either: int = 0

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def conventions(self) -> tuple[int, int]:
        """Return how many cells are written with a decimal point, and how many with a decimal comma."""
        return self.point_decimal + self.comma_thousands, self.comma_decimal + self.point_thousands

    def meaning(self, mark: str) -> Meaning | None:
        """Return what a mark means by these cells alone; None where they do not say it."""
        point, comma = self.conventions()
        if point == comma:
            return "decimal" if self.grouped and not point else None
        return "decimal" if (point > comma) == (mark == ".") else "thousands"


class Unsettled(ValueError):
    """A cell that can be read either way, and nothing in the table that says which. ``column``, ``value``: where it is."""

    def __init__(self, column: str, value: str) -> None:
        super().__init__(f"{column}: {value}")
        self.column, self.value = column, value


def tidy(column: str) -> pl.Expr:
    """Return a text column's cells without what surrounds a number: blanks, a plus; a minus of any kind, at the end (as SAP
    writes it) or as brackets (as accountants do) is a hyphen in front."""
    cell = pl.col(column).str.strip_chars()
    cell = cell.str.replace(r"^\(\s*[-\u2212\u2013]?\s*(.*[0-9].*?)\s*\)$", "-${1}")
    cell = cell.str.replace(r"^[\u2212\u2013\ufe63\uff0d]", "-")
    cell = cell.str.replace(r"^([0-9].*)[-\u2212]$", "-${1}").str.replace(rf"^-[{BLANKS}]+", "-").str.replace(r"^\+", "")
    return cell


def measure(frame: pl.DataFrame, column: str, *, whole: bool = False) -> Evidence:
    """Count what a text column shows. whole: it holds whole numbers, so that ``2.021`` cannot be a decimal one."""
    cells = frame.select(cell=tidy(column)).filter(pl.col("cell").str.contains(r"[.,'\u2019\u02bc \u00a0\u2007\u2009\u202f]"))
    if cells.is_empty():
        return Evidence()
    cell, counts = pl.col("cell"), {}
    for name, mark, other in (("point", r"\.", ","), ("comma", ",", r"\.")):
        either, thousands = cell.str.contains(_either(mark)), cell.str.contains(_thousands(mark, other))
        if whole:
            certain = either & ~cell.str.ends_with("000")
            either, thousands = either & ~certain, thousands | certain
        counts[f"{name}_either"], counts[f"{name}_thousands"] = either.sum(), thousands.sum()
        counts[f"{name}_decimal"] = (cell.str.contains(_decimal(mark, other)) & ~cell.str.contains(_either(mark))).sum()
    grouped = cell.str.contains(GROUPED)
    point, comma = grouped & cell.str.contains(".", literal=True), grouped & cell.str.contains(",", literal=True)
    found = cells.select(**counts, grouped=grouped.sum(), point=point.sum(), comma=comma.sum()).row(0, named=True)
    found["point_decimal"] += found.pop("point")
    found["comma_decimal"] += found.pop("comma")
    return Evidence(**{name: int(count or 0) for name, count in found.items()})


def has_decimal_marks(frame: pl.DataFrame, column: str) -> bool:
    """Return whether most of a text column's cells are numbers, with a unit or without, and some have a decimal mark for sure."""
    cell = pl.col("cell")
    cells = frame.select(cell=tidy(column).str.replace(r"\s*[%€$£]$", "")).drop_nulls().filter(cell != "")
    decimal = "|".join((_decimal(r"\.", ","), _decimal(",", r"\.")))
    shapes = "|".join((PLAIN, _either(r"\."), _either(","), decimal, GROUPED))
    marks, numbers = cells.select(cell.str.contains(decimal).sum(), number=cell.str.contains(shapes).sum()).row(0)
    return bool(marks and numbers * 2 > cells.height)


def settle(
    frame: pl.DataFrame, columns: Mapping[str, bool], *, separator: str | None, decimal: str | None, thousands: str | None,
    others: Iterable[str],
) -> dict[str, tuple[dict[str, Meaning], str | None]]:  # fmt: skip
    """Return what point and comma mean in each text column of numbers (name → whether it holds whole ones), by the rule above,
    and a cell for which nothing but the fourth part of the rule says it.

    separator: between cells, where the file has one. others: the file's other text columns. Raises Unsettled.
    """
    if decimal or thousands is not None:
        return dict.fromkeys(columns, (_as_set(decimal, thousands), None))
    evidence = {name: measure(frame, name, whole=whole) for name, whole in columns.items()}
    together = sum(evidence.values(), Evidence())
    usual: dict[str, Meaning] = {}
    if separator == ";" and together.point_either and not any(has_decimal_marks(frame, name) for name in others):
        usual = {".": "thousands"}
    return {name: _of_column(frame, name, own, together, usual) for name, own in evidence.items()}


def _as_set(decimal: str | None, thousands: str | None) -> dict[str, Meaning]:
    """Return what the marks mean where a person has set one or both; a mark that is neither may not stand in a number."""
    if decimal is None:
        decimal = {".": ",", ",": "."}.get(thousands or "")
    if decimal is None:  # thousands are parted by a blank, an apostrophe or nothing
        return {".": "decimal", ",": "decimal"}
    meanings: dict[str, Meaning] = {decimal: "decimal"}
    other = next(mark for mark in MARKS if mark != decimal)
    if thousands in (None, other):
        meanings[other] = "thousands"
    return meanings


def _of_column(
    frame: pl.DataFrame, name: str, own: Evidence, together: Evidence, usual: Mapping[str, Meaning]
) -> tuple[dict[str, Meaning], str | None]:  # fmt: skip
    meanings: dict[str, Meaning] = {}
    unsaid = None
    for mark, either in ((".", own.point_either), (",", own.comma_either)):
        meaning = own.meaning(mark)
        if meaning is None and either:
            meaning = _of_table(mark, together)
            if meaning is None:
                unsaid = frame.filter(tidy(name).str.contains(_either(rf"\{mark}")))[name][0]
                meaning = usual.get(mark) if not any(together.conventions()) and not together.grouped else None
            if meaning is None:
                raise Unsettled(name, unsaid)
        if meaning:
            meanings[mark] = meaning
    return meanings, unsaid


def _of_table(mark: str, together: Evidence) -> Meaning | None:
    """Return what a mark means by the table's other columns. That the comma is decimal in one says nothing about the point in
    another."""
    points = together.point_decimal or together.comma_thousands
    blanks = together.grouped and not together.comma_decimal  # with a decimal comma beside them the point would be neither
    if mark == "." and not (together.point_thousands or points or blanks):
        return None
    if points and together.point_thousands:
        return None
    if mark == "." and together.comma_decimal and not together.point_thousands:  # two decimal marks: each column for itself
        return "decimal"
    return together.meaning(mark)


def parse(column: str, meanings: Mapping[str, Meaning], *, strict: bool) -> pl.Expr:
    """Return a text column as numbers; missing where a cell is none, or is written against ``meanings``.

    strict: a mark without a meaning may not stand in a number (a person has said which may).
    """
    cell = tidy(column)
    ungrouped = cell.str.replace_all(f"[{BLANKS}{APOSTROPHES}]", "")
    number = pl.when(cell.str.contains(f"{PLAIN}|{EXPONENT}|{INFINITE}")).then(cell)
    refused = [mark for mark in MARKS if meanings.get(mark) != "decimal"] if strict else []
    grouped = cell.str.contains(GROUPED) & ~pl.any_horizontal(
        pl.lit(False), *(cell.str.contains(m, literal=True) for m in refused)
    )
    number = number.when(grouped).then(ungrouped.str.replace(",", ".", literal=True))
    for mark, other in ((".", ","), (",", ".")):
        this, that = rf"\{mark}", rf"\{other}"
        meaning, opposite = meanings.get(mark), meanings.get(other)
        as_decimal = cell.str.replace_all(other, "", literal=True).str.replace(mark, ".", literal=True)
        without = cell.str.replace_all(mark, "", literal=True)
        if meaning:
            number = number.when(cell.str.contains(_either(this))).then(as_decimal if meaning == "decimal" else without)
        else:
            number = number.when(cell.str.contains(_either(this))).then(None)
        if meaning == "decimal" or (meaning is None and not strict and opposite != "decimal"):
            pattern = _decimal(this, that) if opposite == "thousands" or not strict else rf"^-?([0-9]+{this}[0-9]*|{this}[0-9]+)$"
            number = number.when(cell.str.contains(pattern)).then(as_decimal)
        if meaning == "thousands" or (meaning is None and not strict and opposite != "thousands"):
            number = number.when(cell.str.contains(_thousands(this, that))).then(without.str.replace(other, ".", literal=True))
    return number.otherwise(None).cast(pl.Float64, strict=False)
