"""The gateway of deploy/nginx, with a real nginx on loopback before two processes of the API and the dashboards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sqlite3
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from api_server import Server, api_server, company
from browser import CHROMIUM, FLAGS, Served, serving
from conftest import ROOT, command, copy_workspace, environment
from gateway import FILES, NGINX, Gateway, gateway, nginx, write_files
from http_browser import KERNEL
from servers import eventually, free_port, raw_server
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from quiebra import store
from quiebra.api.limits import JOBS_REMEDY
from quiebra.api.problems import REMEDIES, TITLES
from quiebra.dashboards.server.limits import FREE_GUESSES
from quiebra.identity import add_user, create_key
from quiebra.io.addresses import is_within, parse_networks
from quiebra.text.words import Words
from quiebra.workspace import Workspace

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
GOOD = "correct horse battery"
SIGNING = "k" * 40
ALLOWED = '# "https://risk.example.com" $http_origin;'


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(finished, tmp_path_factory.mktemp("gateway") / "workspace")


@pytest.fixture(scope="module")
def key(place: Path) -> str:
    """A key of another system; there are users too."""
    engine = store.open_database(Workspace(place))
    ana = add_user(engine, "ana", "admin", GOOD, None)
    add_user(engine, "luis", "analyst", GOOD, ana)
    made = create_key(engine, "treasury", ["read", "predict", "decide"], 30, "ana")
    engine.dispose()
    return made


@pytest.fixture(scope="module")
def processes(place: Path, key: str) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        options = ("--gateway", "127.0.0.1")
        both = [stack.enter_context(api_server(place, *options, QUIEBRA_TOKEN_KEYS=f"a:{SIGNING}")) for _ in range(2)]
        yield both


@pytest.fixture(scope="module")
def dashboards(place: Path, key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "dashboards.log"
    with serving(place, environment(), "--pool", "0", "--gateway", "127.0.0.1", log=log) as server:
        yield server


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


@pytest.fixture(scope="module")
def before(processes: list[Server], dashboards: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway as a person sets it up by the documents."""
    ports = [port_of(process.url) for process in processes]
    with gateway(tmp_path_factory.mktemp("nginx"), api=ports, dashboards=port_of(dashboards.address)) as running:
        yield running


@pytest.fixture
def system(before: Gateway, key: str) -> Iterator[httpx.Client]:
    """Another system that asks the API."""
    with before.client(key) as client:
        yield client


