"""Macro series of Nasdaq Data Link: datasets (DATABASE/CODE) and tables (VENDOR/TABLE), in whatever order their rows come."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from quiebra.canonical import MACRO_SCHEMA, conform_to_schema
from quiebra.errors import FetchError, SourceError
from quiebra.params import MacroSeries
from quiebra.sources.raw_store import RawStore

if TYPE_CHECKING:  # a run reads, and needs no client
    from quiebra.sources.http import Answer, Client, Service
    from quiebra.sources.rate_limits import RateLimit

FOLDER = "data/raw/nasdaq"
SITE, MIRROR = "https://data.nasdaq.com", "QUIEBRA_NASDAQ_MIRROR"
MOST_PAGES = 1000


def service() -> Service:
    """Return how the service is asked. FetchError where there is no key."""
    from quiebra.sources.http import Service

    return Service(
        "nasdaq",
        rates=((300, 10.0), (2000, 600.0), (50_000, 86_400.0)),
        key="QUIEBRA_NASDAQ_KEY",
        key_parameter="api_key",
        key_help=" to the one that data.nasdaq.com gives",
        judge=judge,
    )


def judge(answer: Answer, limit: RateLimit) -> None:
    """Raise FetchError with the service's words where an answer is an error: a limit (QELx), a set that costs or is gone."""
    try:
        error = json.loads(answer.body)["quandl_error"]
        code, said = str(error["code"]), str(error["message"])
    except (ValueError, RecursionError, KeyError, TypeError):
        if answer.status == 410:
            raise FetchError("Nasdaq Data Link has retired this set (410): take another source") from None
        return
    if code.startswith("QEL"):
        raise limit.refuse_for(86_400 if "day" in said.lower() else 600, f"{code}: {said}")
    raise FetchError(f"Nasdaq Data Link refuses ({code}): {said}")


def fetch(client: Client, series: Mapping[str, MacroSeries], *, today: dt.date | None = None) -> Iterator[str]:
    """Fetch the series that name a set, once a day, and yield a line about each."""
    now = str(today or dt.datetime.now(dt.UTC).date())
    for name, options in sorted(series.items()):
        if options.nasdaq is None:
            continue
        first = client.store.answer(f"{options.nasdaq}/0.json")
        if first is not None and first.at[:10] >= now:
            yield f"{name} ({options.nasdaq}): there already"
            continue
        pages = _fetch_pages(client, options)
        yield f"{name} ({options.nasdaq}): {pages} {'answer' if pages == 1 else 'answers'}"


def _fetch_pages(client: Client, options: MacroSeries) -> int:
    from quiebra.sources.http import service_address

    kind = "datatables" if options.table else "datasets"
    address = f"{service_address(SITE, MIRROR)}/api/v3/{kind}/{options.nasdaq}.json"
    cursor, seen = "", set[str]()
    for page in range(MOST_PAGES):
        name = f"{options.nasdaq}/{page}.json"
        client.fetch(name, address, {"qopts.cursor_id": cursor} if cursor else {}, again=True)
        if name not in client.store.names(name):
            raise FetchError(f"Nasdaq Data Link has no {options.nasdaq}")
        cursor = str((json.loads(client.store.read(name)).get("meta") or {}).get("next_cursor_id") or "")
        if not cursor:
            return page + 1
        if cursor in seen:
            raise FetchError(f"{options.nasdaq}: the service gives the same page again and again")
        seen.add(cursor)
    raise FetchError(f"{options.nasdaq} has more than {MOST_PAGES} pages: name a smaller table")


def read_series(store: RawStore, name: str, options: MacroSeries) -> pl.DataFrame:
    """Return a fetched series (`MACRO_SCHEMA`), each value known ``lag_days`` after its date.

    The date is the first column that is one, or called so; the value is ``column``, or the one after the date. SourceError where
    nothing was fetched, or the answer has no such column.
    """
    pages = sorted(store.names(f"{options.nasdaq}/"), key=lambda each: int(each.rpartition("/")[2].removesuffix(".json")))
    if not pages:
        raise SourceError(
            "series {series} ({set}) was not fetched: `quiebra fetch nasdaq` gets it (QUIEBRA_NASDAQ_KEY)",
            series=name,
            set=options.nasdaq,
        )
    rows = [row for page in pages for row in _rows(store, page, options)]
    table = pl.DataFrame(rows, schema={"date": pl.String, "value": pl.Float64}, orient="row", strict=False)
    known = table.with_columns(pl.col("date").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)).drop_nulls()
    last = known.filter(pl.col("value").is_finite()).unique("date", keep="last", maintain_order=True).sort("date")
    return conform_to_schema(
        last.select(
            pl.lit(name).alias("series"), "date", "value", available_at=pl.col("date") + pl.duration(days=options.lag_days or 0)
        ),
        MACRO_SCHEMA,
    )


def _rows(store: RawStore, page: str, options: MacroSeries) -> Iterator[tuple[Any, Any]]:
    try:
        content = json.loads(store.read(page))
        part = content["datatable"] if "datatable" in content else content["dataset"]
        names = [column["name"] for column in part["columns"]] if "columns" in part else list(part["column_names"])
        data = part["data"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise SourceError(
            "{path} is no answer of Nasdaq Data Link: delete it, and fetch it again", path=store.path(page)
        ) from None
    folded = [name.casefold() for name in names]
    date = next((place for place, each in enumerate(folded) if "date" in each), 0)
    wanted = (options.column or "").casefold()
    if wanted and wanted not in folded:
        raise SourceError(
            "{set} has no column '{column}'; it has {names}", set=options.nasdaq, column=options.column, names=", ".join(names)
        )
    value = folded.index(wanted) if wanted else (date + 1 if date + 1 < len(names) else 0)
    for row in data:
        yield row[date], row[value]
