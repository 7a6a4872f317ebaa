"""The house keeps its rules: one direction, complete deps, documented commands, no outside address."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import yaml
from conftest import ROOT, command
from typer.testing import CliRunner

from quiebra.cli.app import app
from quiebra.pipeline.stages import CHAMPION_STAGE, INPUTS_STAGE, PUBLISHER_STAGE, STAGES
from quiebra.provenance import RESULT_PACKAGES
from quiebra.registry.reference_set import SCORING_PACKAGES

STAGES_YAML = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
BASE = {
    "brand",
    "canonical",
    "cli",
    "environment",
    "errors",
    "io",
    "items",
    "params",
    "pipeline",
    "progress",
    "provenance",
    "terminal",
    "workspace",
}
BASE_MODULES = {"quiebra", "quiebra.text", "quiebra.text.person_input"}
"""What changes no stage's numbers by itself, or is declared by sections of params."""


def test_dependencies_point_one_way() -> None:
    done = command(ROOT, "lint-imports", "--no-cache")
    assert done.returncode == 0, done.stdout[-1500:]


def test_code_is_formatted_and_linted() -> None:
    for words in (("check",), ("format", "--check")):
        done = command(ROOT, "ruff", *words, "--no-cache", ".")
        assert done.returncode == 0, done.stdout[-3000:]
    books = command(ROOT, "ruff", "check", "--no-cache", "--isolated", "--select", "F", "notebooks", "reports", "dashboards")
    assert books.returncode == 0, books.stdout[-3000:]


def test_types_hold() -> None:
    done = command(ROOT, "mypy")
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_picture_of_the_packages_shows_the_imports_as_they_are() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import packages
    finally:
        sys.path.pop(0)
    drawn = [name for row in packages.ROWS.values() for name in row]
    assert set(drawn) <= {name for row in packages.layers() for name in row}
    picture = (ROOT / "docs/packages.svg").read_text(encoding="utf-8").replace("&gt;", ">")
    assert packages.described(packages.imports()) in picture, "draw it anew: python docs/packages.py"


def test_every_stage_has_its_notebook_and_evidence() -> None:
    assert {*STAGES, INPUTS_STAGE, CHAMPION_STAGE, PUBLISHER_STAGE} == set(STAGES_YAML)
    for name, stage in STAGES.items():
        assert (ROOT / stage.notebook).is_file()
        assert stage.evidence in {next(iter(out)) if isinstance(out, dict) else out for out in STAGES_YAML[name]["outs"]}
        assert stage.notebook in STAGES_YAML[name]["deps"]


@pytest.mark.parametrize("name", list(STAGES))
def test_deps_name_every_package_that_the_notebook_uses(name: str) -> None:
    """What changes a stage's numbers re-runs it. Pictures and page setting may change without a stage running again,
    but for the reports, which are made of them."""
    graph = grimp.build_graph("quiebra", cache_dir=None)
    if name == CHAMPION_STAGE:
        named = {"quiebra.registry.champion"}
    else:
        text = (ROOT / STAGES[name].notebook).read_text(encoding="utf-8")
        named = set(re.findall(r"from (quiebra\.[\w.]+) import", text))
    if name.endswith("report"):
        named |= {"quiebra.plots", "quiebra.reports.publisher"}
    else:
        named -= {module for module in named if module.startswith(("quiebra.plots", "quiebra.reports"))}
    reached = named.union(*(graph.find_upstream_modules(module) for module in named))
    packages = {module.split(".")[1] for module in reached - BASE_MODULES} - BASE
    declared = {Path(dep).with_suffix("").parts[2] for dep in STAGES_YAML[name]["deps"] if dep.startswith("src/quiebra/")}
    assert packages
    assert packages <= declared, f"{name}: dvc.yaml lacks deps on {sorted(packages - declared)}"


def test_packages_that_records_hash_are_there() -> None:
    package = ROOT / "src/quiebra"
    for name in {*RESULT_PACKAGES, *SCORING_PACKAGES}:
        assert (package / name / "__init__.py").is_file(), name


def test_every_command_is_documented_and_has_an_example() -> None:
    readme = (ROOT / "docs/daily-use.md").read_text(encoding="utf-8")

    def help_of(*words: str) -> str:
        return CliRunner().invoke(app, [*words, "--help"]).stdout

    shown = help_of()
    names = re.findall(r"^  ([a-z]+) {2,}", shown.split("Commands:")[1], flags=re.M)
    assert set(names) == {
        "check",
        "doctor",
        "fetch",
        "run",
        "publish",
        "report",
        "trace",
        "models",
        "promote",
        "rollback",
        "score",
        "dashboards",
        "serve",
        "work",
        "dictionary",
        "alerts",
        "watch",
        "override",
        "outbox",
        "users",
        "keys",
        "audit",
        "schedule",
    }
    for name in names:
        assert f"quiebra {name}" in readme, name
        help_ = help_of(name)
        if "Commands:" not in help_:
            assert "Example" in help_, name
            continue
        for part in re.findall(r"^  ([a-z]+) {2,}", help_.split("Commands:")[1], flags=re.M):
            assert f"Example: quiebra {name} {part}" in help_of(name, part), (name, part)


def test_make_lists_its_targets_and_each_is_in_the_documents() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+) ", listed, flags=re.M)
    assert set(targets) == {
        "help",
        "setup",
        "run",
        "test",
        "test-fast",
        "coverage",
        "lab",
        "fast",
        "dashboards",
        "serve",
        "docs",
        "bench",
        "clean",
    }
    documents = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/daily-use.md"))
    assert all(f"make {target}" in documents for target in targets if target != "help")


def test_the_lock_has_no_index_and_covers_the_dependencies() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--" not in lock.replace("# uv", "")
    import tomllib

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [
        re.split(r"[\[>=<]", d)[0]
        for d in (
            *wanted["project"]["dependencies"],
            *wanted["dependency-groups"]["test"],
            *wanted["dependency-groups"]["research"],
        )
    ]
    locked = {line.split("==")[0].lower() for line in lock.splitlines() if "==" in line}
    assert {name.lower() for name in names} <= locked


def test_importing_the_package_does_nothing_heavy() -> None:
    code = "import sys, quiebra.cli.app; print([m for m in ('polars', 'xgboost', 'papermill', 'matplotlib') if m in sys.modules])"
    assert command(ROOT, sys.executable, "-c", code).stdout.strip() == "[]"