def logged(processes: list[Server]) -> list[dict[str, Any]]:
    """Return the lines of the processes' logs, but for one that is being written."""
    lines = [line for process in processes for line in process.log.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def line_of(log: Callable[[], list[dict[str, Any]]], correlation_id: str) -> dict[str, Any]:
    """Return the line of a log with an id: it is written once the answer has been sent."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [line for line in log() if line["correlation_id"] == correlation_id]
        return bool(found)

    eventually(is_there)
    assert len(found) == 1
    return found[0]


# what nginx accepts


@pytest.mark.parametrize("http2", [False, True])
def test_nginx_accepts_the_files_with_and_without_http2(tmp_path: Path, http2: bool) -> None:
    write_files(tmp_path, [8890, 8891], 8866, {})
    if http2:
        version = tuple(map(int, re.findall(r"\d+", nginx(tmp_path, "-v").stderr)))
        path = tmp_path / "conf.d" / "quiebra.conf"
        text = path.read_text()
        path.write_text(re.sub(r"(listen \S+ ssl);", r"\1;\n    http2 on;" if version >= (1, 25, 1) else r"\1 http2;", text))
        assert path.read_text() != text
    checked = nginx(tmp_path, "-t")
    assert checked.returncode == 0 and "warn" not in checked.stderr, checked.stderr


def test_limits_are_those_of_params() -> None:
    options = yaml.safe_load((ROOT / "params.yaml").read_text())["api"]
    routes, given = (FILES / "quiebra/routes.conf").read_text(), (FILES / "quiebra.conf").read_text()
    sizes = re.findall(r"client_max_body_size (\d+);  # api\.(\w+)", routes)
    assert {name: int(size) for size, name in sizes} == {
        name: options[name] * 1_000_000 for name in ("body_megabytes", "job_megabytes")
    }
    rates = dict(re.findall(r"zone=quiebra_(\w+):10m rate=(\S+);", given))
    each = {"second": 1, "minute": 60}
    for zone, name in (("api", "rate_per_address"), ("sign_in", "sign_ins_per_address")):
        amount, _, window = options[name].partition("/")
        own, _, unit = rates[zone].partition("r/")
        assert int(amount) / each[window] == int(own) / {"s": 1, "m": 60}[unit], name


@pytest.mark.parametrize("status", [404, 405, 413, 429, 503])
def test_what_the_gateway_refuses_has_the_words_of_the_api(status: int) -> None:
    text = (FILES / "quiebra/definitions.conf").read_text().partition(f"$quiebra_problem_{status} {{")[2].partition("\n}")[0]
    for language, found in re.findall(r"^    (es|default) '(.*)';$", text, re.M):
        told, words = json.loads(found), Words("es" if language == "es" else "en")
        assert (told["status"], told["title"]) == (status, words(TITLES[status]))
        assert told["remedy"].startswith(words(JOBS_REMEDY if status == 413 else REMEDIES[503 if status == 429 else status]))


# TLS and routes


def connect(before: Gateway, version: ssl.TLSVersion, name: str = "localhost") -> str | None:
    """Return the version of TLS that a connection comes to; SSLError where it is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port_of(before.url)), timeout=10) as link,
        context.wrap_socket(link, server_hostname=name) as secure,
    ):
        return secure.version()


