"""Columns of a person's file as features: learnt from, explained, held to their sign, and a table of ratios alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from conftest import command, merged, new_workspace

from quiebra.canonical import OwnColumn
from quiebra.errors import LeakageError, ParamsError, SourceError, WorkspaceError
from quiebra.feature_engineering import FEATURES, FEATURES_BY_NAME, OWN_FEATURES, feature_inputs, feature_table, use_own_features
from quiebra.feature_engineering.labels_es import concept_label, spanish_label
from quiebra.feature_engineering.sentences import missing_sentence, value_clause
from quiebra.models.trees import TreeTarget, fit_trees, log_odds
from quiebra.panels import build_panel, label_outcomes
from quiebra.params import Table, load_params
from quiebra.registry import registered_model
from quiebra.sources import table
from quiebra.validation.leakage import refuse_leaks
from quiebra.workspace import Workspace

LATE = OwnColumn("late_payments", "Late payments", "Pagos atrasados", 1)
FEATURE_PARAMS = {
    "late_payments": {"label": "Late payments", "label_es": "Pagos atrasados", "sign": 1},
    "opinion": {"label": "Auditor's reservations", "sign": 1, "values": {"clean": 0, "Qualified": 1, "adverse": 2}},
}


@pytest.fixture(autouse=True)
def no_own_features() -> Iterator[None]:
    """Leave no own features to other tests."""
    yield
    use_own_features(())


def firm_years(companies: int, years: int, seed: int = 3) -> pl.DataFrame:
    """Return firm-years whose failures follow late payments and liabilities."""
    rng = np.random.default_rng(seed)
    rows = []
    for company in range(companies):
        debt, weak = rng.uniform(0.3, 0.9), rng.random() < 0.15
        for year in range(2012, 2012 + years):
            late = int(rng.poisson(4.0 if weak else 0.4))
            failed = rng.random() < min(0.9, 0.01 * (1 + 3 * late) * (0.5 + debt))
            rows.append((f"C{company:04}", year, 100.0, 100 * debt, late, ["clean", "qualified", "ADVERSE"][min(late // 3, 2)]))
            rows[-1] = (*rows[-1], f"{year + 1}-09-30" if failed else None)
            if failed:
                break
    names = ["company_id", "fiscal_year", "total_assets", "total_liabilities", "late_payments", "opinion", "event_date"]
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def read(folder: Path, rows: pl.DataFrame, **options: object) -> table.Source:
    path = folder / "rows.csv"
    rows.write_csv(path)
    return table.load(
        path, Table(**{"path": str(path), "columns": {}, "outcomes_through": None, "features": FEATURE_PARAMS, **options})
    )


def test_texts_become_the_numbers_that_params_give_and_others_are_named(tmp_path: Path) -> None:
    rows = firm_years(20, 2).drop("event_date")
    found = read(tmp_path, rows)
    assert found.info.own_columns == (LATE, OwnColumn("opinion", "Auditor's reservations", "Auditor's reservations", 1))
    codes = {"clean": 0.0, "qualified": 1.0, "ADVERSE": 2.0}
    assert found.statements["opinion"].to_list() == [codes[text] for text in rows["opinion"]]
    with pytest.raises(SourceError, match="'none given' in column 'opinion' has no number"):
        read(tmp_path, rows.with_columns(opinion=pl.lit("none given")))


def test_codes_are_exact_and_say_nothing_of_how_amounts_are_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "company_id;fiscal_year;total_assets;total_liabilities;opinion\nA;2020;1.421;1.100;clean\nB;2020;2.500;1.200;bad\n"
    )
    features = {"opinion": {"label": "O", "values": {"clean": 0.12345, "bad": 1234.5}}}
    source = table.load(path, Table(path="x", columns={}, outcomes_through=None, features=features))
    assert source.statements["opinion"].to_list() == [0.12345, 1234.5]
    assert source.statements["total_assets"].to_list() == [1421, 2500], "between semicolons, where nothing else shows it"
    typed = pl.DataFrame(
        {"company_id": ["A", "B"], "fiscal_year": 2020, "total_assets": 5.0, "total_liabilities": 1.0, "opinion": [1.0, 2.0]}
    )
    typed.write_parquet(tmp_path / "t.parquet")
    features = {"opinion": {"label": "O", "values": {"1": 10, "2": 20}}}
    made = table.load(tmp_path / "t.parquet", Table(path="x", columns={}, outcomes_through=None, features=features))
    assert made.statements["opinion"].to_list() == [10, 20]
    with pytest.raises(ValueError, match="'clean' is given twice"):
        Table(path="x", columns={}, outcomes_through=None, features={"o": {"label": "O", "values": {"clean": 1, "Clean ": 2}}})


def test_a_feature_that_is_not_there_is_told(tmp_path: Path) -> None:
    rows = firm_years(5, 2)
    with pytest.raises(SourceError, match="lacks columns: 'opinion'"):
        read(tmp_path, rows.drop("opinion"))
    _, notes = table.read_statements(
        tmp_path / "rows.csv", Table(path="x", columns={}, outcomes_through=None, features=FEATURE_PARAMS), learnt="USD"
    )
    assert any("features of your own that are not there and count as missing: opinion" in str(note) for note in notes)


def test_amounts_are_asked_for_where_the_file_has_any(tmp_path: Path) -> None:
    rows = firm_years(5, 2).rename({"total_assets": "Activos totales"})
    with pytest.raises(SourceError, match="'total_assets'"):
        read(tmp_path, rows)


@pytest.mark.parametrize("name", ["failed", "rule", "assumed", "source", "labelled", "outcome", "accession", "revenue"])
def test_a_feature_is_not_called_as_a_column_of_ours(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=f"'{name}' is the name of a column of ours"):
        read(tmp_path, firm_years(5, 2).with_columns(pl.lit(1.0).alias(name)), features={name: {"label": "x"}})


@pytest.mark.parametrize("name", ["Late payments", "rank_late", "late_change1", "late_growth", "late_lag1", "1late"])
def test_a_feature_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a feature is named by small letters"):
        read(tmp_path, firm_years(2, 2), features={name: {"label": "x"}})


def test_a_name_that_is_taken_is_refused_and_those_of_another_panel_go() -> None:
    for name in ("current_ratio", "altman_z", "revenue", "available_at"):
        with pytest.raises(ParamsError, match=f"there is a column '{name}' already"):
            use_own_features([OwnColumn(name, "x", "x")])
    use_own_features([LATE])
    assert list(FEATURES_BY_NAME) == [*(feature.name for feature in FEATURES), "late_payments"]
    assert spanish_label("late_payments") == "Pagos atrasados" and concept_label("late_payments", "en") == "Late payments"
    assert value_clause("late_payments", 3.0, "es") == "Pagos atrasados: 3" and feature_inputs("late_payments") == (
        {"late_payments"},
        False,
    )
    assert missing_sentence(["cash", "late_payments"], "whole", "en") == "Not in the statement: cash, Late payments"
    use_own_features([OwnColumn("age", "Age", "Edad")])
    assert "late_payments" not in FEATURES_BY_NAME and list(OWN_FEATURES) == ["age"]
    use_own_features(())
    assert len(FEATURES_BY_NAME) == len(FEATURES)


def test_a_column_is_held_to_its_sign(tmp_path: Path) -> None:
    train = load_params(Workspace.find()).train
    rng = np.random.default_rng(1)
    late = rng.poisson(2, 4000).astype(np.float32)
    target = TreeTarget(
        (rng.random(4000) < 0.3 / (1 + late)).astype(float), np.ones(4000)
    )  # the data say the reverse of the sign
    use_own_features([LATE])
    trees = fit_trees(late[:, None], target, ("late_payments",), train, trees=50, seed=1, threads=1)
    scored = log_odds(trees, np.arange(10, dtype=np.float32)[:, None])
    assert (np.diff(scored) >= 0).all()
    use_own_features([OwnColumn("late_payments", "x", "x", 0)])
    free = fit_trees(late[:, None], target, ("late_payments",), train, trees=50, seed=1, threads=1)
    assert log_odds(free, np.arange(10, dtype=np.float32)[:, None])[-1] < scored[0]


def test_a_column_that_is_the_outcome_is_refused(tmp_path: Path) -> None:
    rows = firm_years(800, 5)
    told = rows.with_columns(late_payments=pl.when(pl.col("event_date").is_not_null()).then(9).otherwise(0))
    for data, leaks in ((rows, False), (told, True)):
        panel = build_panel(read(tmp_path, data))
        use_own_features(panel.info.own_columns)
        features = feature_table(panel.statements, panel.companies)
        outcomes = label_outcomes(panel.statements, panel.events)
        if leaks:
            with pytest.raises(LeakageError, match="late_payments"):
                refuse_leaks(features, outcomes)
        else:
            assert not refuse_leaks(features, outcomes)[1]


@pytest.mark.slow
@pytest.mark.parametrize("ratios", [False, True], ids=["beside amounts", "a table of ratios"])
def test_a_whole_run_learns_from_them_and_says_so(tmp_path: Path, ratios: bool) -> None:
    folder = tmp_path / "house"
    rows = firm_years(500, 8)
    if ratios:
        rows = rows.with_columns(debt_ratio=pl.col("total_liabilities") / pl.col("total_assets")).drop(
            "total_assets", "total_liabilities"
        )
    features = {**FEATURE_PARAMS, **({"debt_ratio": {"label": "Debt ratio", "sign": 1}} if ratios else {})}
    options = {"path": "data/raw/rows.csv", "features": features, "currency": "EUR"}
    new_workspace(
        folder, {"ingest": {"source": "table", "table": options}, "validate": {"bootstrap": 50}, "portfolio": {"draws": 1000}}
    )
    (folder / "data/raw").mkdir(parents=True, exist_ok=True)
    rows.write_csv(folder / "data/raw/rows.csv")
    done = command(folder, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    why = pl.read_parquet(folder / "data/scores/reasons.parquet")
    said = why.filter(pl.col("feature") == "late_payments", pl.col("kind") == "raises")
    assert said.height > 5 and said["text"].str.contains(r"^Late payments: \d").all()
    assert said["text_es"].str.contains(r"^Pagos atrasados: \d").all() and (said["code"] == "LATE_PAYMENTS_UP").all()
    drift = pl.read_parquet(folder / "data/monitoring/findings.parquet")
    assert {"late_payments", "opinion"} <= set(drift["subject"])
    record = json.loads((folder / "models/model.json").read_text())
    assert {"late_payments", "opinion"} <= set(record["scorers"]["accounting"]["features"])
    assert "Late payments" in (folder / "reports/build/validation_report.html").read_text()
    scores = pl.read_parquet(folder / "data/scores/scores.parquet")
    assert scores["altman_z1995"].null_count() == scores.height and scores["pd_12m"].is_between(0, 1, closed="none").all()
    if ratios:
        assert "debt_ratio" in record["scorers"]["accounting"]["features"]
    scored = command(folder, "quiebra", "score", "data/raw/rows.csv", "--out", "s.csv")
    assert scored.returncode == 0, scored.stderr
    both = pl.read_csv(folder / "s.csv").join(scores, on="company_id", suffix="_run")
    assert both.height > 100 and ((both["pd_12m"] - both["pd_12m_run"]).abs() < 1e-6).all()
    assert "late_payments" in command(folder, "quiebra", "dictionary").stdout
    judged = "import quiebra as qb; from sklearn.linear_model import LogisticRegression as L; from sklearn.pipeline import make_pipeline as p"
    judged += "; from sklearn.impute import SimpleImputer as S; print(qb.walk_forward(p(S(), L()), ['late_payments']))"
    verdict = command(folder, "python", "-c", judged)
    assert verdict.returncode == 0 and "AUC" in verdict.stdout, verdict.stderr
    content = yaml.safe_load((folder / "params.yaml").read_text())
    del content["ingest"]["table"]["features"]["late_payments"]
    (folder / "params.yaml").write_text(yaml.safe_dump(merged(content, {}), sort_keys=False))
    assert command(folder, "quiebra", "run", "ingest").returncode == 0
    model = next(path.name for path in (folder / "models/registry").iterdir() if path.is_dir())
    with pytest.raises(WorkspaceError, match="that neither this code nor the panel has: late_payments"):
        registered_model(Workspace(folder), model).load()
