"""The register's files: damage, other features, other data, dates before the champion, and what is kept."""

import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import quiebra.feature_engineering.build as build
from quiebra.errors import WorkspaceError
from quiebra.feature_engineering import altman
from quiebra.io.files import read_json, read_table, write_json, write_table
from quiebra.models import extend_history
from quiebra.params import Registry
from quiebra.registry import (
    comparison_in_words,
    list_models,
    previous_champion,
    promote,
    read_scoring_model,
    registered_model,
    roll_back,
)
from quiebra.registry.champion import decide_scoring_model
from quiebra.registry.comparison import ROW_VALUES_FILE, compare_with_champion
from quiebra.registry.register import Register, RegisterEntry, TrainedModel, read_registers, registers_lock, write_registers
from quiebra.workspace import Workspace

BY_GATES, BY_HAND = Registry(promote="when_gates_pass", keep=3), Registry(promote="by_hand", keep=3)


def retrained(workspace: Workspace, name: str, *, failed: list[str] | None = None, **card: str) -> str:
    """Have training leave a model that differs in its card alone; return its id."""
    model, metrics = read_json(workspace.models / "model.json"), read_json(workspace.validation / "figures.json")
    model["card"] |= {"name": name, **card}
    write_json(workspace.models / "model.json", model)
    write_json(workspace.validation / "figures.json", {**metrics, "failed_gates": failed or []})
    return name


def decided(workspace: Workspace, name: str, options: Registry = BY_GATES, **changes) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    """Return id and standing of the model that scores after another was trained, and the id of that one."""
    retrained(workspace, name, **changes)
    charge = decide_scoring_model(workspace, options)
    return charge.model_id, charge.standing


def test_who_takes_over_by_itself_and_what_people_decided_stands(workspace: Path) -> None:
    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    second, standing = decided(w, "second")
    assert second != first and standing == "champion"
    assert decided(w, "second") == (second, "champion"), "the same again decides nothing"
    assert roll_back(w).after == first
    assert decided(w, "second") == (first, "champion"), "a model that people took out of charge does not come back by itself"
    assert decided(w, "third", failed=["too low"]) == (first, "champion")
    with pytest.raises(WorkspaceError, match="is not promoted: too low"):
        promote(w, list_models(w)[0]["model_id"])
    third, _ = decided(w, "third")
    assert third not in (first, second), "once it passes it takes over"
    assert decided(w, "fourth", BY_HAND) == (third, "champion")
    fourth = list_models(w)[0]["model_id"]
    assert promote(w, fourth[:8]).before == third
    assert [(m["version"], m["status"]) for m in list_models(w)] == [
        (4, "champion"),
        (3, "retired"),
        (2, "retired"),
        (1, "retired"),
    ]
    with pytest.raises(WorkspaceError, match="no model has an id starting 'xxxx'"):
        promote(w, "xxxx")


def test_an_experiment_scores_with_its_own_model_and_changes_no_register(workspace: Path) -> None:
    w = Workspace(workspace)
    before = (w.models / "register.json").read_bytes()
    retrained(w, "tried")
    charge = decide_scoring_model(w, BY_GATES, experiment=True)
    assert charge.standing == "experiment" and charge.model_id not in read_registers(w)["demo"].models
    assert (w.models / "register.json").read_bytes() == before


def test_a_date_before_the_champion_is_not_scored_by_what_it_learnt_later(workspace: Path) -> None:
    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    model_id, standing = decided(w, "of another day", as_of="2019-06-30")
    assert (standing, model_id == first) == ("past", False)
    assert read_registers(w)["demo"].champion == first


