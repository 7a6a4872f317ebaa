"""Tables and params as they go wrong: random damage to good ones, the same for the same seed."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl

COLUMNS = [
    "company_id",
    "fiscal_year",
    "total_assets",
    "total_liabilities",
    "revenue",
    "cost_of_goods_sold",
    "gross_profit",
    "ebit",
    "period_end",
    "available_at",
    "event_date",
    "name",
    "sector",
]
CELLS = [
    "",
    " ",
    "NA",
    "n.d.",
    "#N/D",
    "1.421",
    "1,421",
    "1.234.567,8",
    "12,5",
    "-0",
    "1e999",
    "-inf",
    "nan",
    "1e-320",
    "9" * 400,
    "0x10",
    "١٢٣",
    "31/12/2020",
    "12/31/2020",
    "9999-12-31",
    "0001-01-01",
    "2020-02-30",
    "2020-12-31T23:59:59+14:00",
    "44196",
    "true",
    "=1+1",
    "'=cmd",
    "<script>alert(1)</script>",
    "{0}",
    "{path}",
    "\u202e",
    "\x1b[2J",
    "\ufeff",
    "a" * 5000,
    "\U0001f4a5",
    "a\nb",
    '"',
    "''",
    "−5",
    "(5)",
    "5-",
    "1 000",
    "%s",
    "-1",
    "0",
    "2147483648",
    "1900",
    "2201",
    "None",
    "null",
]
NAMES = [
    "",
    " ",
    "total_assets",
    "Total_Assets",
    "(row)",
    "(column 1)",
    "rule",
    "row",
    "event",
    "exposure",
    "lgd",
    "\x00",
    "x" * 300,
    "currency",
]


@dataclass
class Bad:
    """A damaged table. rows: cells below the header; broken: what was done to it."""

    header: list[str]
    rows: list[list[Any]]
    broken: list[str]


def good(chance: random.Random) -> Bad:
    rows = []
    for company in range(chance.randint(1, 6)):
        for year in range(2018, 2018 + chance.randint(1, 4)):
            assets = round(chance.uniform(1, 5000), 3)
            sales = round(assets * chance.uniform(0.2, 2), 3)
            rows.append(
                [
                    f"C{company}",
                    year,
                    assets,
                    round(assets * chance.random(), 3),
                    sales,
                    round(sales * 0.6, 3),
                    round(sales * 0.4, 3),
                    round(assets * chance.uniform(-0.2, 0.2), 3),
                    f"{year}-12-31",
                    f"{year + 1}-05-01",
                    "",
                    f"Firm {company}",
                    "C",
                ]
            )
    return Bad(list(COLUMNS), rows, [])


def _cell(table: Bad, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        chance.choice(table.rows)[chance.randrange(len(COLUMNS))] = chance.choice(CELLS)


def _column(table: Bad, chance: random.Random) -> None:
    place, cell = chance.randrange(len(COLUMNS)), chance.choice(CELLS)
    for row in table.rows:
        row[place] = cell


def _name(table: Bad, chance: random.Random) -> None:
    table.header[chance.randrange(len(table.header))] = chance.choice(NAMES)


def _row(table: Bad, chance: random.Random) -> None:
    kind = chance.choice(["long", "short", "empty", "again"])
    place = chance.randrange(len(table.rows))
    row = table.rows[place]
    table.rows[place : place + 1] = {
        "long": [[*row, "x", "y"]],
        "short": [row[: chance.randint(1, 9)]],
        "empty": [[""] * len(row), row],
        "again": [row, list(row)],
    }[kind]


def _order(table: Bad, chance: random.Random) -> None:
    chance.shuffle(table.rows)
    order = chance.sample(range(len(COLUMNS)), len(COLUMNS))
    table.header = [table.header[i] for i in order]
    table.rows = [[row[i] if i < len(row) else "" for i in order] for row in table.rows]


def _titles(table: Bad, chance: random.Random) -> None:
    table.rows[:0] = [list(table.header)]
    table.header = ["Balances", *[""] * (len(COLUMNS) - 1)]


DAMAGES: list[Callable[[Bad, random.Random], None]] = [_cell, _cell, _cell, _column, _name, _row, _order, _titles]


def damaged(chance: random.Random) -> Bad:
    """Return a table with one to three faults; `_order` and `_titles` come last, since the others go by the order of columns."""
    table = good(chance)
    for damage in sorted(chance.sample(DAMAGES, chance.randint(1, 3)), key=DAMAGES.index):
        damage(table, chance)
        table.broken.append(damage.__name__)
    return table


def write(table: Bad, folder: Path, chance: random.Random) -> Path:
    """Write a table in one of seven kinds of file, some of them with damaged bytes."""
    kind = chance.choice(["comma", "semicolon", "tab", "gz", "xlsx", "parquet", "bytes"])
    path = folder / f"{kind}.{ {'gz': 'csv.gz', 'xlsx': 'xlsx', 'parquet': 'parquet'}.get(kind, 'csv') }"
    if kind == "parquet":
        width = len(table.header)
        columns = {
            name or f"c{i}": [str(row[i]) if i < len(row) else None for row in table.rows] for i, name in enumerate(table.header)
        }
        typed = {name: pl.Series(cells, dtype=pl.String) for name, cells in columns.items()}
        frame = pl.DataFrame(typed)
        for name in chance.sample(list(typed), min(4, width)):
            cell = pl.col(name)
            typed_cells = [cell.cast(pl.Float64, strict=False), cell.cast(pl.Int64, strict=False), cell.cast(pl.Categorical)]
            frame = frame.with_columns(chance.choice([*typed_cells, cell.str.to_date("%Y-%m-%d", strict=False)]))
        frame.write_parquet(path)
    elif kind == "xlsx":
        book = openpyxl.Workbook()
        for row in [table.header, *table.rows]:
            book.active.append([openpyxl.cell.cell.ILLEGAL_CHARACTERS_RE.sub("", c) if isinstance(c, str) else c for c in row])
        book.save(path)
    else:
        text = io.StringIO()
        csv.writer(text, delimiter={"semicolon": ";", "tab": "\t"}.get(kind, ",")).writerows([table.header, *table.rows])
        content = text.getvalue().encode(chance.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1"]), errors="replace")
        if kind == "bytes":
            content = bytearray(content)
            for _ in range(chance.randint(1, 5)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            content = bytes(content[: chance.randint(1, len(content))])
        path.write_bytes(gzip.compress(content, mtime=0) if kind == "gz" else content)
    return path


VALUES = [
    None,
    "",
    "x",
    -1,
    0,
    1e999,
    float("nan"),
    10**400,
    True,
    [],
    {},
    [1],
    {"a": 1},
    "2025-13-45",
    "é" * 1000,
    0.5,
    "{x}",
    "\x00",
]


def damaged_params(content: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return params with one to three values replaced, keys misspelt, taken out or added, at any depth."""
    content = copy.deepcopy(content)
    for _ in range(chance.randint(1, 3)):
        place = content
        while True:
            key = chance.choice(list(place))
            if isinstance(place[key], dict) and place[key] and chance.random() < 0.85:
                place = place[key]
                continue
            break
        kind = chance.choice(["value", "value", "value", "misspelt", "gone", "more"])
        if kind == "value":
            place[key] = chance.choice(VALUES)
        elif kind == "misspelt":
            place[f"{key}s"] = place.pop(key)
        elif kind == "gone" and len(place) > 1:
            del place[key]
        else:
            place[chance.choice(["", "x", "treés", 7, None])] = chance.choice(VALUES)
    return content
