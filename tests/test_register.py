"""The register in the database mirrors the files: statuses, versions, comparisons, and who changed what."""

import shutil
from pathlib import Path

import pytest
from conftest import command
from sqlalchemy import Engine

from quiebra import store
from quiebra.io.files import read_json, write_json
from quiebra.registry import promote, read_scoring_model, roll_back
from quiebra.registry.model_files import RECORD_FILE
from quiebra.registry.register import read_registers, write_registers
from quiebra.store import connect, mirror_register, publish_run, registered_models, trace_run, upgrade_schema
from quiebra.store.register import model_standing
from quiebra.store.run_files import read_publication
from quiebra.workspace import Workspace


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'q.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")(f"register{abs(hash(request.node.name)) % 10**8}")
    engine = connect(url)
    upgrade_schema(engine)
    return engine


def another(workspace: Workspace, name: str) -> str:
    """Register a copy of the model in charge under another id, as one that waits."""
    shutil.copytree(workspace.registry / read_scoring_model(workspace).model_id, workspace.registry / name)
    record = read_json(workspace.registry / name / RECORD_FILE)
    write_json(
        workspace.registry / name / RECORD_FILE, {**record, "model_id": name, "model_sha256": name + record["model_sha256"][12:]}
    )
    register = read_registers(workspace)["demo"]
    write_registers(workspace, {"demo": register.entered(name, None)})
    return name


def statuses(engine: Engine) -> dict[str, str]:
    return {model["model_id"]: model["status"] for model in registered_models(engine)}


def test_the_database_mirrors_the_files(engine: Engine, workspace: Path) -> None:
    w = Workspace(workspace)
    first, second = read_scoring_model(w).model_id, another(w, "a0a0a0a0a0a0")
    publish_run(engine, read_publication(w))
    assert statuses(engine) == {first: "champion", second: "challenger"}
    assert [model["version"] for model in registered_models(engine)] == [2, 1]
    run = store.current_run(engine)
    promote(w, second)
    mirror_register(engine, w, who="ana", action="model promoted", why="no gate failed")
    assert statuses(engine) == {first: "retired", second: "champion"}
    assert store.current_run(engine) == run, "what tables show changes with the next run"
    roll_back(w)
    mirror_register(engine, w, who="luis", action="model rolled back", why="rolled back")
    mirror_register(engine, w, who="luis", action="model rolled back", why="rolled back")
    assert statuses(engine) == {first: "champion", second: "retired"}
    latest, before = store.audit_entries(engine, 2)
    assert (latest["action"], latest["who"], latest["before"], latest["after"]) == ("model rolled back", "luis", second, first)
    assert (before["action"], before["who"], before["before"], before["after"]) == ("model promoted", "ana", first, second)
    publish_run(engine, read_publication(w))
    assert trace_run(engine, run)["model_status"] == "champion"
    assert model_standing(engine, second)["status"] == "retired"
    assert store.verify_chain(engine).faults == []


def test_a_champion_that_only_the_database_knows_is_retired(engine: Engine, workspace: Path) -> None:
    w = Workspace(workspace)
    first, second = read_scoring_model(w).model_id, another(w, "a0a0a0a0a0a0")
    promote(w, second)
    mirror_register(engine, w, who="ana", action="model promoted", why="no gate failed")
    shutil.rmtree(w.registry / second)
    register = read_registers(w)["demo"]
    write_registers(w, {"demo": type(register)(first, (), register.trained, {first: register.models[first]})})
    mirror_register(engine, w, who="ana", action="model promoted", why="as models/register.json says")
    assert statuses(engine) == {first: "champion", second: "retired"}


def test_from_the_command_line(workspace: Path) -> None:
    listed = command(workspace, "quiebra", "models")
    assert listed.returncode == 0, listed.stderr
    head, first = (line.split()[:3] for line in listed.stdout.splitlines()[:2])
    model_id, version, status = first
    assert head == ["model", "version", "status"]
    assert (version, status, len(model_id)) == ("1", "champion", 12)
    done = command(workspace, "quiebra", "promote", model_id[:6])
    assert f"{model_id} is the champion" in done.stdout, done.stderr
    back = command(workspace, "quiebra", "rollback")
    assert back.returncode == 1
    assert back.stderr == f"error: no model was champion before {model_id}: there is nothing to go back to\n"
