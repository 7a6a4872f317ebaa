"""The API under load: latency at ten requests a second, throughput of single statements and of batches, cached answers, a soak.

Serves a finished workspace (its folder as the argument, else a run on the demo panel that is made for it) in one process, and
sends it statements of the panel's own companies with amounts that no request had before; batches are sent to one process, and to
two as the gateway shares them out. Beside the figures stands the plain call in process, measured in the same run.
``--soak SECONDS`` keeps ten times the expected load (100 requests a second) up so long and watches memory, errors and records.
Prints the figures and writes benchmarks/results/service.json; without a soak the last one stays there. Times are of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import polars as pl
import psutil
from api_server import Server, api_server
from conftest import command, new_workspace

from quiebra.api.service import load_prepared_model
from quiebra.io.files import read_json, write_json
from quiebra.services.prediction import STATEMENT_COLUMNS, CompanyStatements, predict
from quiebra.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "service.json"
RATE, SECONDS, CLIENTS, BATCH = 10.0, 20.0, 64, 1000
SOAK_RATE = 100.0
"""Requests a second of the soak: ten times what is expected."""
LIBRARIES = ("fastapi", "uvicorn", "starlette", "polars", "xgboost-cpu", "pydantic", "orjson")


class Statements:
    """Bodies of requests: the latest statements of the panel's companies, each with amounts that no other request has."""

    def __init__(self, workspace: Workspace) -> None:
        table = pl.read_parquet(workspace.panel / "statements.parquet").sort("company_id", "fiscal_year", "available_at")
        latest = table.unique("company_id", keep="last", maintain_order=True).select("company_id", *STATEMENT_COLUMNS)
        self.rows = latest.to_dicts()
        self.random, self.sent = random.Random(1), 0

    def one(self) -> dict[str, Any]:
        row = dict(self.rows[self.sent % len(self.rows)])
        self.sent += 1
        share = 1 + self.random.random() / 10
        amounts = {name: v * share if isinstance(v, float) else v for name, v in row.items() if name != "company_id"}
        return {"company_id": f"load-{self.sent}", "statements": [amounts]}


