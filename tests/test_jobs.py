"""Jobs of the API, with a real server and real workers: nothing is lost or doubled, whoever is killed."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import sqlalchemy as sa
import yaml
from api_server import Server, api_server, company
from conftest import command, copy_workspace, environment
from test_registry import decided

from quiebra import store
from quiebra.api.jobs.files import COMPANIES_PER_PART, LONGEST_LINE, PART_BYTES, JobFiles, Upload, next_part
from quiebra.api.jobs.rows import count_attempt, new_job, own_job, queue_job, store_part
from quiebra.api.jobs.worker import MOST_ATTEMPTS, JobWorker
from quiebra.errors import WorkspaceError
from quiebra.identity import create_key
from quiebra.items import ITEM_NAMES
from quiebra.store.lease import LeaseLost, hold_lease
from quiebra.store.retention import job_lease
from quiebra.store.tables import LeaseRow
from quiebra.workspace import Workspace

NDJSON = {"Content-Type": "application/x-ndjson"}
COMPANIES = 1200
PARTS = -(-COMPANIES // COMPANIES_PER_PART)


def companies(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [company(f"C-{n:05d}", revenue=50.0 + n % 97, total_assets=100.0 + n) for n in range(first, first + count)]


def lines(asked: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in asked)


class Place:
    """A workspace with keys of two systems, on SQLite or PostgreSQL."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.variables = {} if url is None else {"QUIEBRA_DATABASE_URL": url}
        self.engine = store.connect(url or f"sqlite:///{folder}/data/quiebra.db")
        store.upgrade_schema(self.engine)
        self.keys = {name: create_key(self.engine, name, ["read", "predict"], 10, "an admin") for name in ("treasury", "sales")}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        words = [sys.executable, "-m", "quiebra.cli", "work"]
        with (self.folder / "worker.log").open("a") as out:
            process = subprocess.Popen(words, cwd=self.folder, env=environment(**self.variables), stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = copy_workspace(finished, tmp_path_factory.mktemp("jobs") / "workspace")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["api"] |= {"job_megabytes": 3, "waiting_jobs": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Place(folder)


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[Server]:
    with api_server(place.folder, "--no-worker") as running:
        yield running


@pytest.fixture
def treasury(server: Server, place: Place) -> Iterator[httpx.Client]:
    with server.client(place.keys["treasury"]) as client:
        yield client


@pytest.fixture
def sales(server: Server, place: Place) -> Iterator[httpx.Client]:
    with server.client(place.keys["sales"]) as client:
        yield client


def send(client: httpx.Client, body: bytes, **headers: str) -> str:
    answer = client.post("/v1/jobs", content=body, headers={**NDJSON, **headers})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job_id']}"
    return str(answer.json()["job_id"])


def wait(
    client: httpx.Client, job: str, until: Callable[[dict[str, Any]], bool] = lambda job: job["ended_at"] is not None
) -> Any:
    end = time.monotonic() + 300
    while time.monotonic() < end:
        found = client.get(f"/v1/jobs/{job}").json()
        if until(found):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def results(client: httpx.Client, job: str, **headers: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/jobs/{job}/results", headers=headers)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def assert_whole(place: Place, job: str, found: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    """Every line has one result, every prediction told is stored once, and the job has one access record."""
    assert [row["line"] for row in found] == list(range(1, len(asked) + 1))
    assert [row["company_id"] for row in found] == [one["company_id"] for one in asked]
    ids = [row["prediction_id"] for row in found]
    names = ", ".join(f"'{one['company_id']}'" for one in asked)
    stored = place.rows(f"SELECT prediction_id FROM predicciones_api WHERE company_id IN ({names})")
    assert sorted(name for (name,) in stored) == sorted(ids) and len({*ids}) == len(ids)
    ((sha256,),) = place.rows(f"SELECT input_sha256 FROM trabajos WHERE job_id = '{job}'")
    assert place.rows(f"SELECT who, companies, route FROM accesos_api WHERE input_sha256 = '{sha256}'") == [
        ("key treasury", len(asked), "jobs")
    ]


def test_a_job_answers_what_a_batch_answers_in_three_formats_and_two_languages(treasury: httpx.Client, place: Place) -> None:
    asked = companies(COMPANIES)
    job = send(treasury, lines(asked))
    queued = treasury.get(f"/v1/jobs/{job}").json()
    assert (queued["state"], queued["companies"], queued["done"], queued["results"]) == ("queued", COMPANIES, 0, None)
    early = treasury.get(f"/v1/jobs/{job}/results", headers={"Accept-Language": "es"})
    assert early.status_code == 409 and "queued" in early.json()["detail"]
    with place.worker():
        ended = wait(treasury, job)
    assert (ended["state"], ended["done"], ended["failed"], ended["problem"]) == ("done", COMPANIES, 0, None)
    assert ended["queued_at"] <= ended["started_at"] <= ended["ended_at"]
    for language in ("en", "es"):
        told = results(treasury, job, **{"Accept-Language": language})
        batch = treasury.post("/v1/predict/batch", json=asked, headers={"Accept-Language": language}).json()["results"]
        left = {"cached", "line"}
        assert [{k: v for k, v in row.items() if k not in left} for row in told] == [
            {k: v for k, v in row.items() if k not in left} for row in batch
        ]
        address = f"/v1/jobs/{job}/results"
        comma = treasury.get(address, headers={"Accept": "text/csv", "Accept-Language": language})
        parquet = treasury.get(address, params={"format": "parquet"}, headers={"Accept-Language": language})
        assert comma.headers["content-type"].startswith("text/csv") and comma.headers["content-language"] == language
        table = pl.read_parquet(io.BytesIO(parquet.content))
        spread = pl.read_csv(io.StringIO(comma.text), schema=table.schema)
        assert table.equals(spread)
        assert table["pd_12m"].to_list() == [row["pd_12m"] for row in told]
        assert table["reasons"][0].startswith(next(r["text"] for r in told[0]["reasons"] if r["kind"] == "raises"))
    assert_whole(place, job, told, asked)


def test_a_table_of_results_says_what_quiebra_score_says_of_the_same_file(treasury: httpx.Client, place: Place) -> None:
    statements = pl.read_parquet(place.folder / "data/panel/statements.parquet").sort("company_id", "fiscal_year", "available_at")
    last = statements.unique("company_id", keep="last", maintain_order=True)
    told = last.select("company_id", "fiscal_year", "period_end", "available_at", *ITEM_NAMES)
    told.write_csv(place.folder / "statements.csv")
    done = command(place.folder, "quiebra", "score", "statements.csv", "--out", "scored.parquet")
    assert done.returncode == 0, done.stderr
    score = pl.read_parquet(place.folder / "scored.parquet").sort("company_id")
    asked = [
        {
            "company_id": row.pop("company_id"),
            "statements": [{k: str(v) if "_at" in k or "_end" in k else v for k, v in row.items()}],
        }
        for row in told.iter_rows(named=True)
    ]
    job = send(treasury, lines(asked))
    with place.worker():
        wait(treasury, job)
    for language, end in (("en", ""), ("es", "_es")):
        answer = treasury.get(f"/v1/jobs/{job}/results?format=parquet", headers={"Accept-Language": language})
        table = pl.read_parquet(io.BytesIO(answer.content)).sort("company_id")
        same = [name for name in table.columns if name in score.columns and name not in ("reasons", "strengths", "gaps")]
        assert len(same) > 15 and table.select(same).equals(score.select(same))
        for name in ("reasons", "strengths", "gaps"):
            assert table[name].to_list() == score[f"{name}{end}"].to_list()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_workers_that_are_killed_lose_and_double_nothing(
    database: str, finished: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = copy_workspace(finished, tmp_path / "workspace")
    place = Place(folder, request.getfixturevalue("postgres")("jobs") if database == "postgres" else None)
    asked, seen, draw = companies(6000), set(), random.Random(18)
    with api_server(folder, "--no-worker", **place.variables) as server, server.client(place.keys["treasury"]) as client:
        job = send(client, lines(asked))
        for _ in range(4):
            with place.worker() as process:
                at = client.get(f"/v1/jobs/{job}").json()["done"]
                wait(client, job, lambda job, at=at: job["done"] > at or job["ended_at"] is not None)  # type: ignore[misc]
                time.sleep(draw.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
                process.wait()
            seen.add(client.get(f"/v1/jobs/{job}").json()["done"])
        assert len(seen) > 2 and min(seen) < len(asked), seen
        with place.worker(), place.worker():
            ended = wait(client, job)
        assert (ended["state"], ended["done"], ended["failed"]) == ("done", len(asked), 0)
        assert_whole(place, job, results(client, job), asked)
    parts = sorted(path.name for path in (folder / "data/jobs" / job).glob("*"))
    assert parts == ["input.ndjson", *(f"part-{n:05d}.ndjson" for n in range(12))]
    assert (folder / "data/jobs" / job).stat().st_mode & 0o077 == 0


def test_a_worker_that_wakes_up_after_another_took_its_place_changes_nothing(treasury: httpx.Client, place: Place) -> None:
    """The part of a stopped worker is finished by another as soon as its lease is free; the first one's writes are refused."""
    job = send(treasury, lines(companies(20, 50_000)))
    with hold_lease(place.engine, job_lease(job)) as lease:
        count_attempt(lease)
        with place.engine.begin() as connection:  # as if it had been silent for too long
            connection.execute(sa.update(LeaseRow).where(LeaseRow.name == lease.name).values(holder=None, token=lease.token + 1))
        with place.worker():
            wait(treasury, job)
        files = JobFiles(place.folder / "data/jobs" / job)
        before = files.part(0).read_bytes()
        assert files.keep_part(0, [{"line": 1}]) == [json.loads(line) for line in before.splitlines()]
        assert files.part(0).read_bytes() == before
        with pytest.raises(LeaseLost):
            store_part(lease, [], done=1)
    assert wait(treasury, job)["done"] == 20


def test_two_workers_share_what_is_waiting(treasury: httpx.Client, place: Place) -> None:
    asked = [companies(600, 10_000 * n) for n in range(6, 9)]
    jobs = [send(treasury, lines(one)) for one in asked]
    with place.worker(), place.worker():
        wait(treasury, jobs[0], lambda job: job["state"] != "queued")
        both = {wait(treasury, job)["state"] for job in jobs}
    assert both == {"done"}
    for job, one in zip(jobs, asked, strict=True):
        assert_whole(place, job, results(treasury, job), one)


def test_bad_lines_are_named_and_stop_nothing(treasury: httpx.Client, place: Place) -> None:
    body = b"\n".join(
        [
            json.dumps(company("good")).encode(),
            b"",
            b"{",
            b"[]",
            json.dumps(company("typo", total_asets=1.0)).encode(),
            json.dumps(company("=1+1", total_assets=-5.0)).encode(),
            b'{"company_id": "long", "name": "' + b"x" * LONGEST_LINE + b'"}',
            b"  \r",
            b"\xff\xfe",
            json.dumps(company("last")).encode(),
            b'{"company_id": "one", "company_id": "two"}',
        ]
    )
    job = send(treasury, body)
    with place.worker():
        ended = wait(treasury, job)
    assert (ended["state"], ended["companies"], ended["done"], ended["failed"]) == ("done", 9, 9, 7)
    told = results(treasury, job)
    assert [row["line"] for row in told] == [1, 3, 4, 5, 6, 7, 9, 10, 11]
    assert [row["company_id"] for row in told] == ["good", None, None, "typo", "=1+1", None, None, "last", "two"]
    assert "pd_12m" in told[0] and "pd_12m" in told[-2]
    assert told[-1]["problem"].startswith("company_id: given more than once")
    assert told[3]["problem"] == "statements[0].total_asets: no field of this name is read"
    assert "total_assets" in told[4]["problem"] and "2 MB" in told[5]["problem"]
    spanish = results(treasury, job, **{"Accept-Language": "es"})
    assert spanish[3]["problem"] != told[3]["problem"] and spanish[5]["problem"] != told[5]["problem"]
    table = treasury.get(f"/v1/jobs/{job}/results?format=csv").text
    assert "'=1+1" in table and "no field of this name" in table


def test_blank_lines_without_end_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "input.ndjson"
    line = json.dumps(company("after them")).encode()
    path.write_bytes(b"\n" * (PART_BYTES + 100) + line + b"\n")
    assert next_part(path, 0, 0).rows == [(PART_BYTES + 101, line + b"\n")]


def test_what_is_no_job_is_refused_and_leaves_no_file(treasury: httpx.Client, place: Place) -> None:
    before = {path.name for path in (place.folder / "data/jobs").glob("*")}
    big = treasury.post("/v1/jobs", content=b" " * 3_000_001, headers=NDJSON)
    streamed = treasury.post("/v1/jobs", content=itertools.repeat(b" " * 100_000, 31), headers=NDJSON)
    for answer in (big, streamed):
        assert answer.status_code == 413 and "several jobs" in answer.json()["remedy"], answer.text
    assert treasury.post("/v1/jobs", content=b"\n \n", headers=NDJSON).status_code == 422
    assert treasury.post("/v1/jobs", json=companies(1)).status_code == 415
    assert {path.name for path in (place.folder / "data/jobs").glob("*")} == before


def test_a_job_is_its_owners_alone(treasury: httpx.Client, sales: httpx.Client, place: Place) -> None:
    job = send(treasury, lines(companies(1)))
    for method, path in (("GET", ""), ("GET", "/results"), ("DELETE", "")):
        assert sales.request(method, f"/v1/jobs/{job}{path}").status_code == 404
    assert sales.get("/v1/jobs/no-such%00job").status_code == 404
    cancelled = treasury.delete(f"/v1/jobs/{job}")
    assert cancelled.json()["state"] == "cancelled"
    assert treasury.get("/v1/jobs").json()["jobs"][0] == cancelled.json()
    assert job not in {each["job_id"] for each in sales.get("/v1/jobs").json()["jobs"]}


def test_a_cancelled_job_is_scored_no_further(treasury: httpx.Client, place: Place) -> None:
    job = send(treasury, lines(companies(5000, 100_000)))
    with place.worker():
        wait(treasury, job, lambda job: job["done"] > 0)
        cancelled = treasury.delete(f"/v1/jobs/{job}").json()
        assert cancelled["state"] == "cancelled" and 0 < cancelled["done"] < 5000
        after = send(treasury, lines(companies(1, 200_000)))
        wait(treasury, after)
        assert treasury.get(f"/v1/jobs/{job}").json()["done"] == cancelled["done"]
    ((stored,),) = place.rows("SELECT count(*) FROM predicciones_api WHERE company_id BETWEEN 'C-100000' AND 'C-104999'")
    assert stored == cancelled["done"]
    assert treasury.get(f"/v1/jobs/{job}/results").status_code == 409
    assert treasury.delete(f"/v1/jobs/{after}").status_code == 409


def test_a_job_that_is_sent_again_with_its_key_is_one_job_and_too_many_wait_for_each_other(
    treasury: httpx.Client, place: Place
) -> None:
    body = lines(companies(2))
    first, again = (send(treasury, body, **{"Idempotency-Key": "one-file-of-ours"}) for _ in range(2))
    assert first == again
    other = treasury.post("/v1/jobs", content=body + body, headers={**NDJSON, "Idempotency-Key": "one-file-of-ours"})
    assert other.status_code == 422
    more = [send(treasury, body) for _ in range(3)]
    refused = treasury.post("/v1/jobs", content=body, headers=NDJSON)
    assert refused.status_code == 429 and "DELETE" in refused.json()["remedy"]
    for job in (first, *more):
        treasury.delete(f"/v1/jobs/{job}")
    known = {name for (name,) in place.rows("SELECT job_id FROM trabajos")}
    assert {path.name for path in (place.folder / "data/jobs").glob("*")} == known


def test_a_job_ends_with_the_model_that_it_began_with_or_says_why_not(finished: Path, tmp_path: Path) -> None:
    place = Place(copy_workspace(finished, tmp_path / "workspace"))
    workspace, asked = Workspace(place.folder), companies(3000)

    def begun(client: httpx.Client) -> str:
        job = send(client, lines(asked))
        with place.worker():
            wait(client, job, lambda job: job["done"] > 0)
        return job

    with api_server(place.folder, "--no-worker") as server, server.client(place.keys["treasury"]) as client:
        first = begun(client)
        model = client.get(f"/v1/jobs/{first}").json()["model_id"]
        other, _ = decided(workspace, "second")
        with place.worker():
            ended = wait(client, first)
        assert (ended["state"], ended["done"], ended["model_id"]) == ("done", 3000, model) and other != model
        assert {row["model"]["model_id"] for row in results(client, first)} == {model}
        second = begun(client)
        assert client.get(f"/v1/jobs/{second}").json()["model_id"] == other
        decided(workspace, "third")
        shutil.rmtree(workspace.registry / other)
        with place.worker():
            ended = wait(client, second)
        assert ended["state"] == "failed" and 0 < ended["done"] < 3000
        assert other in ended["problem"] and "not kept in models/registry" in ended["problem"]
        assert "El modelo" in client.get(f"/v1/jobs/{second}", headers={"Accept-Language": "es"}).json()["problem"]


def test_a_job_waits_for_a_model_and_is_given_up_once_its_workers_have_died_again_and_again(
    finished: Path, tmp_path: Path
) -> None:
    place = Place(copy_workspace(finished, tmp_path / "workspace"))
    workspace = Workspace(place.folder)
    worker = JobWorker(workspace, threading.Event(), lambda line: None)

    def queued() -> str:
        upload = Upload(workspace.jobs, 1_000_000)
        upload.add(lines(companies(3)))
        upload.finish()
        job = {"job_id": upload.job_id, "who": "key treasury", "companies": 3, "input_sha256": upload.sha256}
        queue_job(place.engine, new_job(**job, correlation_id=None), 10)
        return upload.job_id

    waiting, champion = queued(), place.folder / "models/champion.json"
    champion.rename(tmp_path / "champion.json")
    for _ in range(MOST_ATTEMPTS + 5):
        with pytest.raises(WorkspaceError):
            worker.work_once()
    (tmp_path / "champion.json").rename(champion)
    assert worker.work_once() and own_job(place.engine, waiting, "key treasury").state == "done"
    deadly = queued()
    for _ in range(MOST_ATTEMPTS):  # as each worker does that is killed before it has done a part
        with hold_lease(place.engine, job_lease(deadly)) as lease:
            count_attempt(lease)
    assert worker.work_once()
    job = own_job(place.engine, deadly, "key treasury")
    assert job.state == "failed" and "line 1 " in job.error["en"]
    assert not worker.work_once()


def test_serve_works_on_jobs_and_its_worker_ends_with_it(finished: Path, tmp_path: Path) -> None:
    place = Place(copy_workspace(finished, tmp_path / "workspace"))

    def workers(parent: int) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(parent), "-f", "quiebra.cli work"], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    with api_server(place.folder) as server, server.client(place.keys["treasury"]) as client:
        (worker,) = workers(server.process.pid)
        job = send(client, lines(companies(2000)))
        wait(client, job, lambda job: job["done"] > 0)
        os.kill(worker, signal.SIGKILL)  # another is started
        assert wait(client, job)["state"] == "done"
        assert_whole(place, job, results(client, job), companies(2000))
        (worker,) = workers(server.process.pid)
        server.process.kill()
        end = time.monotonic() + 30
        while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert not Path(f"/proc/{worker}").exists()


def test_old_jobs_are_deleted_with_their_files(treasury: httpx.Client, place: Place) -> None:
    old, young = (send(treasury, lines(companies(1, n))) for n in (300_000, 300_001))
    with place.worker():
        wait(treasury, old)
        wait(treasury, young)
    treasury.get(f"/v1/jobs/{old}/results?format=parquet")
    long_ago = time.time() - 40 * 86400
    folder = place.folder / "data/jobs"
    (folder / "cut-off").mkdir()
    for path in (folder / old / "input.ndjson", folder / "cut-off"):
        os.utime(path, (long_ago, long_ago))
    with sqlite3.connect(place.folder / "data/quiebra.db") as connection:
        connection.execute("UPDATE trabajos SET ended_at = '2020-01-01 00:00:00' WHERE job_id = ?", [old])
    pruned = command(place.folder, "quiebra", "audit", "prune")
    assert pruned.returncode == 0, pruned.stderr
    assert treasury.get(f"/v1/jobs/{old}").status_code == 404
    assert not (folder / old).exists() and not (folder / "cut-off").exists() and (folder / young).exists()
    assert treasury.get(f"/v1/jobs/{young}").status_code == 200
    assert store.verify_chain(store.connect(f"sqlite:///{place.folder}/data/quiebra.db")).faults == []
