"""The API over HTTP, with a real server: answers, their records, errors in both languages, and who may what."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import itertools
import json
import math
import os
import re
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import polars as pl
import psutil
import pytest
from api_server import PLAIN, Server, api_server, company
from conftest import ROOT, copy_workspace

from quiebra import store
from quiebra.api.predicting import _kept_answer
from quiebra.api.records import insert_predictions
from quiebra.api.schemas import PredictionOut
from quiebra.client import Client, ServiceError
from quiebra.environment import database_url
from quiebra.identity import ROLES, Permission, User, add_user, change_role, create_key, disable_user, revoke_key
from quiebra.services.loaded_model import load_model
from quiebra.services.prediction import STATEMENT_COLUMNS
from quiebra.workspace import Workspace

GOOD = "correct horse battery"
SIGNING = "k" * 40


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished workspace with a user of each role."""
    folder = copy_workspace(finished, tmp_path_factory.mktemp("api") / "workspace")
    engine = store.open_database(Workspace(folder))
    admin = add_user(engine, "the admin", "admin", GOOD, None)
    for role in ROLES:
        if role != "admin":
            add_user(engine, f"the {role}", role, GOOD, admin)
    engine.dispose()
    return folder


@pytest.fixture(scope="module")
def engine(place: Path) -> Any:
    return store.connect(database_url(place))


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with api_server(place, QUIEBRA_TOKEN_KEYS=f"first:{SIGNING}") as running:
        yield running


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """Role → an access token."""
    with server.client(None) as client:
        answers = {r: client.post("/v1/token", json={"name": f"the {r}", "password": GOOD}) for r in ROLES}
    return {role: answer.json()["access_token"] for role, answer in answers.items()}


