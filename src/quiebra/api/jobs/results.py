"""Results of jobs in three formats, read part by part, so that no size of a job fills the memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from quiebra.api.jobs.files import JobFiles
from quiebra.api.problems import ApiError
from quiebra.api.records import texts_in_language
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.io.exports import to_csv
from quiebra.io.files import write_atomically
from quiebra.models.term import PD_COLUMNS
from quiebra.risk import reasons_in_words

FORMATS = {"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
GONE = "The files of this job are no longer kept."
PARTS_PER_GROUP = 20
"""Parts of a row group of Parquet."""
PD_RANGE = ["pd_12m", "pd_12m_low", "pd_12m_high", *PD_COLUMNS[1:]]
SCHEMA: dict[str, Any] = {
    "company_id": pl.String,
    "name": pl.String,
    "fiscal_year": pl.Int32,
    **dict.fromkeys(PD_RANGE, pl.Float64),
    "rating": pl.String,
    "watch": pl.Boolean,
    "scorer": pl.String,
    **{column: kind for score in ALTMAN_SCORES for column, kind in ((score, pl.Float64), (f"{score}_zone", pl.String))},
    **dict.fromkeys(("reason_codes", "reasons", "strengths", "gaps", "notes", "problem"), pl.String),
    "line": pl.Int64,
    "model_id": pl.String,
    "run_id": pl.String,
    "prediction_id": pl.String,
}
"""Columns of a table of results: those of `quiebra score`, with the texts in one language, then what belongs to the job."""


def asked_format(given: str | None, accept: str) -> str:
    """Return the format that is asked for: ``given``, else the first of Accept that there is, else NDJSON. ApiError (406)."""
    if given is not None:
        return given
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")[:20]]
    for kind in kinds:
        for name, own in FORMATS.items():
            if kind == own:
                return name
    if not {"*/*", "application/*", ""}.isdisjoint(kinds):
        return "ndjson"
    raise ApiError(406, "Results come as {kinds}.", kinds=", ".join(FORMATS.values()))


def require_parts(files: JobFiles, count: int) -> None:
    """Raise ApiError (404) where files of results are missing."""
    if not all(files.part(number).is_file() for number in range(count)):
        raise ApiError(404, GONE)


def as_ndjson(files: JobFiles, count: int, language: str) -> Iterator[bytes]:
    """Yield one JSON object a line of the input: ``line``, and what a batch answers, in the order of the input."""
    for rows in _parts(files, count):
        yield b"".join(orjson.dumps(_entry(row, language)) + b"\n" for row in rows)


def as_csv(files: JobFiles, count: int, language: str) -> Iterator[bytes]:
    """Yield a table as CSV, with texts guarded as in every file for spreadsheets."""
    header = True
    for rows in _parts(files, count):
        yield to_csv(results_table(rows, language), header=header).encode()
        header = False


def write_parquet(files: JobFiles, count: int, language: str) -> Path:
    """Write a table as Parquet beside the parts, unless it is there, and return its path."""
    path = files.folder / f"results-{language}.parquet"
    if path.is_file():
        return path

    def write(partial: Path) -> None:
        schema = results_table([], language).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            parts = _parts(files, count)
            while group := list(islice(parts, PARTS_PER_GROUP)):
                table = results_table([row for rows in group for row in rows], language)
                writer.write_table(pa.table(table.to_arrow(compat_level=pl.CompatLevel.oldest())))

    return write_atomically(path, write, private=True)


def _parts(files: JobFiles, count: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the parts. ApiError where one is gone: results that end early must not look whole."""
    for number in range(count):
        if (rows := files.read_part(number)) is None:
            raise ApiError(404, GONE)
        yield rows


def _entry(row: dict[str, Any], language: str) -> dict[str, Any]:
    """Return a result as it is answered."""
    if "prediction" in row:
        return {"line": row["line"], **texts_in_language(row["prediction"], language)}
    return {**row, "problem": row["problem"][language]}


def results_table(rows: list[dict[str, Any]], language: str) -> pl.DataFrame:
    """Return results as a table with the columns of `SCHEMA`, in the order of the input."""
    entries = [_entry(row, language) for row in rows]
    table = pl.DataFrame([_flat(entry) for entry in entries], schema=SCHEMA, orient="row")
    texts = ("reason_codes", "reasons", "strengths", "gaps")
    words = _reasons(entries)
    joined = table.drop(texts).join(words, on="line", how="left", maintain_order="left") if words is not None else table
    return joined.select(*SCHEMA)


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a result but for its reasons."""
    if "problem" in entry:
        return {name: entry.get(name) for name in SCHEMA}
    altman = {name: entry["altman"][name]["value"] for name in ALTMAN_SCORES}
    zones = {f"{name}_zone": entry["altman"][name]["zone"] for name in ALTMAN_SCORES}
    own = {"fiscal_year": entry["scored"]["fiscal_year"], "notes": "; ".join(entry["notes"]) or None}
    named = {name: entry["model"][name] for name in ("model_id", "run_id")}
    flat = {name: entry.get(name) for name in SCHEMA}
    return {**flat, "reasons": None, **altman, **zones, **own, **named}


def _reasons(entries: list[dict[str, Any]]) -> pl.DataFrame | None:
    """Return the reasons of each line in words; None where there are none."""
    rows = [
        (entry["line"], reason["kind"], rank, reason["code"], reason["text"], reason["text"])
        for entry in entries
        if "problem" not in entry
        for rank, reason in enumerate(entry["reasons"])
    ]
    if not rows:
        return None
    texts = dict.fromkeys(("code", "text", "text_es"), pl.String)
    columns = {"company_id": pl.Int64, "kind": pl.String, "rank": pl.Int64, **texts}
    words = reasons_in_words(pl.DataFrame(rows, schema=columns, orient="row"))
    return words.select("reason_codes", "reasons", "strengths", "gaps", line="company_id")
