"""Macro series of FRED and Nasdaq Data Link against servers that answer as they do."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import ROOT, command, merged
from service_stand_in import Reply, Request, in_order, running_service

from quiebra.errors import FetchError, FetchStoppedError, ParamsError, SourceError
from quiebra.params import MacroSeries, validate_params
from quiebra.sources import fred, nasdaq
from quiebra.sources.http import Client
from quiebra.sources.macro_files import read_macro
from quiebra.sources.raw_store import RawStore

pytestmark = pytest.mark.slow
RECORDED = ROOT.parent / "shared" / "data"
UNRATE, DAILY = {"UNRATE": MacroSeries(fred="UNRATE")}, {"VIX": MacroSeries(fred="VIXCLS", lag_days=1)}
BRENT = {"BRENT": MacroSeries(nasdaq="EIA/PET_RBRTE_D", lag_days=2)}
TODAY = dt.date(2026, 3, 2)


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("QUIEBRA_FRED_KEY", "fred-key-1")
    monkeypatch.setattr(fred, "RATES", ((1000, 1.0),))
    monkeypatch.setenv("QUIEBRA_NASDAQ_KEY", "nasdaq-key-1")


class Alfred:
    """Answers as FRED does: vintages of a series within the range asked for, their bounds cut to it, at most so many dates."""

    def __init__(self, published: list[tuple[str, str, str]], most: int = 2000) -> None:
        self.published, self.most = sorted(published), most  # date of the observation, day of publication, value

    def __call__(self, request: Request) -> Reply:
        assert request.params["api_key"] == "fred-key-1"
        start, end = request.params.get("realtime_start", "2026-03-02"), request.params.get("realtime_end", "2026-03-02")
        days = sorted({day for _, day, _ in self.published if start <= day <= end})
        if len(days) > self.most:
            said = f"Bad Request.  The number of vintage dates specified by realtime_start and realtime_end ({len(days)}) exceeds the maximum of {self.most}."
            return Reply(json.dumps({"error_code": 400, "error_message": said}).encode(), status=400)
        rows = []
        for date in sorted({date for date, _, _ in self.published}):
            mine = [(day, value) for each, day, value in self.published if each == date]
            for place, (day, value) in enumerate(mine):
                until = mine[place + 1][0] if place + 1 < len(mine) else "9999-12-31"
                if day <= end and until > start:
                    rows.append(
                        {"realtime_start": max(day, start), "realtime_end": min(until, end), "date": date, "value": value}
                    )
        return Reply(json.dumps({"count": len(rows), "limit": 100000, "observations": rows}).encode())


def fetched(module, folder: Path, answer, series: dict[str, MacroSeries], monkeypatch: pytest.MonkeyPatch, **more: object):  # type: ignore[no-untyped-def]
    with running_service(answer) as service:
        monkeypatch.setenv(module.MIRROR, service.address)
        with Client(module.service(), RawStore(folder / module.FOLDER)) as client:
            said = list(module.fetch(client, series, **more))
        return said, service.requests


PUBLISHED = [
    ("2019-12-01", "2020-01-10", "3.5"),
    ("2020-01-01", "2020-02-07", "3.6"),
    ("2020-01-01", "2026-01-09", "3.5"),
    ("2025-11-01", "2025-12-05", "."),
    ("2025-12-01", "2026-01-09", "4.4"),
]


def test_revised_values_are_known_from_the_day_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(fred, tmp_path, Alfred(PUBLISHED), UNRATE, monkeypatch, today=TODAY)
    table, _ = read_macro(UNRATE, tmp_path)
    got = table.select("date", "available_at", "value").rows()
    days = [
        dt.date.fromisoformat(text)
        for text in ("2019-12-01", "2020-01-10", "2020-01-01", "2020-02-07", "2026-01-09", "2025-12-01")
    ]
    assert got == [(days[0], days[1], 3.5), (days[2], days[3], 3.6), (days[2], days[4], 3.5), (days[5], days[4], 4.4)]
    as_of = table.filter(pl.col("available_at") <= dt.date(2025, 12, 31)).sort("date", "available_at")
    assert as_of["value"].to_list() == [3.5, 3.6], "the missing month and the revision are not known yet"


def test_more_than_2000_vintages_are_asked_for_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = dt.date(2010, 1, 1)
    days = [first + dt.timedelta(days=ahead) for ahead in range(2001)]
    published = [(str(day), str(day + dt.timedelta(days=1)), f"{place % 7}.5") for place, day in enumerate(days)]
    whole = Alfred(published, most=900)
    _, asked = fetched(fred, tmp_path, whole, UNRATE, monkeypatch, today=TODAY)
    table, _ = read_macro(UNRATE, tmp_path)
    assert table.height == 2001 and (table["available_at"] == table["date"] + dt.timedelta(days=1)).all()
    refused = [
        request
        for request in asked
        if (dt.date.fromisoformat(request.params["realtime_end"]) - dt.date.fromisoformat(request.params["realtime_start"])).days
        > 1500
    ]
    assert len(refused) > 2


def test_a_series_that_is_not_revised_has_its_lag_and_ranges_that_are_over_are_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {**UNRATE, **DAILY}
    today = dt.datetime.now(dt.UTC).date()
    answer = Alfred([(date, day, value) for date, day, value in PUBLISHED if day < "2026-03-02"])
    _, first = fetched(fred, tmp_path, answer, both, monkeypatch, today=today)
    said, again = fetched(fred, tmp_path, answer, both, monkeypatch, today=today)
    assert len(first) > 5 and again == [] and all(line.endswith("there already") for line in said)
    _, tomorrow = fetched(fred, tmp_path, answer, both, monkeypatch, today=today + dt.timedelta(days=1))
    assert len(tomorrow) == 2, "the last range of vintages, and the latest values"
    vix = read_macro(both, tmp_path)[0].filter(pl.col("series") == "VIX")
    assert (vix["available_at"] == vix["date"] + dt.timedelta(days=1)).all() and vix.height == 3


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(
                json.dumps({"error_code": 400, "error_message": "Bad Request.  The series does not exist."}).encode(), status=400
            ),
            "UNRATE: FRED refuses: .*does not exist",
        ),
        (Reply(b"<html>", status=400), "FRED refuses: Bad Request"),
        (
            Reply(
                json.dumps({"error_code": 400, "error_message": "The value for variable api_key is not registered."}).encode(),
                status=400,
            ),
            "api_key is not registered",
        ),
    ],
)
def test_freds_refusals_are_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply, words: str) -> None:
    with pytest.raises(FetchError, match=words):
        fetched(fred, tmp_path, in_order(reply), UNRATE, monkeypatch, today=TODAY)


def test_answers_that_are_cut_or_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="was not fetched: `quiebra fetch fred` gets it"):
        read_macro(UNRATE, tmp_path)
    few = json.dumps({"count": 3, "observations": [{"date": "2020-01-01", "realtime_start": "2020-02-01", "value": "1"}]})
    for number, (body, words) in enumerate(
        [(few, "has but 1 of 3 observations"), ("{}", "is no answer of FRED"), ("[", "is no answer of FRED")]
    ):
        fetched(fred, tmp_path / str(number), in_order(Reply(body.encode())), DAILY, monkeypatch, today=TODAY)
        with pytest.raises(SourceError, match=words):
            read_macro(DAILY, tmp_path / str(number))


def test_rows_of_a_dataset_come_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = RECORDED / "nasdaq_data_link/dataset_v3_EIA_PET_RBRTE_D.json"
    if not path.is_file():
        pytest.skip(f"no recorded answer at {path}")
    _, asked = fetched(nasdaq, tmp_path, in_order(Reply(path.read_bytes())), BRENT, monkeypatch)
    assert asked[0].path == "/api/v3/datasets/EIA/PET_RBRTE_D.json" and asked[0].params == {"api_key": "nasdaq-key-1"}
    table, _ = read_macro(BRENT, tmp_path)
    assert table["date"].is_sorted() and table.height == 16
    assert table.row(0) == ("BRENT", dt.date(2016, 11, 28), 46.64, dt.date(2016, 11, 30))
    assert read_macro(BRENT, tmp_path)[0].equals(table)


def page(rows: list[list[object]], cursor: str | None) -> Reply:
    columns = [{"name": "indicator"}, {"name": "date"}, {"name": "close"}]
    return Reply(json.dumps({"datatable": {"data": rows, "columns": columns}, "meta": {"next_cursor_id": cursor}}).encode())


TABLE = {"X": MacroSeries(nasdaq="VENDOR/PRICES", table=True, column="close", lag_days=0)}


def test_a_table_is_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        None: page([["x", "2020-01-03", 3.0]], "c1"),
        "c1": page([["x", "2020-01-02", 2.0], ["x", "2020-01-01", None]], None),
    }
    _, asked = fetched(nasdaq, tmp_path, lambda request: pages[request.params.get("qopts.cursor_id")], TABLE, monkeypatch)
    assert [request.params.get("qopts.cursor_id") for request in asked] == [None, "c1"]
    assert read_macro(TABLE, tmp_path)[0]["value"].to_list() == [2.0, 3.0]


def test_a_cursor_that_never_ends_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match="the same page again and again"):
        fetched(nasdaq, tmp_path, lambda _: page([], "c"), TABLE, monkeypatch)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            Reply(b'{"quandl_error":{"code":"QELx04","message":"You have exceeded the API speed limit."}}', status=429),
            FetchStoppedError,
            "QELx04: You have exceeded.*Ask again after",
        ),
        (
            Reply(b'{"quandl_error":{"code":"QEPx05","message":"premium"}}', status=403),
            FetchError,
            r"refuses \(QEPx05\): premium",
        ),
        (Reply(b"gone", status=410), FetchError, "has retired this set"),
        (Reply(status=404), FetchError, "Nasdaq Data Link has no EIA/PET_RBRTE_D"),
    ],
)
def test_refusals_of_nasdaq_data_link_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fetched(nasdaq, tmp_path, in_order(reply), BRENT, monkeypatch)


def test_a_column_that_there_is_not_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(nasdaq, tmp_path, lambda _: page([["x", "2020-01-03", 3.0]], None), TABLE, monkeypatch)
    with pytest.raises(SourceError, match="VENDOR/PRICES has no column 'open'; it has indicator, date, close"):
        read_macro({"X": TABLE["X"].model_copy(update={"column": "open"})}, tmp_path)


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ({"file": "a.csv", "fred": "A", "lag_days": 1}, "name one of file, fred and nasdaq"),
        ({"lag_days": 1}, "name one of file, fred and nasdaq"),
        ({"file": "a.csv"}, "lag_days: say how many days"),
        ({"fred": "../A"}, "fred"),
        ({"nasdaq": "A", "lag_days": 1}, "nasdaq"),
    ],
)
def test_what_a_series_is_of_is_said_once(series: dict[str, object], words: str) -> None:
    content = merged(yaml.safe_load((ROOT / "params.yaml").read_text()), {"ingest": {"macro": {"M": series}}})
    with pytest.raises(ParamsError, match=words):
        validate_params(content)


def test_a_fetched_series_stands_in_the_panel_and_its_key_nowhere(workspace: Path, tmp_path: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    (workspace / "params.yaml").write_text(
        yaml.safe_dump(merged(content, {"ingest": {"macro": {"UNRATE": {"fred": "UNRATE"}}}}), sort_keys=False)
    )
    with running_service(Alfred(PUBLISHED)) as service:
        env = {
            "QUIEBRA_FRED_MIRROR": service.address,
            "QUIEBRA_FRED_KEY": "fred-key-1",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        done = command(workspace, "quiebra", "fetch", "fred", **env)
        assert done.returncode == 0 and "UNRATE (UNRATE)" in done.stdout, done.stderr
        none = command(
            workspace, "quiebra", "fetch", "nasdaq", QUIEBRA_NASDAQ_KEY="k-1234", XDG_CACHE_HOME=str(tmp_path / "cache")
        )
        assert none.returncode == 0 and "no series of params.yaml is of nasdaq" in none.stderr
    assert command(workspace, "dvc", "repro", "ingest").returncode == 0
    macro = pl.read_parquet(workspace / "data/panel/macro.parquet").filter(pl.col("series") == "UNRATE")
    assert macro.height == 4 and macro["available_at"].max() == dt.date(2026, 1, 9)
    files = [path for folder in (workspace / "data", tmp_path / "cache") for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"fred-key-1" in path.read_bytes()]