def test_only_tls_1_3_and_only_under_its_own_name(before: Gateway) -> None:
    assert connect(before, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(before, ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(before, ssl.TLSVersion.TLSv1_3, "other.example")


def ask(before: Gateway, target: str, *headers: str, source: str = "127.0.0.1", host: str = "localhost") -> tuple[int, str]:
    """Send a request as it is written here, and return the status and the whole answer."""
    link = socket.create_connection(("127.0.0.1", port_of(before.url)), timeout=30, source_address=(source, 0))
    with before.trust.wrap_socket(link, server_hostname="localhost") as secure:
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}:{port_of(before.url)}", "Connection: close", *headers]
        secure.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        text = b"".join(iter(lambda: secure.recv(65536), b"")).decode(errors="replace")
    return int(text.split()[1]), text


def test_each_address_leads_to_its_process(before: Gateway, system: httpx.Client) -> None:
    assert system.get("/v1/model").json()["model_id"]
    assert system.get("/health/ready").json() == {"status": "ready"}
    assert system.get("/health").json() == {"status": "ready"}  # of the dashboards
    home = system.get("/executive")
    assert home.status_code == 302 and home.headers["location"] == "/login?next=%2Fexecutive"
    assert system.get("/v1").json()["status"] == system.get("/v1/nothing").json()["status"] == 404


PATHS = [
    "/metrics",
    "/metrics/",
    "//metrics",
    "/v1/../metrics",
    "/v1/%2e%2e/metrics",
    "/v1/..%2fmetrics",
    "/%6detrics",
    "/metrics?a=1",
]


@pytest.mark.parametrize("path", PATHS)
def test_figures_are_not_for_the_outside(before: Gateway, processes: list[Server], key: str, path: str) -> None:
    with processes[0].client(key) as inside:
        assert "http_requests_total" in inside.get("/metrics").text
    status, text = ask(before, path, f"Authorization: Bearer {key}")
    assert status in (400, 404) and "http_request" not in text
    again, text = ask(before, f"/metrics/..{'/v1/..' * 2}{path}", f"Authorization: Bearer {key}")
    assert again in (400, 404) and "http_request" not in text


def test_without_tls_pages_are_sent_on_and_the_api_is_refused(before: Gateway, key: str) -> None:
    page = httpx.get(f"{before.plain_url}/company?company=X")
    assert (page.status_code, page.headers["location"]) == (301, "https://localhost/company?company=X")
    answer = httpx.get(f"{before.plain_url}/v1/model", headers={"Authorization": f"Bearer {key}", "Accept-Language": "es-ES"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "sin cifrar" in answer.json()["detail"]


# headers


def test_every_answer_has_the_security_headers_once(before: Gateway, system: httpx.Client) -> None:
    kinds = ("/v1/model", "/v1/nothing", "/health/live", "/metrics", "/login", "/executive", "/voila/static/voila.js")
    for path in kinds:
        answer = system.get(path)
        once = {name: answer.headers.get_list(name) for name in SECURITY}
        assert once == {name: [value] for name, value in SECURITY.items()}, path
        ours = path.startswith(("/v1", "/health", "/metrics"))
        assert answer.headers.get_list("x-frame-options") == ["DENY" if ours else "SAMEORIGIN"], path
        policy = answer.headers.get_list("content-security-policy")
        if path != "/voila/static/voila.js":
            assert len(policy) == 1 and ("frame-ancestors 'none'" if ours else "frame-ancestors 'self'") in policy[0], path
        assert answer.headers["server"] == "nginx" and len(answer.headers.get_list("x-request-id")) == 1
        assert not [name for name in answer.headers if name.startswith("access-control")]


SECURITY = {
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
RISK = {"Origin": "https://risk.example.com"}


def test_pages_of_other_sites_are_not_let_in(system: httpx.Client) -> None:
    asked = {**RISK, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path in ("/v1/predict/single", "/executive", "/health/ready"):
        answer = system.options(path, headers=asked)
        assert (answer.status_code, answer.json()["status"]) == (405, 405)
        for given in (answer, system.get(path, headers=RISK)):
            assert not [name for name in given.headers if name.startswith("access-control")]


def test_one_site_can_be_let_in(processes: list[Server], dashboards: Served, key: str, tmp_path: Path) -> None:
    ports = [port_of(process.url) for process in processes]
    changes = {ALLOWED: ALLOWED.removeprefix("# ")}
    with (
        gateway(tmp_path, api=ports, dashboards=port_of(dashboards.address), changes=changes) as open_one,
        open_one.client(key) as client,
    ):
        asked = {"Access-Control-Request-Method": "POST"}
        first = client.options("/v1/predict/single", headers={**RISK, **asked})
        assert first.status_code == 204 and first.headers["access-control-allow-origin"] == RISK["Origin"]
        assert "Authorization" in first.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in first.headers
        told = client.get("/v1/model", headers=RISK).headers
        assert told["access-control-allow-origin"] == RISK["Origin"] and "Origin" in told["vary"]
        for origin in ("https://evil.example", "https://risk.example.com.evil.example", "null"):
            assert client.options("/v1/model", headers={"Origin": origin, **asked}).status_code == 405
            assert "access-control-allow-origin" not in client.get("/v1/model", headers={"Origin": origin}).headers
        assert client.options("/executive", headers={**RISK, **asked}).status_code == 405


# ids and the log


@pytest.mark.parametrize(
    "given",
    ["5f0e1c2a-77aa-4bd1-9c1f-000000000001", "order_2026-000017", None, "short", "a b c d e f g h", "x" * 65, '"},{"a":"'],
)
def test_one_id_joins_answer_record_and_logs(
    before: Gateway, processes: list[Server], system: httpx.Client, place: Path, given: str | None
) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    answer = system.post("/v1/predict/single", json=company(f"id {time.monotonic_ns()}"), headers=headers)
    (told,) = answer.headers.get_list("x-request-id")
    kept = given is not None and re.fullmatch(r"[A-Za-z0-9_-]{8,64}", given)
    assert told == given if kept else re.fullmatch(r"[0-9a-f]{32}", told)
    with sqlite3.connect(place / "data" / "quiebra.db") as connection:
        assert connection.execute("SELECT count(*) FROM accesos_api WHERE correlation_id = ?", [told]).fetchone() == (1,)
    line = line_of(before.log, told)
    assert (line["method"], line["path"], line["status"], line["level"]) == ("POST", "/v1/predict/single", 200, "info")
    assert line["event"] == "request" and line["tls"] == "TLSv1.3" and 0 < line["ms"] < 60_000
    assert line["upstream"].startswith("127.0.0.1:")
    of_process = line_of(lambda: logged(processes), told)
    assert (of_process["event"], of_process["route"], of_process["status"]) == ("request", "/v1/predict/single", 200)
    assert of_process["user"] == "key treasury" and of_process["address"] == "127.0.0.1" and of_process["run_id"]


def test_a_problem_names_the_id_under_which_it_is_logged(before: Gateway, system: httpx.Client) -> None:
    for answer in (system.get("/v1/nothing"), system.get("/metrics"), system.options("/v1/model")):
        told = answer.json()["correlation_id"]
        assert told == answer.headers["x-request-id"] and line_of(before.log, told)["status"] == answer.status_code


def test_the_log_is_json_and_keeps_no_secret(before: Gateway, system: httpx.Client, key: str) -> None:
    quotes = 'a "quoted" agent \\ with\ttabs'
    ask(
        before,
        "/v1/companies?query=SECRETQUERY",
        f"Authorization: Bearer {key}",
        f"User-Agent: {quotes}",
        "Cookie: a=SECRETCOOKIE",
    )
    ask(before, "/company?token=SECRETTOKEN&company=x", "Referer: https://localhost/?token=SECRETREFERER")
    ask(before, "/v1/predict/single?access_token=SECRETARGUMENT")
    ask(before, "/", "Authorization: token SECRETHEADER")
    ask(before, '/v1/"},{"x":"', f"Authorization: Bearer {key}")
    system.post("/v1/token", json={"name": "luis", "password": GOOD})
    system.post("/login", data={"name": "luis", "password": GOOD, "_xsrf": "x"})
    lines = before.log()
    assert [line for line in lines if line["agent"] == quotes] and all(line["event"] == "request" for line in lines)
    written = "".join(path.read_text() for path in [*(before.folder / "log").iterdir(), before.folder / "start.log"])
    assert not re.findall("SECRET[A-Z]+", written) and GOOD not in written and key.rpartition("_")[2] not in written


def test_no_process_to_answer_leaves_no_query_in_a_log(tmp_path: Path) -> None:
    with gateway(tmp_path, api=[free_port()], dashboards=free_port()) as before:
        for target in ("/oidc/callback?code=SECRETCODE&state=SECRETSTATE", "/v1/companies?query=SECRETQUERY"):
            assert ask(before, target)[0] == 503
        eventually(lambda: len(before.log()) == 2)
        written = "".join(path.read_text() for path in [*(before.folder / "log").iterdir(), before.folder / "start.log"])
    assert "503" in written and "SECRET" not in written


def test_a_token_in_an_address_is_sent_to_the_sign_in(before: Gateway) -> None:
    status, text = ask(before, "/executive?token=SECRETTOKEN")
    assert status == 303 and "Location: /login\r\n" in text


# limits


def test_sign_ins_of_one_address_are_limited_and_no_other_is_held_up(before: Gateway) -> None:
    def attempt(source: str) -> httpx.Response:
        transport = httpx.HTTPTransport(local_address=source, verify=before.trust)
        with httpx.Client(base_url=before.url, transport=transport, timeout=60, headers={"Accept-Language": "es"}) as client:
            return client.post("/v1/token", json={"name": "nobody", "password": "x" * 12})

    with ThreadPoolExecutor(20) as pool:  # an eleventh may come at once, and one more every three seconds
        found = list(pool.map(attempt, ["127.0.0.21"] * 20))
    counted = Counter(answer.status_code for answer in found)
    assert set(counted) == {401, 429} and counted[401] >= 11, counted
    refused = [answer for answer in found if answer.status_code == 429]
    for answer in refused:
        assert answer.headers["content-type"] == "application/problem+json" and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["title"] == "Demasiadas peticiones"
        assert line_of(before.log, answer.json()["correlation_id"])["upstream"] == ""  # it never reached a process
    assert attempt("127.0.0.22").status_code == 401


def test_a_body_that_is_too_large_is_refused_before_it_is_passed_on(before: Gateway, system: httpx.Client) -> None:
    kind = {"Content-Type": "application/json"}
    for path, size in (
        ("/v1/predict/batch", 10_000_001),
        ("/v1/watch-list/x", 10_000_001),
        ("/v1/token", 20_000),
        ("/login", 70_000),
    ):
        answer = system.request("PUT" if "watch" in path else "POST", path, content=b" " * size, headers=kind)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json"), path
        assert answer.json()["remedy"] and line_of(before.log, answer.json()["correlation_id"])["upstream"] == ""
    assert system.post("/v1/predict/batch", content=b" " * 10_000_000, headers=kind).status_code == 422
    status, text = ask(before, "/v1/jobs", "Content-Length: 500000001", "Content-Type: application/json")
    assert status == 413 and "/v1/jobs" in text


def test_a_file_for_a_job_is_passed_on_while_it_comes(tmp_path: Path) -> None:
    arrived: list[int] = []

    def process(link: socket.socket) -> None:
        while data := link.recv(65536):
            arrived.append(len(data))

    with raw_server(process) as port, gateway(tmp_path, api=[port], dashboards=1) as before:
        link = socket.create_connection(("127.0.0.1", port_of(before.url)), timeout=30)
        with before.trust.wrap_socket(link, server_hostname="localhost") as secure:
            head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost:{port_of(before.url)}\r\nContent-Length: 400000000\r\n\r\n"
            secure.sendall(head.encode() + b"x" * 1_000_000)
            eventually(lambda: sum(arrived) > 900_000)


def test_a_client_that_dawdles_is_let_go(before: Gateway) -> None:
    since = time.monotonic()
    link = socket.create_connection(("127.0.0.1", port_of(before.url)), timeout=60)
    with before.trust.wrap_socket(link, server_hostname="localhost") as secure:
        secure.sendall(b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert b"200" not in secure.recv(4096)
    assert 10 < time.monotonic() - since < 40


# several processes


def test_requests_are_shared_out_and_a_killed_process_fails_none_that_reads(place: Path, key: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        options = ("--gateway", "127.0.0.1")
        one, other = (stack.enter_context(api_server(place, *options, QUIEBRA_TOKEN_KEYS=f"a:{SIGNING}")) for _ in range(2))
        ports = [port_of(server.url) for server in (one, other)]
        before = stack.enter_context(gateway(tmp_path / "gateway", api=ports, dashboards=1))
        statuses: Counter[int] = Counter()
        ended = threading.Event()

        def read() -> None:
            with before.client(key) as client:
                while not ended.is_set():
                    statuses[client.get("/v1/alerts").status_code] += 1

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        eventually(lambda: sum(statuses.values()) > 60)
        shares = Counter(line["upstream"] for line in before.log())
        assert set(shares) == {f"127.0.0.1:{port}" for port in ports} and min(shares.values()) > 10, shares
        one.process.send_signal(signal.SIGKILL)
        at_kill = sum(statuses.values())
        eventually(lambda: sum(statuses.values()) > at_kill + 100)
        ended.set()
        for reader in readers:
            reader.join(60)
        assert set(statuses) == {200}, statuses
        moved = [line for line in before.log() if ", " in line["upstream"]]
        assert moved and all(line["upstream_status"].startswith("502, 200") for line in moved)
        other.process.send_signal(signal.SIGKILL)
        other.process.wait(30)
        with before.client(key, **{"Accept-Language": "es"}) as client:
            away, pages = client.get("/v1/model"), client.get("/executive")
        assert (away.status_code, away.json()["title"], away.headers["retry-after"]) == (503, "No disponible ahora", "5")
        assert pages.status_code == 503 and pages.headers["content-type"] == "text/html" and "no están disponibles" in pages.text


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1), ("PUT", 1), ("DELETE", 1)])
def test_no_write_is_sent_twice(tmp_path: Path, method: str, times: int) -> None:
    """Processes that take a request and break off before they answer."""
    taken: list[bytes] = []

    def process(link: socket.socket) -> None:
        taken.append(link.recv(65536))

    with (
        raw_server(process) as one,
        raw_server(process) as other,
        gateway(tmp_path, api=[one, other], dashboards=1) as before,
        before.client() as client,
    ):
        answer = client.request(method, "/v1/watch-list/x", json=None if method == "GET" else {"reason": "because"})
    assert len(taken) == times and answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["correlation_id"].encode() in taken[0]


def test_a_write_goes_to_another_process_where_the_first_cannot_be_reached(tmp_path: Path) -> None:
    def process(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with (
        raw_server(process) as alive,
        gateway(tmp_path, api=[free_port(), alive], dashboards=1) as before,
        before.client() as client,
    ):
        assert [client.post("/v1/alerts/x/ack", json={}).status_code for _ in range(4)] == [204] * 4


# the dashboards


def visitor(before: Gateway, source: str = "127.0.0.1") -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=source, verify=before.trust)
    return httpx.Client(base_url=before.url, transport=transport, timeout=120)


def sign_in(client: httpx.Client, name: str = "luis", **headers: str) -> httpx.Response:
    client.get("/login")
    form = {"name": name, "password": GOOD, "_xsrf": client.cookies.get("_xsrf", "")}
    return client.post("/login", data=form, headers=headers)


def test_cookies_are_for_tls_alone_and_a_page_reaches_its_kernel(before: Gateway) -> None:
    with visitor(before) as luis:
        answer = sign_in(luis)
        assert answer.status_code == 302
        given = [
            *answer.headers.get_list("set-cookie"),
            *httpx.get(f"{before.url}/login", verify=before.trust).headers.get_list("set-cookie"),
        ]
        assert len(given) >= 2 and all("secure" in cookie.lower() for cookie in given), given
        page = luis.get("/executive")
        assert page.status_code == 200 and "<b>luis</b>" in page.text
        kernel = re.search(KERNEL, page.text)[1]  # type: ignore[index]
        cookies = "; ".join(f"{name}={value}" for name, value in luis.cookies.items())
        assert asyncio.run(first_message(before, kernel, before.url, cookies))["parent_header"]
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(first_message(before, kernel, "https://evil.example", cookies))
        with pytest.raises(HTTPClientError, match=r"40[34]"):
            asyncio.run(first_message(before, kernel, before.url, ""))


async def first_message(before: Gateway, kernel: str, origin: str, cookies: str) -> dict[str, Any]:
    """Ask a page's kernel what it is, over the page's WebSocket, and return what it says first."""
    address = f"{before.url.replace('https', 'wss')}/api/kernels/{kernel}/channels?session_id=x"
    asked = {
        "msg_id": "m",
        "msg_type": "kernel_info_request",
        "username": "",
        "session": "x",
        "date": "2026-01-01T00:00:00Z",
        "version": "5.3",
    }
    headers = {"Origin": origin, "Cookie": cookies}
    wire = await websocket_connect(HTTPRequest(address, headers=headers, ssl_options=before.trust))
    await wire.write_message(
        json.dumps({"channel": "shell", "header": asked, "parent_header": {}, "metadata": {}, "content": {}})
    )
    said = await asyncio.wait_for(wire.read_message(), 60)
    wire.close()
    return json.loads(said)  # type: ignore[arg-type]


def test_wrong_passwords_count_for_the_visitor_and_not_for_the_gateway(before: Gateway) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
    with visitor(before, "127.0.0.31") as guesser, visitor(before, "127.0.0.32") as other:
        statuses = [sign_in(guesser, f"stranger {n}", **forged).status_code for n in range(FREE_GUESSES + 1)]
        assert statuses == [401] * FREE_GUESSES + [429]
        assert sign_in(other).status_code == 302


def test_only_the_gateway_is_believed_about_visitors(dashboards: Served, processes: list[Server]) -> None:
    from_elsewhere = httpx.HTTPTransport(local_address="127.0.0.5")
    forged = {"X-Forwarded-Proto": "https", "X-Scheme": "https", "X-Forwarded-For": "203.0.113.9"}
    with httpx.Client(base_url=dashboards.address, transport=from_elsewhere) as stranger:
        sign_in(stranger, **forged)
        assert sign_in(stranger, **forged).status_code == 302  # a Secure cookie would not have come back
        assert "secure" not in sign_in(stranger, **forged).headers["set-cookie"].lower()
    with httpx.Client(base_url=dashboards.address) as local:
        assert "secure" in sign_in(local, **forged).headers["set-cookie"].lower()


def test_static_files_are_kept_by_the_gateway_and_by_browsers(before: Gateway) -> None:
    for path in ("/assets/plotly.min.js", "/voila/static/voila.js"):
        with before.client(**{"Accept-Encoding": "gzip"}) as client:
            answers = [client.get(path) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert line_of(before.log, answers[1].headers["x-request-id"])["cache"] == "HIT"
        assert answers[1].content == answers[0].content and answers[1].headers["content-encoding"] == "gzip"
        assert "max-age=86400" in answers[1].headers["cache-control"] and "set-cookie" not in answers[1].headers
        again = httpx.get(f"{before.url}{path}", headers={"If-None-Match": answers[1].headers["etag"]}, verify=before.trust)
        assert again.status_code == 304
    with before.client() as client:
        ours = client.get("/assets/page.js")
    assert ours.headers["cache-control"] == "no-cache" and line_of(before.log, ours.headers["x-request-id"])["cache"] == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
def test_a_browser_signs_in_and_a_page_comes_alive(before: Gateway) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as program:
        browser = program.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(ignore_https_errors=True).new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"{before.url}/executive")
        page.fill("input[name=name]", "luis")
        page.fill("input[name=password]", GOOD)
        page.click("form button[type=submit]")
        page.wait_for_selector("body[data-live=yes]", state="attached", timeout=120_000)
        page.wait_for_selector(".q-chart[data-drawn]", timeout=60_000)
        assert page.url == f"{before.url}/executive" and complaints == []
        page.goto("about:blank")
        browser.close()


# the command line


def test_a_gateway_is_an_address_and_lets_nobody_in_without_a_sign_in(workspace: Path) -> None:
    for given, said in (("the gateway", "give an address"), ("0.0.0.0/0", "everybody's headers")):
        for name in ("serve", "dashboards"):
            done = command(workspace, "quiebra", name, "--gateway", given)
            assert done.returncode == 1 and said in done.stderr
    done = command(workspace, "quiebra", "dashboards", "--gateway", "127.0.0.1", "--no-token")
    assert done.returncode == 1 and "--no-token" in done.stderr


def test_addresses_within_networks() -> None:
    networks = parse_networks(["127.0.0.1", "10.0.0.0/24", "fd00::/64"], "--gateway")
    inside = ("127.0.0.1", "10.0.0.77", "fd00::2", "::ffff:127.0.0.1")
    assert all(is_within(address, networks) for address in inside)
    assert not any(is_within(address, networks) for address in ("127.0.0.2", "10.0.1.1", "::1", "", "unix:"))
