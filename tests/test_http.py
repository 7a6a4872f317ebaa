"""The client of data services against servers that refuse, cut off, lie or change, and its store against kills."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from email.utils import format_datetime
from pathlib import Path

import pytest
import stamina
from conftest import ROOT
from service_stand_in import Reply, Request, in_order, running_service

from quiebra.errors import FetchError, FetchStoppedError
from quiebra.sources import rate_limits
from quiebra.sources.http import ATTEMPTS, Client, Service
from quiebra.sources.rate_limits import RateLimit
from quiebra.sources.raw_store import RawStore

pytestmark = pytest.mark.slow
OPEN = Service("open", rates=((1000, 1.0),))
KEYED = Service("keyed", rates=((1000, 1.0),), key="QUIEBRA_FRED_KEY", key_parameter="api_key")
KEY = "s3cr3t/key+1"


@pytest.fixture(autouse=True)
def own_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("QUIEBRA_FRED_KEY", KEY)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def zipped(size: int = 3_000_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("num.txt", os.urandom(size))
    return buffer.getvalue()


def test_an_answer_is_kept_as_it_came_and_asked_for_once(tmp_path: Path) -> None:
    body = b'{"value": "1.5"}'
    with running_service(in_order(Reply(body, headers={"ETag": '"a"'}))) as service:
        for first in (True, False):
            with Client(OPEN, RawStore(tmp_path / "open")) as client:
                assert client.fetch("one/answer.json", f"{service.address}/x", {"id": "A B"}) is first
    store = RawStore(tmp_path / "open")
    assert store.read("one/answer.json") == body and store.names("one/") == ["one/answer.json"]
    kept = store.answer("one/answer.json")
    assert kept is not None and kept.address == f"{service.address}/x?id=A+B" and (kept.status, kept.etag) == (200, '"a"')
    assert gzip.compress(body, mtime=0) == store.path("one/answer.json").read_bytes(), "the same bytes for the same answer"
    assert len(service.requests) == 1


def test_what_there_is_not_is_noted_and_not_asked_for_again(tmp_path: Path) -> None:
    with running_service(in_order(Reply(status=404))) as service:
        for _ in range(2):
            with Client(OPEN, RawStore(tmp_path)) as client:
                client.fetch("none.json", f"{service.address}/x")
                assert "none.json" in client.store and client.store.names() == []
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "bad",
    [
        Reply(status=500),
        Reply(status=503, headers={"Retry-After": "1"}),
        Reply(status=429),
        Reply(b"0123456789", cut=4),
        Reply(b"no gzip at all", headers={"Content-Encoding": "gzip"}),
        Reply(gzip.compress(b"x" * 1000)[:20], headers={"Content-Encoding": "gzip"}),
        Reply(gzip.compress(os.urandom(1000))[:500], headers={"Content-Encoding": "gzip"}),
    ],
    ids=["500", "503 with a time", "429", "cut body", "no gzip", "cut gzip", "half a gzip"],
)
def test_what_passes_is_asked_for_again(tmp_path: Path, no_waits: None, bad: Reply) -> None:
    with running_service(in_order(bad, bad, Reply(b"good"))) as service, Client(OPEN, RawStore(tmp_path)) as client:
        client.fetch("a.json", f"{service.address}/x")
        assert client.store.read("a.json") == b"good"
    assert len(service.requests) == 3


def test_a_server_that_never_answers_well_is_left_and_nothing_is_kept(tmp_path: Path, no_waits: None) -> None:
    with running_service(in_order(Reply(status=502))) as service, Client(OPEN, RawStore(tmp_path)) as client:
        with pytest.raises(FetchError, match=f"answers 502; asked {ATTEMPTS} times"):
            client.fetch("a.json", f"{service.address}/x")
        assert "a.json" not in client.store
    with Client(OPEN, RawStore(tmp_path)) as client, pytest.raises(FetchError, match="the connection failed"):
        client.fetch("a.json", f"{service.address}/x")  # nobody listens there any more


@pytest.mark.parametrize("by_date", [False, True])
def test_a_long_wait_stops_says_until_when_and_is_kept_by_later_processes(tmp_path: Path, by_date: bool) -> None:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1800)
    told = format_datetime(moment, usegmt=True) if by_date else "1800"
    until = rf"Ask again after {moment.astimezone():%Y-%m-%d %H:}"
    with running_service(in_order(Reply(status=429, headers={"Retry-After": told}))) as service:
        for _ in range(2):
            with Client(OPEN, RawStore(tmp_path)) as client, pytest.raises(FetchStoppedError, match=until):
                client.fetch("a.json", f"{service.address}/x")
    assert len(service.requests) == 1, "the second process did not ask"


def test_a_time_noted_by_a_clock_that_was_wrong_is_forgotten(tmp_path: Path) -> None:
    with running_service(in_order(Reply(b"good"))) as service:
        host = service.address.removeprefix("http://").replace(":", "_")
        path = rate_limits.limits_folder() / f"{host}.until"
        for noted in (dt.datetime(2099, 1, 1, tzinfo=dt.UTC).isoformat(), "what?"):
            path.write_text(f"{noted}\nits limit\n")
            with Client(OPEN, RawStore(tmp_path)) as client:
                client.fetch(f"{noted[:4]}.json", f"{service.address}/x")
            assert not path.exists()


def test_rates_hold_over_processes_and_a_daily_one_stops(tmp_path: Path) -> None:
    slow, daily = RateLimit("slow", "slow.example", ((4, 1.0),)), RateLimit("daily", "daily.example", ((2, 86_400.0),))
    program = "from quiebra.sources.rate_limits import RateLimit; limit = RateLimit('slow', 'slow.example', ((4, 1.0),))\nfor _ in range(4): limit.wait()"
    begun = time.monotonic()
    other = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    for _ in range(5):
        slow.wait()
    assert other.wait(timeout=60) == 0
    assert time.monotonic() - begun > 1.9, "nine requests, four a second"
    daily.wait()
    daily.wait()
    with pytest.raises(FetchStoppedError, match="its limit of requests is reached"):
        daily.wait()


def test_a_clock_that_is_set_back_blocks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    limit = RateLimit("x", "x.example", ((2, 3600.0),))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 7_200_000_000_000)
    limit.wait()
    limit.wait()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    limit.wait()
    assert time.monotonic() - begun < 30


def test_no_key_is_anywhere(tmp_path: Path, no_waits: None, capfd: pytest.CaptureFixture[str]) -> None:
    told = json.dumps({"Information": f"your key {KEY} is fine"}).encode()

    def answer(request: Request) -> Reply:
        assert request.params["api_key"] == KEY
        return {"/good": Reply(told), "/bad": Reply(told, status=400)}.get(request.path, Reply(status=500))

    with running_service(answer) as service, Client(KEYED, RawStore(tmp_path / "keyed")) as client:
        client.fetch("good.json", f"{service.address}/good", {"series": "A"})
        said = []
        for path in ("/bad", "/worse"):
            with pytest.raises(FetchError) as caught:
                client.fetch("x.json", f"{service.address}{path}", {"series": "A"})
            said += [str(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
    with Client(KEYED, RawStore(tmp_path / "keyed")) as client, pytest.raises(FetchError) as caught:
        client.fetch("x.json", f"{service.address}/gone")
    said.append(str(caught.value))
    texts = [*said, *capfd.readouterr()]
    texts += [(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode(errors="replace")
              for file in tmp_path.rglob("*") if file.is_file()]  # fmt: skip
    assert not [text for text in texts if KEY in text or "s3cr3t%2Fkey%2B1" in text]


def test_a_key_that_is_not_set_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUIEBRA_FRED_KEY")
    with pytest.raises(FetchError, match="keyed needs a key: set QUIEBRA_FRED_KEY"):
        Client(KEYED, RawStore(tmp_path))


def test_a_key_does_not_follow_to_another_place(tmp_path: Path) -> None:
    with running_service(in_order(Reply(b"stolen"))) as other:
        moved = Reply(status=302, headers={"Location": f"{other.address}/y"})
        refused = pytest.raises(FetchError, match="answers 302")
        with running_service(in_order(moved)) as service, Client(KEYED, RawStore(tmp_path)) as client, refused:
            client.fetch("a.json", f"{service.address}/x")
    assert other.requests == []


def test_a_bulk_file_goes_on_where_it_was_cut_off(tmp_path: Path, no_waits: None) -> None:
    body = zipped()
    sent: list[int] = []

    def answer(request: Request) -> Reply:
        sent.append(int(re.sub(r"\D", "", request.headers.get("Range", "0"))))
        return Reply(body, headers={"ETag": '"v1"'}, ranges=True, cut=None if len(sent) == 3 else 1_200_000)

    with running_service(answer) as service, Client(OPEN, RawStore(tmp_path)) as client:
        seen: list[tuple[int, int | None]] = []
        assert client.download("a.zip", f"{service.address}/a.zip", lambda *how_far: seen.append(how_far))
        assert client.store.read("a.zip") == body and seen[-1] == (len(body), len(body))
        assert not client.download("a.zip", f"{service.address}/a.zip")
        assert not client.download("a.zip", f"{service.address}/a.zip", again=True), "it has not changed"
    assert sent[0] == 0 and sent[1] > 1_000_000 and sent[2] > sent[1]


def test_a_bulk_file_that_changed_meanwhile_is_fetched_whole(tmp_path: Path, no_waits: None) -> None:
    old, new = zipped(), zipped()
    replies = in_order(
        Reply(old, headers={"ETag": '"v1"'}, ranges=True, cut=1_500_000), Reply(new, headers={"ETag": '"v2"'}, ranges=True)
    )
    with running_service(replies) as service, Client(OPEN, RawStore(tmp_path)) as client:
        client.download("a.zip", f"{service.address}/a.zip")
        assert client.store.read("a.zip") == new


def test_what_is_no_zip_file_is_not_kept(tmp_path: Path) -> None:
    with running_service(in_order(Reply(b"<html>maintenance</html>"))) as service, Client(OPEN, RawStore(tmp_path)) as client:
        with pytest.raises(FetchError, match="is no zip file"):
            client.download("a.zip", f"{service.address}/a.zip")
        assert "a.zip" not in client.store and list(tmp_path.glob("*.partial*")) == []


def test_one_process_fetches_at_a_time(tmp_path: Path) -> None:
    with (
        Client(OPEN, RawStore(tmp_path)),
        pytest.raises(FetchError, match="another process is fetching"),
        Client(OPEN, RawStore(tmp_path)),
    ):
        pass


FETCHER = """
import sys
from pathlib import Path
from quiebra.sources.http import Client, Service
from quiebra.sources.raw_store import RawStore
with Client(Service("open", rates=((1000, 1.0),)), RawStore(Path(sys.argv[2]))) as client:
    for number in range(40):
        client.fetch(f"{number}.json", f"{sys.argv[1]}/{number}")
    client.download("bulk.zip", f"{sys.argv[1]}/bulk.zip")
