"""Numbers as people write them: the same numbers back from six locales and three kinds of file, or a refusal where nothing settles it."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import polars as pl
from babel.numbers import format_decimal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quiebra.errors import SourceError
from quiebra.params.file_format import FileFormat
from quiebra.sources.cells import cast_columns
from quiebra.sources.reading import read_file

LOCALES = ["en_US", "es_ES", "de_CH", "fr_FR", "sv_SE", "en_IN"]
FILES = ["comma.csv", "semicolon.csv", "text.xlsx"]


def read_numbers(path: Path, columns: Sequence[str], **options: object) -> list[list[float | None]]:
    frame = cast_columns(read_file(path, FileFormat(**options)), dict.fromkeys(columns, pl.Float64))
    return [frame[name].to_list() for name in columns]


def write_cells(folder: Path, kind: str, header: list[str], rows: list[list[str]]) -> Path:
    path = folder / kind
    if kind.endswith(".xlsx"):
        book = openpyxl.Workbook()
        for row in [header, *rows]:
            book.active.append(row)
        book.save(path)
    else:
        text = io.StringIO()
        csv.writer(text, delimiter=";" if kind.startswith("semi") else ",").writerows([header, *rows])
        path.write_text(text.getvalue(), encoding="utf-8")
    return path


def settled(columns: list[list[str]], point_decimal: bool) -> bool:
    """Whether some cell shows by itself what the marks of the ambiguous ones mean; written apart from the code that it judges."""
    columns = [[cell.lstrip("-\u2212") for cell in column] for column in columns]
    cells = [cell for column in columns for cell in column]
    either = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
    if not any(either.fullmatch(cell) for cell in cells):
        return True
    shows = [cell for cell in cells if re.search(r"\D", cell) and not either.fullmatch(cell)]
    if point_decimal:
        return bool(shows)
    grouping = [cell for cell in shows if len(re.findall(r"[.,]", cell)) > 1 or re.search(r"[\s\u00a0\u202f]", cell)]
    own = all(any(c in shows for c in column) for column in columns if any(either.fullmatch(c) and "." in c for c in column))
    dotted = any(either.fullmatch(cell) and "." in cell for cell in cells)
    return bool(grouping) or own if dotted else bool(shows)


numbers = st.one_of(
    st.integers(-999, 999).map(float),
    st.integers(1000, 999_999).map(float),
    st.integers(-(10**9), 10**9).map(float),
    st.integers(-(10**7), 10**7).map(lambda n: n / 1000),
    st.integers(0, 10**6).map(lambda n: n / 100),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(LOCALES),
    st.sampled_from(FILES),
    st.booleans(),
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=6)),
)
def test_numbers_come_back_or_are_refused_where_nothing_settles_them(
    locale: str, kind: str, grouping: bool, rows: list[list[float]]
) -> None:
    pattern = "#,##,##0.###" if locale == "en_IN" else "#,##0.###"
    shown = [[format_decimal(n, format=pattern, locale=locale, group_separator=grouping) for n in row] for row in rows]
    columns = [f"amount_{i}" for i in range(len(rows[0]))]
    cells = [["A" + str(i), *row] for i, row in enumerate(shown)]
    by_column = [list(column) for column in zip(*shown, strict=True)]
    point_decimal = locale in ("en_US", "de_CH", "en_IN")
    with tempfile.TemporaryDirectory() as folder:
        path = write_cells(Path(folder), kind, ["company_id", *columns], cells)
        try:
            read = read_numbers(path, columns)
        except SourceError as refused:
            assert "decimal" in str(refused) and "thousands" in str(refused)
            assert not settled(by_column, point_decimal), (shown, str(refused))
            return
    wanted = [list(column) for column in zip(*rows, strict=True)]
    if (
        kind == "semicolon.csv" and point_decimal and read != wanted
    ):  # the stated rule: there, points before three digits are for thousands
        assert not settled(by_column, point_decimal), (shown, read)
        return
    assert read == wanted, (shown, read)