class Connection:
    """One connection that is kept, with as little work as can be on this side."""

    def __init__(self, server: Server, key: str) -> None:
        self.host, port = server.url.removeprefix("http://").split(":")
        self.port = int(port)
        self.head = f"Host: {self.host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.streams
        writer.write(f"POST {path} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(head[9:12]), await reader.readexactly(length)


def encoded(content: Any) -> bytes:
    return json.dumps(content, default=str).encode()


async def paced(
    connections: list[Connection], bodies: Callable[[], bytes], rate: float, seconds: float
) -> list[tuple[float, int]]:
    """Send at a rate, whatever the answers take; return the time from when each was due, and its status."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for each in connections:
        free.put_nowait(each)
    done: list[tuple[float, int]] = []
    start = time.perf_counter()

    async def send(due: float, body: bytes) -> None:
        connection = await free.get()
        try:
            status, _ = await connection.post("/v1/predict/single", body)
        finally:
            free.put_nowait(connection)
        done.append((time.perf_counter() - due, status))

    tasks = []
    for number in range(int(rate * seconds)):
        due = start + number / rate
        body = bodies()
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(send(due, body)))
    await asyncio.gather(*tasks)
    return done


async def closed(
    connections: list[Connection], path: str, bodies: list[bytes], seconds: float, check: Callable[[bytes], None] | None = None
) -> tuple[int, float]:
    """Keep every connection busy; return how many were answered, and in which time."""
    left, start, count = iter(bodies), time.perf_counter(), 0

    async def run(connection: Connection) -> None:
        nonlocal count
        for body in left:
            status, answer = await connection.post(path, body)
            assert status == 200, (status, answer[:500])
            if check is not None:
                check(answer)
            count += 1
            if time.perf_counter() - start > seconds:
                return

    await asyncio.gather(*(run(connection) for connection in connections))
    return count, time.perf_counter() - start


def quantiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_ms": 1000 * statistics.median(ordered),
        "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
    }


def in_process(workspace: Workspace, statements: Statements) -> dict[str, float]:
    """Return the milliseconds of CPU and the statements a second of the plain call, for one statement and for many."""
    loaded = load_prepared_model(workspace)
    found = {}
    for count, repeats in ((1, 30), (64, 10), (BATCH, 4)):
        groups = [[plain(statements.one()) for _ in range(count)] for _ in range(repeats + 2)]
        predict(loaded, groups[0]), predict(loaded, groups[1])
        cpu, wall = time.process_time(), time.perf_counter()
        for group in groups[2:]:
            predict(loaded, group)
        found[f"cpu_ms_{count}"] = 1000 * (time.process_time() - cpu) / repeats
        found[f"per_second_{count}"] = count * repeats / (time.perf_counter() - wall)
    return found


def plain(body: dict[str, Any]) -> CompanyStatements:
    return CompanyStatements(body["company_id"], body["statements"])


async def measured(server: Server, key: str, statements: Statements) -> dict[str, Any]:
    connections = [Connection(server, key) for _ in range(CLIENTS)]

    def single() -> bytes:
        return encoded(statements.one())

    warm = [single() for _ in range(200)]
    await closed(connections[:8], "/v1/predict/single", warm, 30)
    times = await paced(connections[:8], single, RATE, SECONDS)
    assert all(status == 200 for _, status in times)
    singles = [single() for _ in range(20_000)]
    count, seconds = await closed(connections, "/v1/predict/single", singles, 10)
    again: list[float] = []
    for body in [warm[-1]] * 300:
        start = time.perf_counter()
        _, answer = await connections[0].post("/v1/predict/single", body)
        again.append(time.perf_counter() - start)
    assert b'"cached":true' in answer
    return {
        "ten_a_second": quantiles([each for each, _ in times]),
        "singles_per_second_64_clients": count / seconds,
        "cached": quantiles(again),
    }


async def batches_per_second(servers: list[Server], statements: Statements) -> float:
    """Return the statements a second in batches, of two clients a server."""
    connections = [Connection(server, server.local_key) for server in servers for _ in range(2)]
    warm, bodies = ([encoded([statements.one() for _ in range(BATCH)]) for _ in range(count)] for count in (8, 80))
    await closed(connections, "/v1/predict/batch", warm, 60)
    count, seconds = await closed(connections, "/v1/predict/batch", bodies, 10)
    return BATCH * count / seconds


async def soaked(server: Server, key: str, statements: Statements, seconds: float) -> dict[str, Any]:
    connections = [Connection(server, key) for _ in range(CLIENTS)]
    process = psutil.Process(server.process.pid)
    memory: list[float] = []

    async def watch() -> None:
        while True:
            memory.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(max(0.5, seconds / 100))

    watching = asyncio.create_task(watch())
    answered = await paced(connections, lambda: encoded(statements.one()), SOAK_RATE, seconds)
    watching.cancel()
    return {
        "seconds": seconds,
        "requests": len(answered),
        "not_200": sum(status != 200 for _, status in answered),
        **quantiles([each for each, _ in answered]),
        "memory_mb_by_tenth": [round(statistics.median(part)) for part in parts(memory, 10)],
    }


def parts(values: list[float], count: int) -> list[list[float]]:
    """Return values in so many parts of about one length, in order."""
    ends = [len(values) * number // count for number in range(count + 1)]
    return [values[start:end] for start, end in itertools.pairwise(ends) if end > start]


def recorded(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / "data" / "quiebra.db") as database:
        counts = {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("predicciones_api", "accesos_api")
        }
        twice = "SELECT count(*) FROM (SELECT company_id FROM predicciones_api GROUP BY company_id HAVING count(*) > 1)"
        return {**counts, "doubled": database.execute(twice).fetchone()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", nargs="?", type=Path)
    parser.add_argument("--soak", type=float, default=0.0, help="seconds to keep 100 requests a second up")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = asked.workspace or Path(made) / "workspace"
        if asked.workspace is None:
            new_workspace(folder, {})
            done = command(folder, "quiebra", "run")
            assert done.returncode == 0, done.stderr
        workspace = Workspace(folder.resolve())
        statements = Statements(workspace)
        result: dict[str, Any] = {"versions": {name: version(name) for name in LIBRARIES}}
        result["in_process"] = in_process(workspace, statements)
        with api_server(folder) as server:
            result |= asyncio.run(measured(server, server.local_key, statements))
            result["batch_statements_per_second"] = asyncio.run(batches_per_second([server], statements))
            with api_server(folder, "--no-worker") as second:
                result["batch_statements_per_second_two_processes"] = asyncio.run(
                    batches_per_second([server, second], statements)
                )
            result["memory_mb"] = psutil.Process(server.process.pid).memory_info().rss / 1e6
            if asked.soak:
                before = recorded(folder)
                soak = asyncio.run(soaked(server, server.local_key, statements, asked.soak))
                after = recorded(folder)
                soak["records"] = {name: after[name] - before[name] for name in after}
                result["soak"] = soak
        result["records"] = recorded(folder)
    if not asked.soak and RESULTS.exists():
        result["soak"] = read_json(RESULTS).get("soak")
    write_json(RESULTS, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
