"""The whole OpenAPI document, asked with what it allows and forbids, as each role: no 5xx, and no answer beyond a role's rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_server import Server, api_server
from conftest import copy_workspace
from hypothesis import HealthCheck, Phase, settings

from quiebra import store
from quiebra.identity import ROLES, Permission, add_user
from quiebra.workspace import Workspace

GOOD = "correct horse battery"
SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


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


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    return schemathesis.openapi.from_url(server.url + "/v1/openapi.json")


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=SLOW, phases=[Phase.explicit, Phase.generate], derandomize=True)
def test_no_request_ends_in_an_error_of_the_server_or_beyond_a_roles_rights(case: Any, tokens: dict[str, str]) -> None:
    needed = case.operation.definition.raw.get("x-permission")
    for role, token in tokens.items():
        answer = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert answer.status_code < 500, (role, answer.text)
        if needed is not None and Permission(needed) not in ROLES[role]:
            assert answer.status_code in (403, 405), (role, answer.status_code, answer.text)
        if answer.status_code >= 400 and answer.content:
            assert answer.headers["content-type"] == "application/problem+json", answer.text
