"""Parse numbers in text cells, and infer which of ``.`` and ``,`` is the decimal mark and which the thousands separator.

The rule, in this order, for a cell such as ``1.421`` that can be read either way:

1. The user's ``decimal`` and ``thousands``, where set.
2. The other cells of its column (``12,5``: the comma is decimal; ``1.234.567``: the point separates thousands).
3. The other numeric columns. A decimal comma in one of them does not decide what the point means.
4. Otherwise a point before three digits separates thousands in a file whose cells are separated by ``;``, unless another column
   of the file has decimal marks. All other such tables are refused.

A column whose cells contradict each other follows the majority; the other cells are not numbers. Blanks and apostrophes between
groups of three digits always separate thousands. Columns not requested as numbers, such as identifiers, are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from polars.expr.whenthen import ChainedThen, Then

MarkMeaning = Literal["decimal", "thousands"]
DECIMAL_MARKS = (".", ",")
BLANKS = " \u00a0\u2007\u2009\u202f"
APOSTROPHES = "'\u2019\u02bc"

INFINITE = r"(?i)^[+-]?inf(inity)?$"
PLAIN_PATTERN = r"^-?[0-9]+$"
POINT_DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]*)?$"
EXPONENT_PATTERN = r"^-?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+$"
"""Numbers with an exponent, as programs write them; they are no evidence for the number format."""
GROUPED_PATTERN = (
    rf"^-?[1-9][0-9]{{0,2}}([{BLANKS}][0-9]{{3}})+([.,][0-9]*)?$|^-?[1-9][0-9]{{0,2}}([{APOSTROPHES}][0-9]{{3}})+([.,][0-9]*)?$"
)


def _either(mark: str) -> str:
    return rf"^-?[1-9][0-9]{{0,2}}[{mark}][0-9]{{3}}$"


def _decimal(mark: str, other: str) -> str:
    """Return a pattern of numbers with a certain decimal mark; it also matches the ambiguous ones that `_either` does."""
    exponent = "([eE][+-]?[0-9]+)?" if "," in mark else ""
    return (
        rf"^-?([0-9]+[{mark}][0-9]*|[{mark}][0-9]+){exponent}$|^-?[1-9][0-9]{{0,2}}([{other}][0-9]{{3}})+[{mark}][0-9]*$"
        rf"|^-?[1-9][0-9]?([{other}][0-9]{{2}})*[{other}][0-9]{{3}}[{mark}][0-9]*$"
    )


def _thousands(mark: str, other: str) -> str:
    """Return a pattern of numbers with a certain thousands separator: two of them, or one and a decimal mark.

    Groups of two digits are those of Indian notation.
    """
    groups = rf"([1-9][0-9]{{0,2}}([{mark}][0-9]{{3}})+|[1-9][0-9]?([{mark}][0-9]{{2}})*[{mark}][0-9]{{3}})"
    twice = rf"([1-9][0-9]{{0,2}}([{mark}][0-9]{{3}}){{2,}}|[1-9][0-9]?([{mark}][0-9]{{2}})+[{mark}][0-9]{{3}})"
    return rf"^-?{twice}$|^-?{groups}[{other}][0-9]*$"


@dataclass(frozen=True)
class NumberEvidence:
    """Counts of a column's cells by the number format that they show.

    point, comma: as decimal mark, as thousands separator, or either. grouped: cells with blanks or apostrophes between thousands.
    """

    point_decimal: int = 0
    point_thousands: int = 0
    comma_decimal: int = 0
    comma_thousands: int = 0
    grouped: int = 0
    point_either: int = 0
    comma_either: int = 0

    def __add__(self, other: NumberEvidence) -> NumberEvidence:
        return NumberEvidence(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def conventions(self) -> tuple[int, int]:
        """Return the number of cells with a decimal point, and with a decimal comma."""
        return self.point_decimal + self.comma_thousands, self.comma_decimal + self.point_thousands

    def meaning(self, mark: str) -> MarkMeaning | None:
        """Return what a mark means by these cells alone; None where they do not decide."""
        point, comma = self.conventions()
        if point == comma:
            return "decimal" if self.grouped and not point else None
        return "decimal" if (point > comma) == (mark == ".") else "thousands"


class AmbiguousNumber(ValueError):
    """A number that can be read either way where nothing in the table decides; ``column`` and ``value`` say which."""

    def __init__(self, column: str, value: str) -> None:
        super().__init__(f"{column}: {value}")
        self.column, self.value = column, value


def strip_number_signs(column: str) -> pl.Expr:
    """Return a text column's cells without surrounding blanks and plus sign, and with any minus as a leading hyphen.

    A minus may be any dash, a trailing one (as in SAP), or brackets (as in accounting).
    """
    cell = pl.col(column).str.strip_chars()
    cell = cell.str.replace(r"^\(\s*[-\u2212\u2013]?\s*(.*[0-9].*?)\s*\)$", "-${1}")
    cell = cell.str.replace(r"^[\u2212\u2013\ufe63\uff0d]", "-")
    cell = cell.str.replace(r"^([0-9].*)[-\u2212]$", "-${1}").str.replace(rf"^-[{BLANKS}]+", "-").str.replace(r"^\+", "")
    return cell


def count_evidence(frame: pl.DataFrame, column: str, *, whole: bool = False) -> NumberEvidence:
    """Count the evidence in a text column. whole: it holds integers, so that ``2.021`` is not a decimal number."""
    cells = frame.select(cell=strip_number_signs(column)).filter(
        pl.col("cell").str.contains(r"[.,'\u2019\u02bc \u00a0\u2007\u2009\u202f]")
    )
    if cells.is_empty():
        return NumberEvidence()
    cell, counts = pl.col("cell"), {}
    for name, mark, other in (("point", r"\.", ","), ("comma", ",", r"\.")):
        either, thousands = cell.str.contains(_either(mark)), cell.str.contains(_thousands(mark, other))
        if whole:
            certain = either & ~cell.str.ends_with("000")
            either, thousands = either & ~certain, thousands | certain
        counts[f"{name}_either"], counts[f"{name}_thousands"] = either.sum(), thousands.sum()
        counts[f"{name}_decimal"] = (cell.str.contains(_decimal(mark, other)) & ~cell.str.contains(_either(mark))).sum()
    grouped = cell.str.contains(GROUPED_PATTERN)
    point, comma = grouped & cell.str.contains(".", literal=True), grouped & cell.str.contains(",", literal=True)
    found = cells.select(**counts, grouped=grouped.sum(), point=point.sum(), comma=comma.sum()).row(0, named=True)
    found["point_decimal"] += found.pop("point")
    found["comma_decimal"] += found.pop("comma")
    return NumberEvidence(**{name: int(count or 0) for name, count in found.items()})


def has_decimal_marks(frame: pl.DataFrame, column: str) -> bool:
    """Return whether most of a text column's cells are numbers, with or without a unit, and some have a certain decimal mark."""
    cell = pl.col("cell")
    cells = frame.select(cell=strip_number_signs(column).str.replace(r"\s*[%€$£]$", "")).drop_nulls().filter(cell != "")
    decimal = "|".join((_decimal(r"\.", ","), _decimal(",", r"\.")))
    shapes = "|".join((PLAIN_PATTERN, _either(r"\."), _either(","), decimal, GROUPED_PATTERN))
    marks, numbers = cells.select(cell.str.contains(decimal).sum(), number=cell.str.contains(shapes).sum()).row(0)
    return bool(marks and numbers * 2 > cells.height)