@pytest.fixture
def analyst(server: Server, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    with server.client(tokens["analyst"]) as client:
        yield client


def rows(place: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(place / "data" / "quiebra.db") as connection:
        return connection.execute(query).fetchall()


def test_a_prediction_is_stored_before_it_is_told_and_a_repetition_comes_from_the_cache(
    analyst: httpx.Client, place: Path
) -> None:
    first = analyst.post("/v1/predict/single", json=company("stored", revenue=91.25)).json()
    again = analyst.post("/v1/predict/single", json=company("stored", revenue=91.25)).json()
    assert (first.pop("cached"), again.pop("cached")) == (False, True)
    assert first == again
    ((stored, request),) = rows(place, "SELECT answer, request FROM predicciones_api WHERE company_id = 'stored'")
    assert json.loads(stored)["pd_12m"] == first["pd_12m"]
    assert json.loads(request)["statements"][0]["revenue"] == 91.25
    hashed = "SELECT input_sha256 FROM predicciones_api WHERE company_id = 'stored'"
    seen = rows(place, f"SELECT who, companies, cached FROM accesos_api WHERE input_sha256 = ({hashed}) ORDER BY at")
    assert seen == [("the analyst", 1, 0), ("the analyst", 1, 1)]


def test_a_companys_stored_statements_give_the_runs_own_score_over_every_door(
    analyst: httpx.Client, place: Path, finished: Path
) -> None:
    scores = pl.read_parquet(finished / "data/scores/scores.parquet").sort("company_id")
    statements = pl.read_parquet(finished / "data/panel/statements.parquet")
    as_of = json.loads((finished / "data/scores/run.json").read_text())["as_of"]
    known = statements.filter(pl.col("available_at") <= pl.lit(as_of).str.to_date())
    asked = [
        {
            "company_id": name,
            "statements": [
                {key: str(value) if "_at" in key or "_end" in key else value for key, value in row.items()}
                for row in known.filter(pl.col("company_id") == name).select(STATEMENT_COLUMNS).to_dicts()
            ],
        }
        for name in scores["company_id"]
    ]
    batch = analyst.post("/v1/predict/batch", json=asked).json()
    lines = "\n".join(json.dumps(one) for one in asked)
    streamed = analyst.post("/v1/predict/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}).json()
    assert batch["failed"] == 0 and len(batch["results"]) == scores.height
    assert all(PredictionOut.model_validate(one, extra="forbid") for one in batch["results"])
    published = dict(rows(place, "SELECT company_id, pd_12m FROM predicciones WHERE kind = 'current'"))
    for one, line, row in zip(batch["results"], streamed["results"], scores.iter_rows(named=True), strict=True):
        assert one["company_id"] == row["company_id"]
        stored = analyst.get(f"/v1/companies/{row['company_id']}").json() if row["company_id"] < "SIM-00030" else one
        assert one["pd_12m"] == round(row["pd_12m"], 6) == round(published[row["company_id"]], 6) == stored["pd_12m"]
        assert one["rating"] == row["rating"] == stored["rating"] == line["rating"]
        assert [reason["code"] for reason in one["reasons"]] == [reason["code"] for reason in stored["reasons"]]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"company_id":"A","statements":[{"fiscal_year":2023,"total_assets":5}\n{"fiscal_year":2022,"total_assets":4}]}', 1),
        (b'\n{"company_id":"A","statements":[{"fiscal_year":2023,"total_assets":5}]},{"company_id":"B"}\n', 2),
        (b'{"company_id":"A","statements":[{"fiscal_year":2023,"total_assets":5}]}\r{"company_id":"B"}', 1),
        (b'{"company_id":"A","statements":[{"fiscal_year":2023,"total_assets":5}]}\r\n\r\n[1]', 3),
    ],
)
def test_each_line_of_a_batch_is_one_company(analyst: httpx.Client, body: bytes, line: int) -> None:
    answer = analyst.post("/v1/predict/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 422 and answer.json()["detail"].startswith(f"Line {line} is not one JSON object")


REPEATED = b'{"company_id":"A","statements":[{"fiscal_year":2023,"total_assets":5,"total_assets":6}]}'


@pytest.mark.parametrize(
    ("path", "kind", "body", "key"),
    [
        ("predict/single", "json", REPEATED, "total_assets"),
        ("predict/single", "json", REPEATED.replace(b"fiscal_year", b"total_\\u0061ssets"), "total_assets"),
        ("predict/batch", "json", b"[" + REPEATED + b"]", "total_assets"),
        ("portfolio", "json", b'{"rows":[{"company_id":"A","exposure":1,"exposure":2}]}', "exposure"),
        ("stress", "json", b'{"moves":{},"moves":{}}', "moves"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(analyst: httpx.Client, path: str, kind: str, body: bytes, key: str) -> None:
    answer = analyst.post(f"/v1/{path}", content=body, headers={"Content-Type": f"application/{kind}"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == key, answer.text
    assert "more than once" in answer.json()["detail"]


def test_a_key_that_a_line_has_twice_is_refused_with_the_line(analyst: httpx.Client) -> None:
    body = b'{"company_id":"B"}\n' + REPEATED
    answer = analyst.post("/v1/predict/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 422 and answer.json()["detail"].startswith("Line 2, total_assets: given more than once")


def test_a_parameter_that_an_address_has_twice_is_refused(analyst: httpx.Client) -> None:
    answer = analyst.get("/v1/companies?query=516&query=724", headers={"Accept-Language": "es"})
    assert answer.status_code == 422 and answer.json()["detail"].startswith("'query' está más de una vez")
    assert analyst.get("/v1/companies?query=516").status_code == 200


@pytest.mark.parametrize(
    ("features", "why"),
    [({"revenue": 310.0}, "'revenue' stands beside"), ({"late": 1.0, " late": 2.0}, "'late' is there twice")],
)
def test_features_that_would_be_lost_are_refused(analyst: httpx.Client, features: dict[str, float], why: str) -> None:
    answer = analyst.post("/v1/predict/single", json=company(features=features))
    assert answer.status_code == 422 and why in answer.json()["detail"], answer.text


def test_a_prediction_that_is_computed_again_is_kept_as_long_as_a_new_one(place: Path, engine: Any) -> None:
    old, new = dt.datetime(2020, 1, 1), dt.datetime(2026, 1, 1)
    row = {"prediction_id": "again", "company_id": "again", "input_sha256": "x", "model_id": "m", "run_id": "r", "pd_12m": 0.1}
    for when, answer in ((old, b'{"n":1}'), (new, b'{"n":2}')):
        made = {**row, "rating": "A", "computed_at": when, "request": b"{}", "answer": answer}
        with engine.begin() as connection:
            insert_predictions(connection, [made])
    ((at, told),) = rows(place, "SELECT computed_at, answer FROM predicciones_api WHERE prediction_id = 'again'")
    assert at.startswith("2026-01-01") and told == '{"n":1}'


@pytest.mark.parametrize("written", [b'{"trunc', b"[]", b'{"prediction_id": "another"}', b"\xff", None])
def test_what_a_cache_holds_that_is_no_answer_is_computed_anew(written: bytes | None) -> None:
    assert _kept_answer("asked", written) is None
    assert _kept_answer("asked", b'{"prediction_id": "asked"}') == {"prediction_id": "asked"}


def test_texts_are_in_the_asked_language(analyst: httpx.Client) -> None:
    english = analyst.post("/v1/predict/single", json=company()).json()
    spanish = analyst.post("/v1/predict/single", json=company(), headers={"Accept-Language": "fr, es-MX;q=0.9, en;q=0.5"})
    assert spanish.headers["content-language"] == "es"
    assert [r["code"] for r in english["reasons"]] == [r["code"] for r in spanish.json()["reasons"]]
    assert "activo" in spanish.json()["reasons"][0]["text"] + spanish.json()["reasons"][1]["text"]
    assert english["notes"][0].startswith("SIMULATED") and spanish.json()["notes"][0].startswith("SIMULADO")


BAD = {
    "not json": (b"{", 422),
    "not an object": (b"[]", 422),
    "deep": (b'{"company_id":' * 5000 + b"1" + b"}" * 5000, 422),
    "nan": (b'{"company_id":"x","statements":[{"fiscal_year":2022,"total_assets":NaN}]}', 422),
    "infinite": (b'{"company_id":"x","statements":[{"fiscal_year":2022,"total_assets":1e999}]}', 422),
    "text for a number": (json.dumps(company(total_assets="100")).encode(), 422),
    "unknown item": (json.dumps(company(total_asets=1.0)).encode(), 422),
    "no statement": (b'{"company_id":"x"}', 422),
    "no assets": (json.dumps(company(total_assets=None)).encode(), 422),
    "half a character": (b'{"company_id":"\\ud800","statements":[{"fiscal_year":2022,"total_assets":1}]}', 422),
    "control characters": (json.dumps(company("a\u0000b\u202e")).encode(), 422),
    "a date that is none": (json.dumps(company(period_end="2022-02-30")).encode(), 422),
    "not utf-8": (b'{"company_id":"\xff\xfe"}', 422),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("language", ["en", "es"])
def test_bad_input_is_a_problem_with_field_and_remedy(analyst: httpx.Client, name: str, language: str) -> None:
    body, status = BAD[name]
    headers = {"Content-Type": "application/json", "Accept-Language": language}
    answer = analyst.post("/v1/predict/single", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    told = answer.json()
    assert told["remedy"] and told["detail"] and told["correlation_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-language"] == language
    if name == "no assets":
        assert "total_assets" in told["detail"]


def test_missing_items_are_named_with_what_they_do_to_the_score(analyst: httpx.Client) -> None:
    answer = analyst.post(
        "/v1/predict/single", json={"company_id": "x", "statements": [{"fiscal_year": 2022, "total_assets": 5}]}
    )
    assert "do not trust this PD" in " ".join(answer.json()["notes"])
    (gap,) = [reason for reason in answer.json()["reasons"] if reason["kind"] == "gap"]
    assert "current liabilities" in gap["text"]


def test_what_is_too_large_is_refused_and_shown_the_way(analyst: httpx.Client) -> None:
    many = analyst.post("/v1/predict/batch", json=[{"company_id": "x", "use_history": True}] * 10_001)
    large = analyst.post("/v1/predict/single", content=b" " * 10_000_001, headers={"Content-Type": "application/json"})
    chunked = analyst.post(
        "/v1/predict/batch", content=itertools.repeat(b" " * 1_000_000, 12), headers={"Content-Type": "application/json"}
    )
    for answer in (many, large, chunked):
        assert answer.status_code == 413 and "/v1/jobs" in answer.json()["remedy"], answer.text
    other = analyst.post("/v1/predict/single", content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert other.status_code == 415


def test_a_body_with_a_fault_in_each_of_its_parts_costs_little(analyst: httpx.Client, server: Server) -> None:
    """Each fault of a list took a microsecond of the one event loop and a kilobyte: gigabytes for a body of ten megabytes."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    kind = {"Content-Type": "application/json"}
    zeros = analyst.post("/v1/predict/batch", content=b"[" + b"0," * 4_000_000 + b"0]", headers=kind)
    unknown = json.dumps({"company_id": "x", "statements": [{f"x{n}": 0 for n in range(30_000)}]})
    fields = analyst.post("/v1/predict/single", content=unknown, headers=kind)
    names = httpx.post(f"{server.url}/v1/token", json={str(n): 0 for n in range(100_000)})
    assert (zeros.status_code, fields.status_code, names.status_code) == (422, 422, 413)
    assert "30,0" in fields.json()["errors"][0]["problem"] and "too many" in fields.json()["errors"][0]["problem"]
    assert process.memory_info().rss - before < 400e6


def test_bodies_that_never_end_keep_nobody_out(analyst: httpx.Client, server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as open_:
        for _ in range(300):  # more than may be under way
            half = open_.enter_context(socket.create_connection((host, int(port))))
            half.sendall(b"POST /v1/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.5)
        assert analyst.post("/v1/predict/single", json=company("beside")).status_code == 200


def test_figures_without_end_are_missing_in_answer_and_record(analyst: httpx.Client, place: Path) -> None:
    """A ratio of a tiny amount overflows; PostgreSQL takes no infinite number in JSON, for the whole group of answers."""
    tiny = {
        "interest_expense": 1e-300,
        "ebit": 1e9,
        "total_liabilities": 5e-324,
        "current_liabilities": 1e-300,
        "revenue": 1e-300,
    }
    told = analyst.post("/v1/predict/single", json=company("tiny", **tiny))
    assert told.status_code == 200
    ((kept,),) = rows(place, "SELECT answer FROM predicciones_api WHERE company_id = 'tiny'")
    assert "Infinity" not in kept and "NaN" not in kept
    values = [[reason[name] for name in ("value", "typical", "effect")] for reason in told.json()["reasons"]]
    assert values == [[reason[name] for name in ("value", "typical", "effect")] for reason in json.loads(kept)["reasons"]]


def test_a_sent_statement_counts_before_the_stored_one_of_the_same_version(analyst: httpx.Client, place: Path) -> None:
    panel = pl.read_parquet(place / "data/panel/statements.parquet").filter(pl.col("company_id") == "SIM-00001")
    latest = panel.sort("fiscal_year", "available_at").tail(1).select("fiscal_year", "period_end", "available_at").to_dicts()[0]
    dates = {name: str(value) for name, value in latest.items()} | {"fiscal_year": latest["fiscal_year"]}
    ruin = {**dates, "total_assets": 100.0, "total_liabilities": 400.0, "ebit": -90.0, "net_income": -95.0, "revenue": 5.0}
    stored = analyst.post("/v1/predict/single", json={"company_id": "SIM-00001", "use_history": True}).json()
    sent = analyst.post("/v1/predict/single", json={"company_id": "SIM-00001", "use_history": True, "statements": [ruin]}).json()
    assert sent["scored"] == stored["scored"] and sent["pd_12m"] > 2 * stored["pd_12m"]
    assert not [note for note in sent["notes"] if "duplicate" in note]


def test_features_that_the_model_does_not_know_are_named(analyst: httpx.Client) -> None:
    told = analyst.post("/v1/predict/single", json=company("odd", features={"no_such": 3.0})).json()
    assert "the model knows no feature 'no_such': it is left out" in told["notes"]


@pytest.mark.parametrize("day", [86400, "1735603200", "2024-12-31T00:00:00", "20241231"])
def test_a_date_is_a_day_and_no_number_of_seconds(analyst: httpx.Client, day: object) -> None:
    for body in ({**company(), "as_of": day}, company(period_end=day)):
        told = analyst.post("/v1/predict/single", json=body)
        assert told.status_code == 422 and "2024-12-31" in told.json()["errors"][0]["problem"], told.text


def test_a_zero_character_in_a_path_is_not_found(server: Server, tokens: dict[str, str]) -> None:
    with server.client(tokens["admin"]) as client:
        for path in ("/v1/runs/abcd%00", "/v1/alerts/abcd%00", "/v1/companies/a%00"):
            assert client.get(path).status_code == 404, path
        assert client.post("/v1/alerts/abcd%00/ack", json={}).status_code == 404


def test_what_an_answer_depends_on_is_in_its_key(finished: Path, tmp_path: Path) -> None:
    folder = copy_workspace(finished, tmp_path / "workspace")
    w = Workspace(folder)
    keys = [load_model(w).sha256]
    run = folder / "data/scores/run.json"
    run.write_text(json.dumps({**json.loads(run.read_text()), "run_id": "another"}))
    keys.append(load_model(w).sha256)
    companies = folder / "data/panel/companies.parquet"
    pl.read_parquet(companies).with_columns(name=pl.lit("renamed")).write_parquet(companies)
    keys.append(load_model(w).sha256)
    assert len(set(keys)) == 3 and load_model(w).sha256 == keys[-1]


def test_one_bad_company_of_a_batch_leaves_the_others(analyst: httpx.Client) -> None:
    answer = analyst.post("/v1/predict/batch", json=[company("a"), company("b", total_assets=-1.0), company("c")]).json()
    assert (answer["scored"], answer["failed"]) == (2, 1)
    assert answer["results"][1]["company_id"] == "b" and "total_assets" in answer["results"][1]["problem"]


def test_an_unchanged_answer_is_not_sent_again(analyst: httpx.Client) -> None:
    first = analyst.get("/v1/companies/SIM-00001")
    assert first.headers["cache-control"] == "private, no-cache"
    again = analyst.get("/v1/companies/SIM-00001", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    spanish = analyst.get("/v1/companies/SIM-00001", headers={"If-None-Match": first.headers["etag"], "Accept-Language": "es"})
    assert spanish.status_code == 200


def test_a_write_with_a_key_is_done_once(server: Server, tokens: dict[str, str], place: Path) -> None:
    with server.client(tokens["analyst"]) as client:
        body = {"company_id": "SIM-00001", "rating": "C", "reason": "seen their books", "days": 30}
        headers = {"Idempotency-Key": "a-key-of-ours"}
        first, again = (client.post("/v1/overrides", json=body, headers=headers) for _ in range(2))
        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        other = client.post("/v1/overrides", json={**body, "days": 31}, headers=headers)
        assert other.status_code == 422
        assert rows(place, "SELECT count(*) FROM ajustes_calificacion WHERE company_id = 'SIM-00001'") == [(1,)]
        own = client.post(f"/v1/overrides/{first.json()['override_id']}/approve")
        assert own.status_code == 403
        for wrong, status in (({"rating": "ZZ"}, 422), ({"company_id": "NOPE"}, 404), ({"reason": "x"}, 422)):
            assert client.post("/v1/overrides", json={**body, **wrong}).status_code == status
    with server.client(tokens["approver"]) as client:
        assert client.post(f"/v1/overrides/{first.json()['override_id']}/approve").json()["state"] == "in force"
        assert client.get("/v1/companies/SIM-00001").json()["analyst_grade"]["rating"] == "C"
        mine = client.post("/v1/overrides", json={**body, "company_id": "SIM-00004"}).json()["override_id"]
        refused = client.post(f"/v1/overrides/{mine}/approve")
        assert refused.status_code == 409 and "another person" in refused.json()["detail"]


def test_alerts_and_the_watch_list_are_worked_on(server: Server, tokens: dict[str, str]) -> None:
    with server.client(tokens["analyst"]) as client:
        alert = client.get("/v1/alerts").json()["alerts"][0]
        taken = client.post(f"/v1/alerts/{alert['alert_id']}/ack", json={"note": "called them", "review_on": "2030-01-31"})
        assert taken.json()["state"] == "acknowledged"
        assert client.post(f"/v1/alerts/{alert['alert_id']}/close", json={"reason": "paid in full"}).status_code == 200
        assert client.post(f"/v1/alerts/{alert['alert_id']}/close", json={"reason": "paid in full"}).status_code == 409
        told = client.get(f"/v1/alerts/{alert['alert_id']}").json()["history"]
        assert [entry["who"] for entry in told][-2:] == ["the analyst", "the analyst"]
        waiting = client.get("/v1/alerts").json()["alerts"][0]["alert_id"]
        assert client.post(f"/v1/alerts/{waiting}/ack", json={"review_on": "2020-01-01"}).status_code == 422
        spanish = client.post("/v1/alerts/none-such/close", json={"reason": "paid in full"}, headers={"Accept-Language": "es"})
        assert spanish.status_code == 404 and "ningún identificador empieza por" in spanish.json()["detail"]
        assert client.put("/v1/watch-list/NOPE", json={"reason": "late payer"}).status_code == 404
        for wrong in (True, 2.5, 0, 4, "2"):
            assert client.put("/v1/watch-list/SIM-00005", json={"reason": "late payer", "level": wrong}).status_code == 422
        assert client.put("/v1/watch-list/SIM-00005", json={"reason": "late payer", "level": 2}).json()["level"] == 2
        assert client.get("/v1/watch-list").json()["companies"][0]["who"] == "the analyst"
        assert client.delete("/v1/watch-list/SIM-00005", params={"reason": "paid again"}).status_code == 200


def test_portfolio_and_stress(analyst: httpx.Client) -> None:
    exposures = [{"company_id": "SIM-00001", "exposure": 5.0}, {"company_id": "nobody", "exposure": 1.0}]
    answer = analyst.post("/v1/portfolio", json={"exposures": exposures}).json()
    assert answer["losses"]["expected_loss"] > 0 and answer["left_out"][0]["field"] == "exposures[1]"
    calm = analyst.post("/v1/stress", json={}).json()
    assert calm["before"] == calm["after"]
    shocked = analyst.post("/v1/stress", json={"shock": {"revenue": -0.3}, "companies": 3}).json()
    assert shocked["after"]["pd_12m"] > shocked["before"]["pd_12m"] and len(shocked["companies"]) == 3
    assert analyst.post("/v1/stress", json={"scenario": "none such"}).status_code == 422


def routes(server: Server) -> list[tuple[str, str, str]]:
    document = httpx.get(server.url + "/v1/openapi.json").json()
    return [
        (method, path, operation["x-permission"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "x-permission" in operation
    ]


def ask(client: httpx.Client, method: str, path: str) -> httpx.Response:
    filled = path.replace("{override_id}", "999999").replace("{company_id}", "nobody").replace("{alert_id}", "ffffffff")
    filled = filled.replace("{run_id}", "ffffffff").replace("{job_id}", "ffffffffffff")
    return client.request(method, filled, json={} if method in ("post", "put") else None)


def test_every_route_is_open_to_those_who_have_its_permission_alone(server: Server, tokens: dict[str, str], engine: Any) -> None:
    found = routes(server)
    assert len(found) > 15
    for role, (method, path, permission) in itertools.product(ROLES, found):
        with server.client(tokens[role]) as client:
            answer = ask(client, method, path)
        allowed = Permission(permission) in ROLES[role]
        assert (answer.status_code == 403) != allowed, (role, method, path, answer.text)
        assert answer.status_code < 500 and answer.status_code != 401, (role, method, path, answer.text)
    denied = [entry["subject"] for entry in store.audit_entries(engine, 1000, "denied") if entry["who"] == "the reader"]
    assert "POST /v1/predict/single" in denied


def bad_tokens(server: Server, tokens: dict[str, str], engine: Any, admin: User) -> dict[str, str | None]:
    right = jwt.decode(tokens["analyst"], options={"verify_signature": False})
    now = int(time.time())

    def signed(claims: dict[str, Any], key: str = SIGNING, **headers: Any) -> str:
        return jwt.encode(claims, key, "HS256", headers={"kid": "first", **headers})

    def unsigned() -> str:
        head, body = ({"alg": "none", "typ": "JWT", "kid": "first"}, right)
        return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in (head, body)) + "."

    key = create_key(engine, "over", ["read", "predict", "decide"], 10, "the admin")
    revoke_key(engine, key.split("_")[1], "the admin")
    with server.client(None) as client:
        signed_in = client.post("/v1/token", json={"name": "the analyst", "password": GOOD}).json()
        client.post("/v1/token/revoke", json={"refresh_token": signed_in["refresh_token"]})
    return {
        "none": None,
        "empty": "",
        "not one": "abc",
        "expired": signed({**right, "exp": now - 3600}),
        "no end": signed({name: value for name, value in right.items() if name != "exp"}),
        "another key": signed(right, "x" * 40),
        "unknown key id": signed(right, kid="second"),
        "alg none": unsigned(),
        "another audience": signed({**right, "aud": "else"}),
        "no session": signed({**right, "sid": "0" * 12}),
        "revoked session": signed_in["access_token"],
        "revoked key": key,
        "key of nobody": "qbk_" + "0" * 12 + "_" + "A" * 43,
        "refresh token": signed_in["refresh_token"],
    }


def test_no_route_takes_a_token_that_does_not_hold(server: Server, tokens: dict[str, str], engine: Any) -> None:
    for name, token in bad_tokens(server, tokens, engine, User("the admin", "admin")).items():
        for method, path, _ in routes(server):
            with server.client(token) as client:
                answer = ask(client, method, path)
            assert answer.status_code == 401, (name, method, path, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_does_what_its_scopes_say(server: Server, engine: Any) -> None:
    for scopes in (["read"], ["predict"], ["read", "predict"], ["decide"]):
        key = create_key(engine, f"system {len(scopes)} {scopes[0]}", scopes, 10, "the admin")
        with server.client(key) as client:
            for method, path, permission in routes(server):
                answer = ask(client, method, path)
                assert (answer.status_code == 403) == (permission not in scopes), (scopes, path)
            if "decide" in scopes:
                grade = {"company_id": "SIM-00004", "rating": "C", "reason": "seen their books"}
                told = client.post("/v1/overrides", json=grade)
                assert told.status_code == 403 and "person" in told.json()["detail"]
                ended = client.post("/v1/overrides/1/end", json={"reason": "seen their books"})
                assert ended.status_code == 403 and "person" in ended.json()["detail"]
                denied = [
                    entry["subject"] for entry in store.audit_entries(engine, 1000, "denied") if entry["who"].startswith("key ")
                ]
                assert {"POST /v1/overrides", "POST /v1/overrides/{override_id}/end"} <= {*denied}


def test_what_becomes_of_a_user_counts_at_once(server: Server, engine: Any) -> None:
    admin = User("the admin", "admin")
    add_user(engine, "newcomer", "analyst", GOOD, admin)
    with server.client(None) as client:
        made = client.post("/v1/token", json={"name": "Newcomer", "password": GOOD}).json()
        renewed = client.post("/v1/token/refresh", json={"refresh_token": made["refresh_token"]}).json()
        assert renewed["refresh_token"] != made["refresh_token"]
    with server.client(renewed["access_token"]) as client:
        assert client.post("/v1/predict/single", json=company()).status_code == 200
        change_role(engine, "newcomer", "reader", admin)
        time.sleep(1.1)
        assert client.post("/v1/predict/single", json=company()).status_code == 403
        disable_user(engine, "newcomer", admin)
        time.sleep(1.1)
        assert client.get("/v1/model").status_code == 401
        assert client.post("/v1/token/refresh", json={"refresh_token": renewed["refresh_token"]}).status_code == 401


def test_a_copied_refresh_token_ends_the_session(server: Server) -> None:
    with server.client(None) as client:
        first = client.post("/v1/token", json={"name": "the reader", "password": GOOD}).json()
        second = client.post("/v1/token/refresh", json={"refresh_token": first["refresh_token"]}).json()
        assert client.post("/v1/token/refresh", json={"refresh_token": first["refresh_token"]}).status_code == 401
        assert client.post("/v1/token/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401
        assert client.get("/v1/model", headers={"Authorization": f"Bearer {second['access_token']}"}).status_code == 401


def test_secrets_are_in_no_answer_file_or_process_list(server: Server, tokens: dict[str, str], place: Path) -> None:
    with server.client(tokens["analyst"]) as client:
        told = [ask(client, method, path).text for method, path, _ in routes(server)]
    command_line = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode()
    secrets = [GOOD, SIGNING, tokens["analyst"]]
    for text in (*told, command_line):
        assert not any(secret in text for secret in secrets)
    for path in place.rglob("*"):
        if path.is_file() and ".venv" not in path.parts and "src" not in path.parts:
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path


def test_without_users_the_server_prints_a_key_of_its_own_that_ends_with_it(finished: Path, tmp_path: Path) -> None:
    folder = copy_workspace(finished, tmp_path / "workspace")
    with api_server(folder) as running:
        key = running.local_key
        with running.client(key) as client:
            assert client.post("/v1/predict/single", json=company()).status_code == 200
            add_user(store.connect(database_url(folder)), "ana", "admin", GOOD, None)
            time.sleep(1.1)
            assert client.get("/v1/model").status_code == 401
    with api_server(folder) as running, running.client(key) as client:
        assert client.get("/v1/model").status_code == 401


def test_without_a_model_the_command_is_named(finished: Path, tmp_path: Path) -> None:
    folder = copy_workspace(finished, tmp_path / "workspace")
    (folder / "models" / "champion.json").rename(tmp_path / "champion.json")
    with api_server(folder, wait=False) as running, running.client(running.local_key) as client:
        answer = client.post("/v1/predict/single", json=company())
        assert answer.status_code == 503 and "quiebra run" in answer.json()["remedy"] and "retry-after" in answer.headers
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
        (tmp_path / "champion.json").rename(folder / "models" / "champion.json")
        assert client.post("/v1/predict/single", json=company()).status_code == 200  # without a restart


def test_the_client_of_ours_gives_what_the_service_answers(server: Server, engine: Any) -> None:
    key = create_key(engine, "a client", ["read", "predict", "decide"], 10, "the admin")
    with Client(server.url, key, language="es") as client:
        one = client.predict("ACME", [PLAIN], sector="C Manufacturing", as_of=dt.date(2030, 1, 1))
        assert one["rating"] and one["notes"][0].startswith("SIMULADO")
        many = list(client.predict_many(company(f"c{n}", revenue=90.0 + n) for n in range(1203)))
        assert [answer["company_id"] for answer in many] == [f"c{n}" for n in range(1203)]
        assert many[0]["pd_12m"] != one["pd_12m"] or many[0]["sector"] != one["sector"]
        known = client.find("SIM-00001")[0]["company_id"]
        assert client.company(known)["history"]
        assert client.portfolio([{"company_id": known, "exposure": 1.0}])["losses"]["companies"] == 1
        assert client.stress(shock={"revenue": -0.2})["after"]["pd_12m"] > 0
        assert client.model()["figures"]["auc"]["value"] > 0.5
        client.close_alert(client.alerts()[0]["alert_id"], "closed by a test")
        with pytest.raises(ServiceError, match="total_assets"):
            client.predict("ACME", [{"fiscal_year": 2022}])
        with pytest.raises(ServiceError, match="leave out what is not known"):
            client.predict("ACME", [{"fiscal_year": 2022, "total_assets": math.nan}])


def test_examples_of_the_document_and_of_the_guide_are_answered(server: Server, tokens: dict[str, str]) -> None:
    document = httpx.get(server.url + "/v1/openapi.json").json()
    asked = 0
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                named = schemas.get(body["schema"].get("$ref", "").rpartition("/")[2], {})
                assert body.get("examples") or named.get("examples") or kind.endswith("ndjson"), path
    with server.client(tokens["analyst"]) as client:
        for path, name in (("/v1/portfolio", "PortfolioIn"), ("/v1/stress", "StressIn"), ("/v1/overrides", "GradeIn")):
            answer = client.post(path, json=schemas[name]["examples"][0])
            assert answer.status_code in (200, 201), answer.text
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                    for example in body.get("examples", {}).values():
                        sent = example["value"] if isinstance(example["value"], str) else json.dumps(example["value"])
                        answer = client.request(method, path, content=sent, headers={"Content-Type": kind})
                        assert answer.status_code in (200, 202), answer.text
                        asked += 1
    assert asked >= 2
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    (command_line,) = re.findall(r"```console\n(curl [^`]*predict/single[^`]*)```", guide)
    script = command_line.replace("http://127.0.0.1:8890", server.url)
    done = subprocess.run(["bash", "-c", script], env={**os.environ, "KEY": tokens["analyst"]}, capture_output=True, check=True)
    assert json.loads(done.stdout)["rating"]


def test_likely_mistakes_are_noted_and_faults_are_in_the_readers_language(analyst: httpx.Client) -> None:
    """Units left out, years to come, empty names, and what is wrong in the reader's language."""

    def notes(**changes: Any) -> str:
        answer = analyst.post("/v1/predict/single", json=company(**changes))
        assert answer.status_code == 200, answer.text
        return " ".join(answer.json()["notes"])

    assert "more than ten times" in notes(total_assets=250_000_000.0, total_liabilities=190_000_000.0)
    assert "less than a tenth" in notes(total_assets=2e-6, total_liabilities=1e-6)
    assert "still to come" in notes(fiscal_year=2190)
    assert "units" not in notes() and "to come" not in notes()
    spanish = {"Accept-Language": "es"}
    for body, said in (
        ({"company_id": "  ", "statements": [{"fiscal_year": 2022}]}, "no puede quedar vacío"),
        ({"company_id": "x"}, "dé uno o más"),
        ({**company(), "currency": "euro"}, "tres letras mayúsculas"),
        ({**company(), "as_of": "31/12/2024"}, "2024-12-31"),
        ({**company(), "as_of": ""}, "se escribe"),
    ):
        answer = analyst.post("/v1/predict/single", json=body, headers=spanish)
        assert answer.status_code == 422 and said in answer.text, answer.text
    shock = analyst.post("/v1/stress", json={"shock": {"revenue": -2}}, headers=spanish)
    assert "0,95" in shock.json()["errors"][0]["problem"]
