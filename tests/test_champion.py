"""Who is in charge: a failed model never scores over a good champion, and promote and roll back restore scores to the last digit."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import command, copy_workspace, folder_made_once, merged

from quiebra import store
from quiebra.dashboards.pages.base import frame_html
from quiebra.dashboards.pages.company import CompanyPage
from quiebra.dashboards.pages.company_sheet import company_page_html
from quiebra.dashboards.pages.executive import ExecutivePage
from quiebra.dashboards.pages.model import ModelPage
from quiebra.dashboards.pages.portfolio import PortfolioPage
from quiebra.dashboards.pages.stress import StressPage
from quiebra.delivery.message_texts import report_messages
from quiebra.environment import database_url
from quiebra.errors import WorkspaceError
from quiebra.params import load_params
from quiebra.provenance import file_sha256
from quiebra.registry import promote, read_scoring_model, roll_back, waiting_challenger
from quiebra.registry.register import read_registers, write_registers
from quiebra.risk.scored_company import load_company
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import declare_publisher

STRICT = {"auc": {"pass": 0.995, "watch": 0.99}}
SCORES = ("scores.parquet", "history.parquet", "reasons.parquet", "contributions.parquet", "run.json")


def change(folder: Path, **changes: dict) -> None:
    content = yaml.safe_load((folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(merged(content, changes), sort_keys=False, allow_unicode=True))


def scores(folder: Path) -> dict[str, str]:
    return {name: file_sha256(folder / "data/scores" / name) for name in SCORES}


def ran(folder: Path, *words: str) -> str:
    done = command(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def statuses(folder: Path) -> dict[str, str]:
    return {model["model_id"]: model["status"] for model in store.registered_models(store.connect(database_url(folder)))}


@pytest.fixture(scope="module")
def governed(finished: Path, shared: Path) -> Path:
    """The finished workspace after a run whose model fails a gate, on top of a champion that passed. Take a copy to change it."""

    def make(folder: Path) -> None:
        copy_workspace(finished, folder)
        (folder / "before.json").write_text(json.dumps(scores(folder)))
        change(folder, train={"trees": 41}, validate={"gates": STRICT}, delivery={"recipients": [{"address": "a@b.c"}]})
        (folder / "said").write_text(ran(folder, "quiebra", "run"))

    return folder_made_once(shared, "governed", make)


def test_a_model_that_failed_a_gate_scores_nothing_over_a_good_champion(governed: Path) -> None:
    """Scores, pages and mail stay the champion's; the new model is shown beside it, and cannot be promoted."""
    workspace = Workspace(governed)
    charge, newer = read_scoring_model(workspace), waiting_challenger(workspace, "demo")
    assert newer is not None and newer["model_id"] != charge.model_id
    assert (charge.standing, charge.failed) == ("champion", [])
    assert scores(governed) == json.loads((governed / "before.json").read_text())
    page = (governed / "reports/build/risk_report.html").read_text()
    assert charge.model_sha256 in page
    assert newer["kept"].record["model_sha256"] not in page
    assert not any(heading in page for heading in ("NO CHAMPION", "GATE FAILED"))
    assert charge.model_sha256 in (governed / "reports/build/validation_report.html").read_text()
    (mail,) = report_messages(workspace, load_params(workspace))
    assert "GATE FAILED" not in mail.subject and "GATE FAILED" not in mail.body.decode()
    said = (governed / "said").read_text()
    assert f"model {newer['model_id']} v2, trained last, is not in charge: it failed AUC, out of time" in said
    assert "gates       no gate failed" in said
    assert statuses(governed) == {charge.model_id: "champion", newer["model_id"]: "challenger"}
    with pytest.raises(WorkspaceError, match=r"is not promoted: AUC.*validate\.gates\.auc"):
        promote(workspace, newer["model_id"])