def settle_number_format(
    frame: pl.DataFrame,
    columns: Mapping[str, bool],
    *,
    separator: str | None,
    decimal: str | None,
    thousands: str | None,
    others: Iterable[str],
) -> dict[str, tuple[dict[str, MarkMeaning], str | None]]:
    """Return what point and comma mean in each numeric text column, and a cell that only part 4 of the rule above decided.

    The cell is None where parts 1 to 3 decided. columns: name → whether it holds integers. separator: of the file's cells, if
        any. others: the file's other text columns.
    Raise AmbiguousNumber where nothing decides.
    """
    if decimal or thousands is not None:
        return dict.fromkeys(columns, (_as_set(decimal, thousands), None))
    evidence = {name: count_evidence(frame, name, whole=whole) for name, whole in columns.items()}
    together = sum(evidence.values(), NumberEvidence())
    usual: dict[str, MarkMeaning] = {}
    if separator == ";" and together.point_either and not any(has_decimal_marks(frame, name) for name in others):
        usual = {".": "thousands"}
    return {name: _of_column(frame, name, own, together, usual) for name, own in evidence.items()}


def _as_set(decimal: str | None, thousands: str | None) -> dict[str, MarkMeaning]:
    """Return what the marks mean where the user has set one or both; a mark without a meaning may not occur in a number."""
    if decimal is None:
        decimal = {".": ",", ",": "."}.get(thousands or "")
    if decimal is None:  # the thousands separator is a blank, an apostrophe or none
        return {".": "decimal", ",": "decimal"}
    meanings: dict[str, MarkMeaning] = {decimal: "decimal"}
    other = next(mark for mark in DECIMAL_MARKS if mark != decimal)
    if thousands in (None, other):
        meanings[other] = "thousands"
    return meanings


