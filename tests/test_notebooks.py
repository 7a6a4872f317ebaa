"""Notebooks: each runs by nbval, by plain papermill and from its own folder; none carries outputs, functions or paths."""

import ast
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, command
from nbclient import NotebookClient

from quiebra.pipeline.forked_kernels import PROVISIONER, start_factory
from quiebra.pipeline.stage_server import PRELOADED
from quiebra.pipeline.stages import STAGES
from quiebra.provenance import file_sha256

NOTEBOOKS = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "reports").glob("*.ipynb")])
PAGES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "dashboards").glob("*.ipynb"))]
NAMES = [str(path.relative_to(ROOT)) for path in NOTEBOOKS]
RESEARCH = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "notebooks/research").glob("*.ipynb"))]
START = "start.ipynb"
"""The page that JupyterLab opens at."""
FORKED = {"JUPYTER_DEFAULT_PROVISIONER_NAME": PROVISIONER}
NBVAL = f"""
import sys, pytest
from quiebra.pipeline.forked_kernels import start_factory
start_factory({PRELOADED!r})  # kernels are forks of it, as in a run
sys.exit(pytest.main(["--nbval-lax", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def cells(name: str) -> list[dict]:
    return json.loads((ROOT / name).read_text(encoding="utf-8"))["cells"]


def written(workspace: Path) -> dict[str, str]:
    """Path → SHA-256 of everything that stages wrote, the database among it; what SQLite keeps beside it while a reader that was
    ended is not yet forgotten holds nothing of its own."""
    files = [path for top in ("data", "models") for path in (workspace / top).rglob("*") if path.is_file()]
    own = ("scratch", "research")  # results of notebooks run by hand, and the log of verdicts
    kept = [
        path for path in files if not set(own) & set(path.parts) and path.suffix not in (".lock", ".log", ".db-shm", ".db-wal")
    ]
    return {str(path.relative_to(workspace)): file_sha256(path) for path in kept}


def test_there_is_one_for_each_stage() -> None:
    of_companies = {"tear_sheet.ipynb"}  # no stage: `quiebra report company` runs it
    assert {Path(name).name for name in NAMES} == {Path(stage.notebook).name for stage in STAGES.values()} | of_companies


@pytest.mark.parametrize("name", PAGES)
def test_a_pages_notebook_shows_its_figures_and_no_notice(name: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page catches every error, so that running through says nothing: what it shows does."""
    start_factory(PRELOADED)
    for variable, value in FORKED.items():
        monkeypatch.setenv(variable, value)
    notebook = nbformat.read(workspace / name, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(workspace / "dashboards")}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "q-first" in shown
    assert "q-notice" not in shown
    assert not (workspace / "data/logs/dashboards.log").exists()


@pytest.mark.parametrize("folder", ["notebooks", "notebooks/research", "reports", "dashboards"])
def test_run_by_nbval(folder: str, workspace: Path) -> None:
    names = [name for name in (*NAMES, *RESEARCH, *PAGES) if str(Path(name).parent) == folder]
    before = written(workspace)
    done = command(workspace, sys.executable, "-P", "-c", NBVAL, *names, PYTHONPATH=str(workspace / "src"), **FORKED)
    assert done.returncode == 0, done.stdout[-3000:]
    assert written(workspace) == before, "run by hand a notebook writes over nothing, and changes no table of the database"
    count = sum(cell["cell_type"] == "code" for name in names for cell in cells(name))
    assert re.search(rf"^{count} passed", done.stdout, flags=re.M)


def test_runs_by_plain_papermill(workspace: Path) -> None:
    words = ["papermill", "notebooks/04_validate.ipynb", "out.ipynb", "-y", "overrides: {validate: {bootstrap: 20}}"]
    before = written(workspace)
    done = command(workspace, *words, PYTHONPATH=str(workspace / "src"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert written(workspace) == before
    assert (workspace / "data/scratch/data/validation/metrics.json").exists()
    assert '"bootstrap": 20' in (workspace / "out.ipynb").read_text().replace("\\", "")


def test_runs_from_its_own_folder_as_jupyterlab_does(workspace: Path) -> None:
    folder = workspace / "notebooks"
    done = command(folder, "jupyter", "execute", "02_features.ipynb", PYTHONPATH=str(workspace / "src"))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", [*NAMES, *RESEARCH, *PAGES])
def test_is_clean(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = cells(name)
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert len(found) <= (40 if name.startswith("reports") else 24)  # a report has a cell a figure
    assert len({cell["id"] for cell in found}) == len(found)
    assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == int(name in NAMES)
    assert not re.search(r"/(home|root|Users|tmp|work)/", text)
    for cell in code:
        source = "".join(cell["source"])
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10, f"{name}: {node.name} belongs into the package"


def test_the_start_page_lists_every_research_notebook_and_its_links_lead_somewhere() -> None:
    listed = re.findall(r"\]\((\w+\.ipynb)\)", text_of(f"notebooks/research/{START}"))
    assert {Path(name).name for name in RESEARCH} == {START, *listed}
    for name in RESEARCH:
        for link in re.findall(r"\]\(([^)#]+)\)", text_of(name)):
            assert (ROOT / name).parent.joinpath(link).resolve().is_file(), f"{name}: {link}"


def text_of(name: str) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(name))


@pytest.mark.parametrize("name", NAMES)
def test_says_its_purpose_and_checks_its_work(name: str) -> None:
    if name.startswith("reports"):
        assert cells(name)[0]["cell_type"] == "raw"
        return
    text = text_of(name)
    assert "**Purpose.**" in text
    assert "## Checks" in text
    assert "assert " in text


def test_evidence_is_normalised(finished: Path) -> None:
    for path in finished.rglob("*.ipynb"):
        if path.parts[-2] in ("notebooks", "research", "reports", "dashboards"):
            continue
        content = json.loads(path.read_text())
        assert "papermill" not in content["metadata"]
        assert str(finished) not in path.read_text()
        assert any(cell["id"] == "injected-parameters" for cell in content["cells"])
        assert any(cell.get("outputs") for cell in content["cells"])