"""


def test_kills_at_any_moment_leave_nothing_half_kept_and_ask_nothing_twice(tmp_path: Path) -> None:
    bulk = zipped(20_000_000)

    def answer(request: Request) -> Reply:
        time.sleep(0.005)
        return Reply(bulk, headers={"ETag": '"v"'}, ranges=True) if "bulk" in request.path else Reply(request.path.encode() * 50)

    folder = tmp_path / "raw"
    with running_service(answer) as service:
        words = [sys.executable, "-c", FETCHER, service.address, str(folder)]
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        for round_ in range(30):
            process = subprocess.Popen(words, env=env)
            try:
                process.wait(timeout=0.35 + 0.03 * (round_ % 17))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            store = RawStore(folder)
            kept = set(store.names())
            assert all(store.read(name) == f"/{name.removesuffix('.json')}".encode() * 50 for name in kept - {"bulk.zip"})
            asked = len(service.requests)
            if process.returncode == 0:
                break
            known = {f"/{name.removesuffix('.json')}" for name in kept}
            later = subprocess.run(words, env=env, timeout=120, check=False) if round_ == 29 else None
            assert later is None or later.returncode == 0
            assert not known & set(service.paths()[asked:]), "what was kept was asked for again"
        assert subprocess.run(words, env=env, timeout=120, check=False).returncode == 0
        asked = len(service.requests)
        assert subprocess.run(words, env=env, timeout=120, check=False).returncode == 0
        assert len(service.requests) == asked
    store = RawStore(folder)
    assert store.read("bulk.zip") == bulk and len(store.names()) == 41
    assert not [path for path in folder.iterdir() if ".partial" in path.name]