def _of_column(
    frame: pl.DataFrame, name: str, own: NumberEvidence, together: NumberEvidence, usual: Mapping[str, MarkMeaning]
) -> tuple[dict[str, MarkMeaning], str | None]:
    meanings: dict[str, MarkMeaning] = {}
    unsaid = None
    for mark, either in ((".", own.point_either), (",", own.comma_either)):
        meaning = own.meaning(mark)
        if meaning is None and either:
            meaning = _of_table(mark, together)
            if meaning is None:
                unsaid = frame.filter(strip_number_signs(name).str.contains(_either(rf"\{mark}")))[name][0]
                meaning = usual.get(mark) if not any(together.conventions()) and not together.grouped else None
            if meaning is None:
                raise AmbiguousNumber(name, str(unsaid))
        if meaning:
            meanings[mark] = meaning
    return meanings, unsaid


def _of_table(mark: str, together: NumberEvidence) -> MarkMeaning | None:
    """Return what a mark means by the table's other columns; a decimal comma there does not decide what the point means."""
    points = together.point_decimal or together.comma_thousands
    blanks = together.grouped and not together.comma_decimal  # with a decimal comma as well, the point would mean neither
    if mark == "." and not (together.point_thousands or points or blanks):
        return None
    if points and together.point_thousands:
        return None
    if mark == "." and together.comma_decimal and not together.point_thousands:  # two decimal marks: each column has its own
        return "decimal"
    return together.meaning(mark)


def parse_numbers(frame: pl.DataFrame, column: str, meanings: Mapping[str, MarkMeaning], *, strict: bool) -> pl.Expr:
    """Return a text column as numbers; null where a cell is not a number, or contradicts ``meanings``.

    strict: a mark without a meaning may not occur in a number (the user has set the format).
    """
    usual = POINT_DECIMAL_PATTERN if meanings.get(".") == "decimal" else PLAIN_PATTERN
    if frame[column].str.contains(usual).all():  # as most files have them: no other reading is possible, and it is much faster
        return pl.col(column).cast(pl.Float64, strict=False)
    cell = strip_number_signs(column)
    ungrouped = cell.str.replace_all(f"[{BLANKS}{APOSTROPHES}]", "")
    number: Then | ChainedThen = pl.when(cell.str.contains(f"{PLAIN_PATTERN}|{EXPONENT_PATTERN}|{INFINITE}")).then(cell)
    refused = [mark for mark in DECIMAL_MARKS if meanings.get(mark) != "decimal"] if strict else []
    grouped = cell.str.contains(GROUPED_PATTERN) & ~pl.any_horizontal(
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
