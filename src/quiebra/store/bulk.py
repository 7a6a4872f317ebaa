"""Bulk upserts: COPY on PostgreSQL, one prepared statement for all rows on SQLite."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, frame: pl.DataFrame) -> int:
    """Insert the frame's rows, replacing those with the same primary key; return the number of rows given.

    The frame's columns have the table's names; NaN is stored as NULL. Runs inside the caller's transaction.
    """
    if frame.is_empty():
        return 0
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    keys = [column.name for column in table.primary_key]
    if connection.dialect.name == "postgresql":
        _copy(connection, table, frame, keys)
    else:
        insert = sqlite.insert(table)
        updates = {name: insert.excluded[name] for name in frame.columns if name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=updates), frame.to_dicts())
    return frame.height


def _copy(connection: Connection, table: Table, frame: pl.DataFrame, keys: list[str]) -> None:
    stage = f"stage_{table.name}"
    columns = ", ".join(f'"{name}"' for name in frame.columns)
    connection.execute(text(f"CREATE TEMP TABLE {stage} (LIKE {table.name}) ON COMMIT DROP"))
    # the stage table has all columns, but only the frame's are copied; the others keep their defaults
    driver: Any = connection.connection  # psycopg's connection, whose cursors support COPY
    with driver.cursor() as cursor, cursor.copy(f"COPY {stage} ({columns}) FROM STDIN") as copy:
        for row in frame.iter_rows():
            copy.write_row(row)
    insert = postgresql.insert(table).from_select(
        frame.columns,
        text(f"SELECT {columns} FROM {stage}").columns(  # noqa: S608  names of our own tables, which no parameter can be
            *[table.c[name] for name in frame.columns]
        ),
    )
    updates = {name: insert.excluded[name] for name in frame.columns if name not in keys}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=updates))
    connection.execute(text(f"DROP TABLE {stage}"))