def test_a_champion_of_another_data_set_gives_way_and_comes_back_with_its_data(workspace: Path) -> None:
    """One table after another has one source: a model is neither measured against the other's nor held to its date."""
    w = Workspace(workspace)
    first, history = read_scoring_model(w).model_id, w.models / "history.parquet"
    before = history.read_bytes()
    table = pl.read_parquet(history)
    table.with_columns(company_id=pl.format("OTHER-{}", "company_id")).write_parquet(history)
    second, standing = decided(w, "other companies, earlier", as_of="2019-06-30")
    assert (standing, second == first) == ("champion", False)
    assert read_registers(w)["demo"].former == (first,)
    assert decided(w, "other companies, failed", as_of="2019-06-30", failed=["too low"]) == (second, "champion")
    history.write_bytes(before)
    as_of = registered_model(w, first).card["as_of"]
    assert decided(w, "the first data, failed", as_of=as_of, failed=["too low"]) == (first, "champion")
    assert read_registers(w)["demo"].former == (second,)


def test_a_model_whose_features_are_made_otherwise_is_refused_by_the_feature(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the code's text differs the reference set is made again and holds; where a value differs it does not."""
    w = Workspace(workspace)
    champion = registered_model(w, read_scoring_model(w).model_id)
    champion.load()
    champion.record["features"]["code_sha256"] = "of another day"
    champion.load()
    table = build.finish_features
    monkeypatch.setattr(
        "quiebra.feature_engineering.build.finish_features",
        lambda *a, **k: table(*a, **k).with_columns(pl.col("liabilities_to_assets") * 1.01),
    )
    with pytest.raises(WorkspaceError, match=r"These differ: liabilities_to_assets\."):
        champion.load()


MONTHS = (24, 36, 48, 60)
LATER = [*(f"pd_{n}m" for n in MONTHS), *(f"pd_{n}m_{end}" for n in MONTHS for end in ("low", "high"))]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (
            lambda patch: patch.setattr(
                "quiebra.models.term.TermStructure.log_odds", lambda term, mixed: term.intercept + term.slope * mixed + 0.5
            ),
            LATER,
        ),
        (
            lambda patch: patch.setattr("quiebra.models.scorer.near_share", lambda horizon, share, decay: share * decay**horizon),
            LATER,
        ),
        (lambda patch: patch.setitem(altman.ALTMAN_ZONES, "altman_z1995", (0.5, 0.6)), ["altman_z1995_zone"]),
        (
            lambda patch: patch.setitem(altman.ALTMAN_SCORES, "altman_z1995", altman.ALTMAN_SCORES["altman_z1995"] * 1.01),
            ["altman_z1995"],
        ),
        (
            lambda patch: patch.setattr(
                "quiebra.models.interval.PdUncertainty.standard_error", lambda spread, mixed: 0.1 + 0 * mixed
            ),
            ["pd_12m_low", "pd_12m_high", *LATER[4:]],
        ),
    ],
    ids=["later hazards", "share of the first year's trees", "Altman's zones", "Altman's weights", "intervals"],
)
def test_whatever_is_published_of_a_score_is_held_against_the_reference_set(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, changed: Callable[[pytest.MonkeyPatch], None], named: list[str]
) -> None:
    w = Workspace(workspace)
    champion = registered_model(w, read_scoring_model(w).model_id)
    champion.record["features"]["code_sha256"] = "of another day"
    changed(monkeypatch)
    with pytest.raises(WorkspaceError, match=rf"These differ: {', '.join(named)}\. Take the change"):
        champion.load()
    path = champion.folder / "reference/expected.parquet"
    before = read_table(path).select("company_id", "fiscal_year", "available_at", "liabilities_to_assets", "log_odds")
    write_table(path, before)
    if "altman_z1995" not in named:
        champion.load()  # a reference set from before holds it to what it has
    else:
        with pytest.raises(WorkspaceError, match=r"These differ: log_odds\."):
            champion.load()


def test_a_promotion_waits_for_a_change_of_the_registers_that_is_under_way(workspace: Path) -> None:
    w = Workspace(workspace)
    (entry,) = list_models(w)
    waiting = threading.Thread(target=promote, args=(w, entry["model_id"]))
    with registers_lock(w):
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        register = read_registers(w)["demo"]
        write_registers(w, {"demo": register.entered("another", None)})
    waiting.join(30)
    assert not waiting.is_alive() and "another" in read_registers(w)["demo"].models


