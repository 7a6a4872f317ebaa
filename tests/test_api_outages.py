"""What the API tells is true also where a database, a Redis or a process goes away in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from api_server import Server, api_server, company
from conftest import command, copy_workspace
from servers import eventually, free_port
from sqlalchemy import create_engine, text

from quiebra.api.cache import RedisCache

PLACES = "SELECT company_id FROM predicciones_api"


class Link:
    """A relay to a server on this machine that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self.target, self.listener = port, socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        self.cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut all connections, and refuse new ones."""
        self.cut = True
        for each in self.open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.open.clear()

    def _accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            if self.cut:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self.open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(one, other), daemon=True).start()

    @staticmethod
    def _relay(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            each.close()


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return copy_workspace(finished, tmp_path / "workspace")


def told_during(server: Server, key: str, seconds: float, meanwhile: Callable[[], object]) -> tuple[set[str], list[int]]:
    """Send single statements from four clients until some are answered, and for a time after ``meanwhile``; return the companies that
    were answered, and the statuses."""
    told: set[str] = set()
    statuses: list[int] = []
    with server.client(key) as client:
        client.post("/v1/predict/single", json=company("first"))
    over = threading.Event()

    def send(name: str) -> None:
        number = 0
        with server.client(key) as client:
            while not over.is_set():
                number += 1
                try:
                    answer = client.post("/v1/predict/single", json=company(f"{name}-{number}", revenue=50.0 + number))
                except httpx.TransportError:
                    statuses.append(0)
                    time.sleep(0.05)
                    continue
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    told.add(answer.json()["company_id"])

    senders = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
    for each in senders:
        each.start()
    patience = time.monotonic() + 120
    while len(told) < 6 and time.monotonic() < patience:
        time.sleep(0.05)
    meanwhile()
    time.sleep(seconds)
    over.set()
    for each in senders:
        each.join()
    return told, statuses


def stored(url: str) -> list[str]:
    with create_engine(url).connect() as connection:
        return [row[0] for row in connection.execute(text(PLACES))]


def test_a_killed_server_has_lost_and_doubled_nothing_that_was_told(folder: Path) -> None:
    with api_server(folder) as server:
        told, statuses = told_during(server, server.local_key, 2, lambda: os.kill(server.process.pid, signal.SIGKILL))
    kept = stored(f"sqlite:///{folder / 'data' / 'quiebra.db'}")
    assert len(told) > 5 and 0 in statuses
    assert told <= set(kept) and len(kept) == len(set(kept))


def test_while_the_database_is_away_readers_get_the_last_run_and_predictions_wait(
    folder: Path, postgres: Callable[[str], str]
) -> None:
    url = postgres(f"outage{time.time_ns()}")
    published = command(folder, "quiebra", "publish", QUIEBRA_DATABASE_URL=url)
    assert published.returncode == 0, published.stderr
    link = Link(int(url.rpartition(":")[2].split("/")[0]))
    with api_server(folder, QUIEBRA_DATABASE_URL=url.replace(f":{link.target}/", f":{link.port}/")) as server:
        key = server.local_key
        with server.client(key, **{"Accept-Language": "es"}) as client:
            assert client.get("/v1/companies/SIM-00001").json()["database"] is True
            told, statuses = told_during(server, key, 3, link.close)
            assert 503 in statuses and set(statuses) <= {200, 503}
            away = client.get("/v1/companies/SIM-00001")
            assert away.status_code == 200 and away.json()["database"] is False and away.json()["alerts"] is None
            refused = client.post("/v1/predict/single", json=company("later"))
            assert refused.status_code == 503 and "base de datos" in refused.json()["detail"] and refused.headers["retry-after"]
            assert client.get("/health/ready").status_code == 503
            assert httpx.get(server.url + "/v1/model", headers={"Authorization": "Bearer x"}).status_code in (401, 503)
            link.cut = False
            server.wait("/health/ready", 30)
            assert client.post("/v1/predict/single", json=company("later")).status_code == 200
    kept = stored(url.replace("postgresql://", "postgresql+psycopg://"))
    assert told | {"first", "later"} <= set(kept) and len(kept) == len(set(kept))


@contextlib.contextmanager
def redis_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis server is installed")
    words = [program, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def ask(client: httpx.Client, name: str) -> dict[str, Any]:
    answer = client.post("/v1/predict/single", json=company(name))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_redis_is_shared_and_may_go_and_come(folder: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as servers:
        with redis_server(port):
            place = {"QUIEBRA_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
            one = servers.enter_context(api_server(folder, **place))
            key = one.local_key
            with one.client(key) as client:
                assert ask(client, "shared")["cached"] is False
                assert ask(client, "shared")["cached"] is True
            limited = one.client(key).get("/v1/model").headers
            assert int(limited["ratelimit-remaining"]) < int(limited["ratelimit-limit"]) - 2
        with one.client(key) as client:
            assert ask(client, "shared")["cached"] is False  # Redis is away: computed anew, told all the same
            assert one.client(key).get("/v1/model").headers["ratelimit-remaining"]
            with redis_server(port):
                eventually(lambda: ask(client, "again")["cached"])
    kept = stored(f"sqlite:///{folder / 'data' / 'quiebra.db'}")
    assert sorted(kept) == ["again", "shared"]


def test_a_redis_that_hangs_is_not_waited_for_at_each_request(folder: Path) -> None:
    port = free_port()
    place = {"QUIEBRA_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    with redis_server(port) as redis, api_server(folder, **place) as server, server.client(server.local_key) as client:
        ask(client, "before")
        redis.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert [ask(client, f"meanwhile {n}")["cached"] for n in range(8)] == [False] * 8
        assert time.monotonic() - began < 20, "each of them would have waited for seconds"
        redis.send_signal(signal.SIGCONT)


def test_answers_of_another_database_are_not_taken_from_a_shared_redis() -> None:
    async def kept(port: int) -> list[bytes | None]:
        ours, others = (RedisCache(f"redis://127.0.0.1:{port}/0", 60, name) for name in ("one", "other"))
        await ours.set({"answer": b"1"})
        found = [*await ours.get(["answer"]), *await others.get(["answer"])]
        await others.clear()
        found += await ours.get(["answer"])
        await ours.close()
        await others.close()
        return found

    port = free_port()
    with redis_server(port):
        assert asyncio.run(kept(port)) == [b"1", None, b"1"]


def test_limits_by_rate_and_by_what_is_under_way(folder: Path) -> None:
    content = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    content["api"] = {**content.get("api", {}), "rate_per_key": "12/day", "concurrent_requests": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with api_server(folder) as server, server.client(server.local_key) as client:
        large = [company(f"{n}") for n in range(2000)]
        with ThreadPoolExecutor(6) as senders:
            answers = list(senders.map(lambda _: client.post("/v1/predict/batch", json=large), range(6)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused and {answer.status_code for answer in answers} == {200, 503}
        assert all(answer.headers["retry-after"] == "1" and answer.json()["remedy"] for answer in refused)
        assert client.get("/health/live").status_code == 200
        answers = [client.get("/v1/model") for _ in range(12)]
        left = [int(answer.headers["ratelimit-remaining"]) for answer in answers if answer.status_code == 200]
        assert left == sorted(left, reverse=True) and left[-1] == 0
        assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) > 1 and answers[-1].json()["remedy"]
        assert answers[-1].headers["ratelimit-limit"] == "12" and answers[-1].headers["ratelimit-remaining"] == "0"
        unsigned = server.client(None)
        for path, status in (("/v1/model", 401), ("/v1/nothing", 404)):  # of the address
            answer = unsigned.get(path)
            assert answer.status_code == status and int(answer.headers["ratelimit-remaining"]) > 0


def test_a_new_champion_answers_without_a_restart(folder: Path) -> None:
    with api_server(folder) as server, server.client(server.local_key) as client:
        before = client.post("/v1/predict/single", json=company("x")).json()
        params = (folder / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(params.replace("reasons: 3", "reasons: 1"), encoding="utf-8")
        after = client.post("/v1/predict/single", json=company("x")).json()
        assert after["cached"] is False and after["prediction_id"] != before["prediction_id"]
        assert after["pd_12m"] == before["pd_12m"]