def test_promote_roll_back_and_back_give_the_same_scores_to_the_last_digit(governed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(governed, tmp_path / "workspace", symlinks=True))
    workspace, old = Workspace(folder), scores(folder)
    declare_publisher(workspace)
    change(folder, validate={"gates": {"auc": {"pass": 0.8, "watch": 0.5}}}, registry={"promote": "by_hand"})
    ran(folder, "dvc", "repro", "score")
    first, new = read_scoring_model(workspace).model_id, waiting_challenger(workspace, "demo")["model_id"]
    assert first != new
    assert scores(folder) == old, "by hand: a model that passes waits"
    assert f"{new} is the champion" in ran(folder, "quiebra", "promote", new[:6], "--who", "ana", "--despite")
    ran(folder, "dvc", "repro", "score")
    second = scores(folder)
    assert json.loads((folder / "data/scores/run.json").read_text())["model_sha256"].startswith(new)
    assert second["scores.parquet"] != old["scores.parquet"]
    assert f"{first} is the champion again" in ran(folder, "quiebra", "rollback", "--who", "ana")
    said = ran(folder, "dvc", "repro", "score")
    assert "Running stage 'train'" not in said and "Running stage 'validate'" not in said, "a choice never retrains"
    assert scores(folder) == old
    ran(folder, "quiebra", "rollback", "--who", "ana")
    ran(folder, "dvc", "repro", "score")
    assert scores(folder) == second
    newest = store.audit_entries(store.connect(database_url(folder)), 3)
    assert [(e["action"], e["who"], e["after"]) for e in newest] == [
        ("model rolled back", "ana", new),
        ("model rolled back", "ana", first),
        ("model promoted", "ana", new),
    ]


def test_a_score_of_a_file_comes_from_the_champion_at_once(governed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(governed, tmp_path / "workspace", symlinks=True))
    workspace = Workspace(folder)
    mine = pl.read_parquet(folder / "data/panel/statements.parquet").filter(pl.col("company_id") == "SIM-00001").drop("source")
    mine.write_csv(folder / "mine.csv")
    before = ran(folder, "quiebra", "score", "mine.csv")
    assert before == ran(folder, "quiebra", "score", "mine.csv")
    register = read_registers(workspace)["demo"]
    newer = waiting_challenger(workspace, "demo")["model_id"]
    write_registers(workspace, {"demo": register.succeeded(newer)})
    roll_back(workspace)
    assert ran(folder, "quiebra", "score", "mine.csv") == before
    roll_back(workspace)
    after = ran(folder, "quiebra", "score", "mine.csv")
    assert "GATE FAILED: The model behind these figures is not to be relied on: it failed AUC, out of time." in after
    one, other = (next(line for line in said.splitlines() if line.startswith("SIM-00001,")) for said in (before, after))
    assert one != other


def test_without_a_champion_everything_says_so(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first model that fails a gate scores, and each page, mail and answer carries the banner, in the reader's language."""
    for name in ("champion.json", "register.json"):
        (workspace / "models" / name).unlink()
    shutil.rmtree(workspace / "models/registry")
    change(workspace, validate={"gates": STRICT}, delivery={"recipients": [{"address": "a@b.c"}]}, report={"lang": "es"})
    said = ran(workspace, "quiebra", "run")
    assert "NO CHAMPION: No model has been put in charge" in said
    assert "GATE FAILED: " in said
    for name in ("risk_report", "validation_report"):
        page = (workspace / f"reports/build/{name}.html").read_text()
        assert "SIN MODELO CAMPEÓN" in page and "PRUEBA NO SUPERADA" in page
    (mail,) = report_messages(Workspace(workspace), load_params(Workspace(workspace)))
    assert "SIN MODELO CAMPEÓN: PRUEBA NO SUPERADA: SIMULADO: " in mail.subject
    monkeypatch.chdir(workspace)
    for page in (ExecutivePage, CompanyPage, PortfolioPage, ModelPage, StressPage):
        shown = frame_html(page(), Words("en"))
        assert shown.count("NO CHAMPION: ") == shown.count("GATE FAILED: ") == 1, page.name
    base = FinishedRunView(Workspace(workspace))
    sheet = company_page_html(base, load_company(base, base.scores["company_id"][0]), Words("es"))
    assert "SIN MODELO CAMPEÓN: " in sheet
    assert set(statuses(workspace).values()) == {"challenger"}