def test_a_damaged_or_lost_model_is_named(workspace: Path) -> None:
    w = Workspace(workspace)
    champion = registered_model(w, read_scoring_model(w).model_id)
    path = champion.folder / "history.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(WorkspaceError, match=rf"{champion.model_id} is damaged \(history\.parquet\)"):
        champion.load()
    shutil.rmtree(champion.folder)
    with pytest.raises(WorkspaceError, match=f"model {champion.model_id} is not kept"):
        registered_model(w, champion.model_id)


def test_a_comparison_refuses_other_data_and_leaves_changed_rows_out(workspace: Path) -> None:
    w = Workspace(workspace)
    champion = registered_model(w, read_scoring_model(w).model_id)
    other = w.registry / "other"
    shutil.copytree(champion.folder, other)
    values = read_table(other / ROW_VALUES_FILE)
    scored = values.join(read_table(w.panel / "statements.parquet"), on=["company_id", "fiscal_year"])
    outcomes = (
        scored.select("company_id", "fiscal_year", failed=pl.col("company_id").hash(1) % 7 == 0)
        .unique()
        .cast({"failed": pl.Int8})
    )
    same = compare_with_champion(champion.folder, other, outcomes)
    assert (same["changed"], same["difference"]["auc"]) == (0, 0)

    def with_changed(rows: int) -> dict:
        edited = values.with_columns(values=pl.when(pl.int_range(pl.len()) < rows).then(pl.lit("x")).otherwise("values"))
        edited.write_parquet(other / ROW_VALUES_FILE)
        return compare_with_champion(champion.folder, other, outcomes)

    few = with_changed(3)
    assert few["difference"]["rows"] == same["difference"]["rows"] - few["changed"] and 0 < few["changed"] <= 3
    most = with_changed(values.height // 2)
    assert most["difference"] is None
    assert "not compared, since the data are others" in str(comparison_in_words(most))


def test_scores_since_the_champion_was_made_go_on_in_its_history(workspace: Path) -> None:
    w = Workspace(workspace)
    champion = registered_model(w, read_scoring_model(w).model_id)
    history, model = read_table(champion.folder / "history.parquet"), champion.load()
    features = read_table(w.features / "features.parquet")
    assert extend_history(history, model, features, dt.date(2023, 6, 30)).equals(history), "nothing was published since"
    model.card["as_of"] = "2021-12-31"
    old = history.filter(pl.col("available_at") <= pl.date(2021, 12, 31))
    now = extend_history(old, model, features, dt.date(2023, 6, 30))
    assert now.height == history.height
    assert now.join(old, on=["company_id", "fiscal_year", "pd_12m"], how="semi").height == old.height
    late = extend_history(old, model, features, dt.date(2021, 12, 31))
    assert late.equals(old)


def test_challengers_are_forgotten_and_former_champions_are_not(workspace: Path) -> None:
    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    for name in "abcdef":
        decided(w, name, BY_HAND)
    names = [model["model_id"] for model in list_models(w)]
    assert len(names) == 1 + 3 + 1, "the champion, three challengers, and the one trained last"
    assert first in names
    assert {path.name for path in w.registry.iterdir()} == set(names)


def test_a_damaged_choice_is_named(workspace: Path) -> None:
    w = Workspace(workspace)
    good = read_json(w.models / "champion.json")
    wrong = ({"failed": "x"}, {"standing": "king"}, {"model_id": "a"}, {"model_sha256": 1}, {"as_of": "soon"}, {"more": 1})
    for text in ("{", '{"model_id": "a"}', *(json.dumps({**good, **part}) for part in wrong)):
        (w.models / "champion.json").write_text(text)
        with pytest.raises(WorkspaceError, match=r"champion\.json is damaged.*run `quiebra run`"):
            read_scoring_model(w)


def test_a_damaged_register_is_named(tmp_path: Path) -> None:
    w = Workspace(tmp_path)
    write_registers(w, {"demo": Register("a", ("b",), TrainedModel("a", []), {"a": RegisterEntry(2), "b": RegisterEntry(1)})})
    assert read_registers(w)["demo"].status("b") == "retired"
    good = read_json(w.models / "register.json")["demo"]
    for wrong in (
        {"champion": 1},
        {"champion": "x"},
        {"former": "b"},
        {"former": ["x"]},
        {"trained": "a"},
        {"models": {"a": 1}},
        {"models": {"a": {"version": "2"}}},
        {"later": None},
    ):
        write_json(w.models / "register.json", {"demo": {**good, **wrong}})
        with pytest.raises(WorkspaceError, match=rf"register\.json is damaged \(.*({next(iter(wrong))}|x is not among)"):
            read_registers(w)
    for text in ("{", "[]", '{"demo": 1}', '{"demo": {}}', "[" * 100_000):
        (w.models / "register.json").write_text(text)
        with pytest.raises(WorkspaceError, match=r"register\.json is damaged .*no former model is known"):
            read_registers(w)


def swapped(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_a_folder_that_holds_another_model_is_not_used(workspace: Path) -> None:
    """Whoever reads models is told, nothing is written over what may be the only copy, and with the names back all is as before."""
    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    second, _ = decided(w, "second")
    before = [(model["model_id"], model["status"], model["auc"]) for model in list_models(w)]
    swapped(w.registry / first, w.registry / second)
    for ask in (
        lambda: registered_model(w, second),
        lambda: list_models(w),
        lambda: roll_back(w),
        lambda: decide_scoring_model(w, BY_GATES),
        lambda: previous_champion(w, "demo", second),
    ):
        with pytest.raises(
            WorkspaceError,
            match=rf"models/registry/({first} holds another model, {second}|{second} holds another model, {first}): give",
        ):
            ask()
    swapped(w.registry / first, w.registry / second)
    assert [(model["model_id"], model["status"], model["auc"]) for model in list_models(w)] == before
    shutil.copytree(w.registry / first, w.registry / second, dirs_exist_ok=True)
    with pytest.raises(
        WorkspaceError, match=rf"models/registry/{second} holds another model, {first}: .* delete this one and run `quiebra run`"
    ):
        decide_scoring_model(w, BY_GATES)
    shutil.rmtree(w.registry / second)
    assert decide_scoring_model(w, BY_GATES).model_id == second, "what was trained last is kept again"


def test_a_choice_that_contradicts_register_or_folder_is_not_followed(workspace: Path) -> None:
    w = Workspace(workspace)
    path = w.models / "champion.json"
    older = path.read_bytes()
    first = read_scoring_model(w).model_id
    second, _ = decided(w, "second")
    newer = read_json(path)
    path.write_bytes(older)
    with pytest.raises(
        WorkspaceError,
        match=rf"says that model {first} scores \(champion\), and models/register\.json does not: run `quiebra run`",
    ):
        read_scoring_model(w)
    for standing in ("none", "past"):
        write_json(path, {**newer, "standing": standing})
        with pytest.raises(WorkspaceError, match=rf"says that model {second} scores \({standing}\)"):
            read_scoring_model(w)
    write_json(path, {**newer, "source": "table"})
    with pytest.raises(WorkspaceError, match=r"models/register\.json does not"):
        read_scoring_model(w)
    write_json(path, {**newer, "model_sha256": newer["model_sha256"][:-1] + "x"})
    with pytest.raises(WorkspaceError, match=rf"the model {second} in models/registry has the SHA-256 .*: run `quiebra run`"):
        registered_model(w, read_scoring_model(w).model_sha256)
    assert roll_back(w).after == first, "who decides anew is not kept from it by the file that he replaces"
    assert read_scoring_model(w).model_id == first


def test_too_few_characters_of_an_id_name_no_model(workspace: Path) -> None:
    """None at all is the start of every id, and one that slipped in is the start of too many."""
    model_id = read_scoring_model(Workspace(workspace)).model_id
    for start in ("", " ", model_id[0], model_id[:3]):
        with pytest.raises(WorkspaceError, match="say which model by its id, or at least its first 4 characters"):
            promote(Workspace(workspace), start)
    assert promote(Workspace(workspace), model_id[:4]).after == model_id
