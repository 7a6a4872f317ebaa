"""Macro series of FRED (Federal Reserve Bank of St. Louis), with their vintages from ALFRED where they are revised."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from quiebra.canonical import MACRO_SCHEMA, conform_to_schema
from quiebra.errors import FetchError, RefusedError, SourceError
from quiebra.params import MacroSeries
from quiebra.sources.raw_store import RawStore

if TYPE_CHECKING:  # a run reads, and needs no client
    from quiebra.sources.http import Answer, Client, Service
    from quiebra.sources.rate_limits import RateLimit

FOLDER = "data/raw/fred"
SITE, MIRROR = "https://api.stlouisfed.org", "QUIEBRA_FRED_MIRROR"
OBSERVATIONS = "/fred/series/observations"
FIRST_VINTAGE, LAST_VINTAGE = dt.date(1776, 7, 4), dt.date(9999, 12, 31)
"""FRED's names for the beginning and the end of time."""
LIMIT = 100_000
"""Observations in an answer, at most."""
RATES = ((2, 1.0), (120, 60.0))
SPANS = (FIRST_VINTAGE, *(dt.date(year, 1, 1) for year in range(1990, 2100, 5)))
"""Where the ranges of vintages that are asked for begin: an answer holds 2,000 dates of publication at most."""
TOO_MANY = "vintage dates"


def service() -> Service:
    """Return how FRED is asked. FetchError where there is no key."""
    from quiebra.sources.http import Service

    return Service(
        "fred",
        RATES,
        key="QUIEBRA_FRED_KEY",
        key_parameter="api_key",
        key_help=" to the one that fred.stlouisfed.org gives",
        judge=judge,
    )


def judge(answer: Answer, limit: RateLimit) -> None:
    """Raise RefusedError with FRED's words where it refuses: with status 400, also where it is asked too fast."""
    if answer.status == 400:
        try:
            said = str(json.loads(answer.body)["error_message"])
        except (ValueError, RecursionError, KeyError, TypeError):
            said = "Bad Request"
        raise RefusedError(f"FRED refuses: {said}")


def fetch(client: Client, series: Mapping[str, MacroSeries], *, today: dt.date | None = None) -> Iterator[str]:
    """Fetch the series that name FRED's, and yield a line about each: all vintages without ``lag_days``, else the latest values.

    Ranges of vintages that are over are asked for once; the last one, and latest values, once a day.
    """
    now = today or dt.datetime.now(dt.UTC).date()
    for name, options in sorted(series.items()):
        if options.fred is None:
            continue
        spans = [(FIRST_VINTAGE, LAST_VINTAGE)] if options.lag_days is not None else _spans(now)
        asked = sum(_fetch_span(client, options, start, end, now) for start, end in spans)
        yield f"{name} ({options.fred}): {asked} answers" if asked else f"{name} ({options.fred}): there already"


def _spans(today: dt.date) -> list[tuple[dt.date, dt.date]]:
    starts = [start for start in SPANS if start <= today]
    over = [(start, after - dt.timedelta(days=1)) for start, after in itertools.pairwise(starts)]
    return [*over, (starts[-1], LAST_VINTAGE)]


def _fetch_span(client: Client, options: MacroSeries, start: dt.date, end: dt.date, today: dt.date) -> int:
    """Fetch the vintages of a range, in halves where it has too many; return how many answers came."""
    from quiebra.sources.http import service_address

    name = _name(options, start, end)
    answer = client.store.answer(name)
    over = end < today
    if name in client.store and answer is not None and (over or answer.at[:10] >= str(today)):
        return 0
    vintages = {"realtime_start": str(start), "realtime_end": str(end)} if options.lag_days is None else {}
    given: dict[str, str | int] = {"series_id": str(options.fred), "file_type": "json", "limit": LIMIT, **vintages}
    try:
        client.fetch(name, service_address(SITE, MIRROR) + OBSERVATIONS, given, again=True)
    except RefusedError as error:
        first = max(start, dt.date(1900, 1, 1))
        middle = first + (min(end, today) - first) / 2
        if TOO_MANY not in str(error) or middle <= first:
            raise FetchError(f"{options.fred}: {error}") from None
        halves = ((start, middle), (middle + dt.timedelta(days=1), end))
        return sum(_fetch_span(client, options, one, other, today) for one, other in halves)
    return 1


def _name(options: MacroSeries, start: dt.date, end: dt.date) -> str:
    return f"{options.fred}/latest.json" if options.lag_days is not None else f"{options.fred}/{start}_{end}.json"


def read_series(store: RawStore, name: str, options: MacroSeries) -> pl.DataFrame:
    """Return a fetched series (`MACRO_SCHEMA`): each value from the day when it was published, or ``lag_days`` after its date.

    A value that a range of vintages repeats from the range before is no revision. SourceError where nothing was fetched, or an
    answer is none of FRED's, or has more observations than one holds.
    """
    latest = options.lag_days is not None
    names = [each for each in store.names(f"{options.fred}/") if each.endswith("/latest.json") == latest]
    if not names:
        raise SourceError(
            "series {series} ({fred}) was not fetched: `quiebra fetch fred` gets it (QUIEBRA_FRED_KEY)",
            series=name,
            fred=options.fred,
        )
    rows = [row for each in names for row in _observations(store, each)]
    table = pl.DataFrame(rows, schema={"date": pl.String, "published": pl.String, "value": pl.String}, orient="row").select(
        pl.col("date", "published").str.to_date("%Y-%m-%d", strict=False), pl.col("value").cast(pl.Float64, strict=False)
    )
    known = table.drop_nulls().filter(pl.col("value").is_finite()).sort("date", "published").unique(maintain_order=True)
    if latest:
        known = known.with_columns(published=pl.col("date") + pl.duration(days=options.lag_days))
    revised = known.filter((pl.col("value") != pl.col("value").shift().over("date")).fill_null(True))
    return conform_to_schema(
        revised.select(pl.lit(name).alias("series"), "date", "value", available_at="published"), MACRO_SCHEMA
    )


def _observations(store: RawStore, name: str) -> Iterator[tuple[Any, ...]]:
    try:
        content = json.loads(store.read(name))
        observations = content["observations"]
        if int(content["count"]) > len(observations):
            raise SourceError(
                "{path} has but {n} of {all} observations", path=store.path(name), n=len(observations), all=content["count"]
            )
        for each in observations:
            yield each["date"], each["realtime_start"], each["value"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise SourceError("{path} is no answer of FRED: delete it, and fetch it again", path=store.path(name)) from None
