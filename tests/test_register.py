"""The register: the first good model takes charge, a failed one never does, and the former one can come back."""

import copy
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from conftest import command
from sqlalchemy import Engine, text

from quiebra import store
from quiebra.errors import StoreError
from quiebra.store import connect, models, promote, publish, roll_back, trace, upgrade
from quiebra.store.files import publication
from quiebra.store.publish import Publication
from quiebra.store.register import against, previous, standing
from quiebra.workspace import Workspace


def another(what: Publication, name: str, failed: list[str]) -> Publication:
    """The same publication, by a model and a run of other names."""
    run = {**copy.deepcopy(what.run), "run_id": f"run-{name}", "model_sha256": name * 8}
    return replace(what, run=run, metrics={**what.metrics, "failed_gates": failed})


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'q.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")(f"register{abs(hash(request.node.name)) % 10**8}")
    engine = connect(url)
    upgrade(engine)
    return engine


def statuses(engine: Engine) -> dict[str, str]:
    return {m["model_id"][:1]: m["status"] for m in models(engine)}


def test_models_are_promoted_refused_and_rolled_back(engine: Engine, finished: Path) -> None:
    what = publication(Workspace(finished))
    with pytest.raises(StoreError, match="no model is the champion"):
        roll_back(engine, who="ana")
    publish(engine, another(what, "bad", ["AUC is too low (validate.gates.auc)"]))
    assert statuses(engine) == {"b": "challenger"}
    publish(engine, another(what, "first", []))
    publish(engine, another(what, "next", []))
    assert statuses(engine) == {"b": "challenger", "f": "champion", "n": "challenger"}
    assert [m["version"] for m in models(engine)] == [3, 2, 1]
    with pytest.raises(StoreError, match=r"badbadbadbad is not promoted: AUC is too low \(validate\.gates\.auc\)"):
        promote(engine, "bad", who="ana")
    with pytest.raises(StoreError, match="nothing to go back to"):
        roll_back(engine, who="ana")
    promote(engine, "next", who="ana")
    assert statuses(engine) == {"b": "challenger", "f": "retired", "n": "champion"}
    before = previous(engine, "demo", "nextnextnext")
    assert (before["model_id"], before["status"]) == ("firstfirstfi", "retired")
    assert previous(engine, "demo", "badbadbadbad")["model_id"] == "nextnextnext", "a challenger is measured against the champion"
    assert previous(engine, "american", "x") is None
    publish(engine, another(what, "first", []))
    assert statuses(engine)["f"] == "retired", "publishing again does not change who is in charge"
    assert roll_back(engine, who="ana") == "firstfirstfi"
    latest, before = (e for e in store.entries(engine, 3) if e["action"] != "run published")
    assert (latest["action"], latest["who"], latest["after"]) == ("model rolled back", "ana", "firstfirstfi")
    assert (before["action"], before["before"], before["after"]) == ("model promoted", "firstfirstfi", "nextnextnext")
    assert statuses(engine) == {"b": "challenger", "f": "champion", "n": "retired"}
    assert trace(engine, "run-next")["model_status"] == "retired"
    with pytest.raises(StoreError, match="no model has an id starting 'x'; there are: badbad"):
        promote(engine, "x", who="ana")


def worse(what: Publication, name: str) -> Publication:
    """A model that ranks companies the other way round."""
    turned = what.scores.with_columns(pd_12m=1 - pl.col("pd_12m"))
    return replace(another(what, name, []), scores=turned)


def test_a_model_is_judged_against_the_champion_on_the_same_rows(engine: Engine, finished: Path) -> None:
    what = publication(Workspace(finished))
    publish(engine, another(what, "first", []))
    assert standing(engine, "firstfirstfi")["comparison"] is None, "there is no other champion"
    publish(engine, another(what, "alike", []))
    same = standing(engine, "alikealikeal")["comparison"]
    assert same["champion"] == "firstfirstfi"
    assert same["difference"]["auc"] == 0 and same["difference"]["rows"] == what.outcomes.join(
        what.scores.filter(pl.col("kind") == "history"), on=["company_id", "fiscal_year"]).height  # fmt: skip
    publish(engine, worse(what, "worse"))
    bad = standing(engine, "worseworsewo")["comparison"]
    assert bad["figures"]["model"]["auc"] == pytest.approx(1 - bad["figures"]["champion"]["auc"], abs=1e-5)
    with pytest.raises(StoreError, match=r"ranks worse than the champion, against firstfirstfi on the same [\d,]+ rows: AUC −0\.\d+"):
        promote(engine, "worse", who="ana")
    assert promote(engine, "worse", who="ana", despite=True) == "worseworsewo"
    assert promote(engine, "alike", who="ana") == "alikealikeal", "what it was compared with is no longer in charge"
    assert "against firstfirstfi" in against(same)
    publish(engine, another(what, "alike", []))
    assert standing(engine, "alikealikeal")["comparison"] == same, "in charge now, it keeps what it was promoted on"
    publish(engine, replace(another(what, "strange", []), outcomes=what.outcomes.with_columns(failed=pl.lit(0, pl.Int8))))
    unknown = standing(engine, "strangestran")["comparison"]
    assert unknown["champion"] == "alikealikeal" and "share no failure" in against(unknown)
    assert promote(engine, "strange", who="ana") == "strangestran", "nothing speaks against it"
    with engine.connect() as connection:
        missing = connection.scalar(text("SELECT count(*) FROM modelos WHERE comparison IS NULL"))
    assert missing == 1, "only the first had none to be compared with"


def test_from_the_command_line(workspace: Path) -> None:
    listed = command(workspace, "quiebra", "models")
    assert listed.returncode == 0, listed.stderr
    model_id, version = listed.stdout.split()[:2]
    assert version == "v1" and len(model_id) == 12
    done = command(workspace, "quiebra", "promote", model_id[:6])
    failed = "failed:" in listed.stdout
    assert done.returncode == int(failed), done.stdout + done.stderr
    assert ("is not promoted" in done.stderr) if failed else (f"{model_id} is the champion" in done.stdout)
    assert command(workspace, "quiebra", "rollback").returncode == 1
