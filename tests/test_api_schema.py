"""The whole OpenAPI document, asked with what it allows and forbids, as each role: no 5xx, and no answer beyond a role's rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_server import Server, api_server
from conftest import copy_workspace
from hypothesis import HealthCheck, Phase, given, settings

from quiebra import store
from quiebra.identity import ROLES, Permission, add_user
from quiebra.workspace import Workspace

GOOD = "correct horse battery"


@pytest.fixture(scope="module")
def server(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = copy_workspace(finished, tmp_path_factory.mktemp("schema") / "workspace")
    engine = store.open_database(Workspace(folder))
    admin = add_user(engine, "the admin", "admin", GOOD, None)
    for role in ROLES:
        if role != "admin":
            add_user(engine, f"the {role}", role, GOOD, admin)
    engine.dispose()
    with api_server(folder) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    with server.client(None) as client:
        asked = {role: {"name": f"the {role}", "password": GOOD} for role in ROLES}
        return {role: client.post("/v1/token", json=body).json()["access_token"] for role, body in asked.items()}


QUIET = settings(
    max_examples=5,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


@schemathesis.serializer("application/x-ndjson")
def as_text(_context: Any, value: Any) -> bytes:
    return value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()


def check(case: Any, tokens: dict[str, str]) -> None:
    """Ask as each role: no error of the server, no answer beyond the role's rights, and problem details for what is refused."""
    needed = case.operation.definition.raw.get("x-permission")
    for role, token in tokens.items():
        answer = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=120)
        assert answer.status_code < 500, (role, case.operation.label, answer.text)
        if needed is not None and Permission(needed) not in ROLES[role]:
            assert answer.status_code in (403, 405, 415), (role, case.operation.label, answer.status_code, answer.text)
        if answer.status_code >= 400 and answer.content:
            assert answer.headers["content-type"] == ["application/problem+json"], answer.text


def test_no_request_ends_in_an_error_of_the_server_or_beyond_a_roles_rights(server: Server, tokens: dict[str, str]) -> None:
    document = schemathesis.openapi.from_url(server.url + "/v1/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        QUIET(given(operation.as_strategy())(lambda case: check(case, tokens)))()
