"""Macro series from files: dated by when they came out, joined to the source's own, refused where they cannot be read."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import command, default_params, merged

from quiebra.errors import SourceError
from quiebra.params import MacroSeries, validate_params
from quiebra.sources import load
from quiebra.sources.macro_files import read_macro
from quiebra.workspace import Workspace


def series(file: str, lag: int = 40) -> dict[str, MacroSeries]:
    return {"UNRATE": MacroSeries(file=file, lag_days=lag)}


def test_a_download_as_it_comes(tmp_path: Path) -> None:
    (tmp_path / "UNRATE.csv").write_text("observation_date,UNRATE\n2020-01-01,3.5\n2020-02-01,.\n2020-03-01,4.4\n")
    table, _ = read_macro(series("UNRATE.csv"), tmp_path)
    assert table.rows() == [
        ("UNRATE", dt.date(2020, 1, 1), 3.5, dt.date(2020, 2, 10)),
        ("UNRATE", dt.date(2020, 3, 1), 4.4, dt.date(2020, 4, 10)),
    ]
    assert read_macro({}, tmp_path)[0].is_empty()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DATE\n2020-01-01\n", "must have two columns"),
        ("DATE,V\n2020-01-01,high\n", "column 'V' must hold a number, but row 2 has 'high'"),
        ("DATE,V\n1/2/2020,1\n", "date_format"),
        ("DATE,V\n1/2/20,1\n", "column 'DATE' must hold a date"),
        ("DATE,V\n2020-01-01,1\n2020-01-01,2\n", "has the date 2020-01-01 twice"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_macro(series("bad.csv"), tmp_path)


def test_series_stand_beside_the_sources_own(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("date,value\n2012-12-31,9.0\n")
    small = {"demo": {"companies": 40, "first_year": 2012, "years": 6, "seed": 3}}
    own = {"POLICY_RATE": {"file": "rates.csv", "lag_days": 5}}
    plain, with_file = (
        load(validate_params(default_params(ingest={**small, "macro": m})).ingest, Workspace(tmp_path)) for m in ({}, own)
    )
    assert plain.info.macro_sha256 is None and with_file.info.macro_sha256 is not None
    assert with_file.macro.filter(pl.col("series") == "POLICY_RATE").rows() == [
        ("POLICY_RATE", dt.date(2012, 12, 31), 9.0, dt.date(2013, 1, 5))
    ]
    assert with_file.macro.filter(pl.col("series") == "GDP_GROWTH").equals(plain.macro.filter(pl.col("series") == "GDP_GROWTH"))


def test_scenarios_from_a_file_of_ones_own(workspace: Path) -> None:
    """A series in a file, related to failures, moves the scenarios; the shift is in the stage's outs."""
    years = range(2012, 2024)
    (workspace / "data/raw/stress.csv").write_text("date,value\n" + "".join(f"{y}-06-30,{(y * 7) % 5}\n" for y in years))
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["stress"] |= {"macro": {"FEAR": "level"}, "scenarios": {"calm": {}, "fear": {"FEAR": 2.0, "years": 1.0}}}
    content = merged(content, {"ingest": {"macro": {"FEAR": {"file": "data/raw/stress.csv", "lag_days": 30}}}})
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for stage in ("ingest", "features", "score", "stress"):
        done = command(workspace, "quiebra", "run", stage)
        assert done.returncode == 0, done.stderr
    moved = pl.read_parquet(workspace / "data/stress/scenarios.parquet")
    shift = dict(moved.select("scenario", "shift").unique().iter_rows())
    assert shift["calm"] == 0 and shift["fear"] != 0
    words = (workspace / "data/stress/stress.ipynb").read_text()
    assert "Log-odds for one standard deviation" in words and "FEAR" in words
