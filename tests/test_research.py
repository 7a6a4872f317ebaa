"""The research interface: estimators judged as the champion is, on training rows alone, and every verdict on record."""

from __future__ import annotations

import datetime as dt
import json
import pkgutil
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import copy_workspace
from lifelines import WeibullAFTFitter
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import quiebra as qb
from quiebra.errors import LeakageError, ResearchError
from quiebra.io.files import read_json, read_table, write_json, write_table
from quiebra.research import trials
from quiebra.research.run import open_run

pytestmark = pytest.mark.slow
LOGIT = make_pipeline(
    qb.Winsorizer(), SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(C=1e6, max_iter=1000)
)


def predictions(verdict: qb.Verdict) -> pd.DataFrame:
    return verdict.predictions.set_index(["company_id", "fiscal_year"])[verdict.name]


# --- tables


@pytest.mark.parametrize("name", ["panel", "statements", "features", "labels", "scores"])
def test_tables_are_pandas_or_polars_with_the_same_values(finished: Path, name: str) -> None:
    make = getattr(qb, name)
    pandas, polars = make(workspace=finished), make("polars", finished)
    assert isinstance(pandas, pd.DataFrame) and isinstance(polars, pl.DataFrame)
    assert list(pandas.columns) == polars.columns and len(pandas) == polars.height > 100
    for name, kind in polars.schema.items():
        if kind.is_float():
            assert np.allclose(pandas[name].to_numpy(), polars[name].fill_null(np.nan).to_numpy(), equal_nan=True), name
        if kind == pl.Date:
            assert pandas[name].dt.date.astype(object).where(pandas[name].notna(), None).tolist() == polars[name].to_list()


def test_the_panel_has_one_row_per_firm_year_and_outcomes_only_where_they_are_known(finished: Path) -> None:
    panel = qb.panel(workspace=finished)
    assert not panel.duplicated(["company_id", "fiscal_year"]).any()
    through = read_json(finished / "data/panel/source.json")["outcomes_through"]
    later = panel[panel["fiscal_year"] > through]
    assert len(later) and later.loc[later["outcome"] != "failed", "failed"].isna().all()
    assert panel.loc[panel["fiscal_year"] <= through, "failed"].isin([0, 1]).all()
    failed = panel[panel["failed"] == 1]
    assert len(failed) > 20 and failed["company_id"].is_unique


def test_a_workspace_is_found_from_a_folder_in_it_or_missed_in_words(
    finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(finished / "notebooks")
    assert len(qb.scores())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(qb_error("WorkspaceError"), match=r"no params\.yaml"):
        qb.scores()
    with pytest.raises(ResearchError, match="did you mean 'pandas'"):
        qb.scores("panda", finished)


def qb_error(name: str) -> type[Exception]:
    import quiebra.errors

    return getattr(quiebra.errors, name)


def test_the_interface_is_listed_and_costs_commands_nothing() -> None:
    from quiebra import research

    assert sorted(research.__all__) == sorted(qb.__all__) and set(qb.__all__) <= set(dir(qb))
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        qb.walk  # noqa: B018
    modules = {module.name for module in pkgutil.iter_modules(qb.__path__)}
    assert not modules & set(qb.__all__), "a module would take the place of a function once it is imported"
    words = "import sys, quiebra.cli.app; sys.exit('pandas' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


# --- verdicts


def test_the_logistic_regression_on_six_ratios_has_the_benchmark_tables_figures(workspace: Path) -> None:
    contest = read_json(workspace / "data/validation/pack.json")["contest"]
    verdict = qb.walk_forward(LOGIT, name="six ratios", open_last_year=True, workspace=workspace)
    assert verdict.figures_of["six ratios"] == contest["figures"]["logistic, six ratios"]
    assert verdict.figures_of["champion"] == contest["figures"]["blend"]
    theirs = contest["blend minus"]["logistic, six ratios"]
    assert {name: -value for name, value in theirs.items() if name in ("auc", "ks", "brier")} == pytest.approx(
        {name: verdict.figures_of["difference"][name] for name in ("auc", "ks", "brier")}
    )
    table = verdict.figures.set_index("figure")
    assert table.loc["AUC", "six ratios"] == contest["figures"]["logistic, six ratios"]["auc"]
    ours = qb.walk_forward(qb.ratio_logit(), name="the same", workspace=workspace)
    assert ours.sealed == max(verdict.years) and ours.years == verdict.years[:-1]
    assert predictions(ours).equals(predictions(verdict).loc[predictions(ours).index].rename("the same"))


def poison(folder: Path, year: int) -> None:
    """Spoil what was published after the end of the year, but for the statements of that year, and forget what happened then."""
    end = dt.date(year, 12, 31)
    features = read_table(folder / "data/features/features.parquet")
    later = (pl.col("available_at") > end) & (pl.col("fiscal_year") != year)
    numbers = [name for name, kind in features.schema.items() if kind.is_float()]
    spoilt = features.with_columns(pl.when(later).then(pl.col(numbers) * -7 + 1000).otherwise(pl.col(numbers)))
    write_table(folder / "data/features/features.parquet", spoilt)
    events = read_table(folder / "data/panel/events.parquet")
    gone = events.filter(pl.col("event_date") <= end)
    write_table(folder / "data/panel/events.parquet", gone)
    hashes = read_json(folder / "data/scores/run.json")
    from quiebra.provenance import hash_files

    hashes["data"]["panel"] = hash_files((folder / "data/panel").glob("*.parquet"))
    (folder / "data/scores/run.json").write_text(json.dumps(hashes))


@pytest.mark.parametrize(
    "estimator",
    [qb.ratio_logit(), HistGradientBoostingClassifier(max_iter=20, random_state=1), qb.BoostedTrees(trees=20)],
    ids=["logit", "boosting", "trees"],
)
def test_later_rows_and_outcomes_that_are_poisoned_change_no_prediction(finished: Path, tmp_path: Path, estimator) -> None:  # type: ignore[no-untyped-def]
    clean, poisoned = (copy_workspace(finished, tmp_path / name) for name in ("clean", "poisoned"))
    run = open_run(clean)
    year = run.test_years[2]
    poison(poisoned, year)
    before, after = (walked(folder, estimator, [year]) for folder in (clean, poisoned))
    assert before.height > 20
    assert before.equals(after)


def walked(folder: Path, estimator: object, years: list[int]) -> pl.DataFrame:
    from quiebra.research.walk import walk_estimator

    run = open_run(folder)
    return walk_estimator(run, estimator, run.features, list(qb.SIX_RATIOS), years, "it")


class RanksTestRows(ClassifierMixin, BaseEstimator):
    """Uses the other companies of the year that it predicts."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> RanksTestRows:
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        place = X.iloc[:, 0].rank(pct=True, na_option="keep").fillna(0.5).to_numpy()
        return np.column_stack([1 - place, place])


class Remembers(ClassifierMixin, BaseEstimator):
    """Keeps the training rows of every fit, of later years too."""

    seen: list[float] = []  # noqa: RUF012  # it is what is tested

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Remembers:
        self.seen.append(float(np.mean(y)))
        self.classes_, self.rate_ = np.array([0, 1]), float(np.mean(self.seen))
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (RanksTestRows(), "changes with the other companies that it predicts"),
        (Remembers(), "keeps something between fits, or is random"),
        (make_pipeline(SimpleImputer(), RandomForestClassifier(5)), "give it a random_state"),
    ],
    ids=["other rows", "memory", "random"],
)
def test_an_estimator_that_uses_more_than_its_training_rows_is_refused(finished: Path, estimator: object, words: str) -> None:
    with pytest.raises(LeakageError, match=words):
        qb.walk_forward(estimator, workspace=finished)


class ExpandingMean(RanksTestRows):
    """Uses the companies that published before in the same year."""

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        mean = X.iloc[:, 1].fillna(0).expanding().mean().to_numpy()
        pds = 1 / (1 + np.exp(-mean))
        return np.column_stack([1 - pds, pds])


class KeepsTestRows(ClassifierMixin, BaseEstimator):
    """Trains on test rows of earlier folds too."""

    kept: list[int] = []  # noqa: RUF012  # it is what is tested

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> KeepsTestRows:
        earlier = [rows for rows in self.kept if rows < len(X)]
        self.classes_, self.rate_ = np.array([0, 1]), min(0.9, float(np.mean(y)) + 0.01 * len(set(earlier)))
        self.kept.append(len(X))
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))


@pytest.mark.parametrize("estimator", [ExpandingMean(), KeepsTestRows()], ids=["earlier rows", "earlier folds"])
def test_what_it_has_seen_of_earlier_rows_and_folds_is_refused_too(finished: Path, estimator: object) -> None:
    with pytest.raises(LeakageError, match="is refused"):
        qb.walk_forward(estimator, workspace=finished)


def in_place(X: pd.DataFrame) -> pd.DataFrame:
    X.fillna(0, inplace=True)
    X.iloc[:, 0] -= 1
    return X


class Careless(LogisticRegression):
    """Cannot be cloned: it changes what it is given."""

    def __init__(self, names: list[str] | None = None) -> None:
        super().__init__()
        self.names = list(names or ("a",))


class InWords(ClassifierMixin, BaseEstimator):
    def fit(self, X: pd.DataFrame, y: np.ndarray) -> InWords:
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return np.array([["unlikely", "likely"]] * len(X))


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(FunctionTransformer(in_place), HistGradientBoostingClassifier(max_iter=10, random_state=1)),
        make_pipeline(
            SimpleImputer(), FunctionTransformer(np.abs), FunctionTransformer(np.log1p), LogisticRegression(max_iter=500)
        ),
        GridSearchCV(make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)), {"logisticregression__C": [0.1, 1]}, cv=3),
        make_pipeline(SimpleImputer(), qb.BoostedTrees(trees=10)),
        make_pipeline(
            qb.Winsorizer(), SimpleImputer(), StandardScaler(), qb.SurvivalClassifier(WeibullAFTFitter(penalizer=0.05))
        ),
    ],
    ids=["in place", "logarithms", "grid", "trees in a pipeline", "survival in a pipeline"],
)
def test_honest_estimators_are_judged(workspace: Path, estimator: object) -> None:
    assert qb.walk_forward(estimator, workspace=workspace).ideas == 1


@pytest.mark.parametrize(
    ("estimator", "features", "words"),
    [
        (LogisticRegression, qb.SIX_RATIOS, r"not its class: LogisticRegression\(\)"),
        (Perceptron(), qb.SIX_RATIOS, "no predict_proba.*CalibratedClassifierCV"),
        ("logit", qb.SIX_RATIOS, "str has no get_params"),
        (LogisticRegression(), qb.SIX_RATIOS, "takes no missing value.*SimpleImputer"),
        (Careless(), qb.SIX_RATIOS, "Careless cannot be copied by sklearn.base.clone"),
        (InWords(), qb.SIX_RATIOS, "predict_proba gives something that is no number"),
        (LOGIT, [], "name at least one feature"),
        (LOGIT, ["market_leverag"], "no feature 'market_leverag' .*did you mean 'market_leverage'"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_remedy(
    finished: Path, estimator: object, features: object, words: str
) -> None:
    with pytest.raises(ResearchError, match=words):
        qb.walk_forward(estimator, features, workspace=finished)


def test_a_log_that_cannot_be_written_is_told_before_the_work(workspace: Path) -> None:
    (workspace / "data/research/verdicts.jsonl").mkdir(parents=True)
    with pytest.raises(ResearchError, match=r"the log of verdicts cannot be written: .*verdicts\.jsonl"):
        qb.walk_forward(LOGIT, own=lambda _: pytest.fail("the work had begun"), workspace=workspace)


# --- features of one's own


def growth(statements: pd.DataFrame) -> pd.DataFrame:
    """Growth of revenue on the statement published before."""
    table = statements.sort_values(["company_id", "available_at", "fiscal_year"])
    before = table.groupby("company_id")["revenue"].shift()
    return table[["company_id", "fiscal_year", "available_at"]].assign(revenue_growth=table["revenue"] / before - 1)


def looks_ahead(statements: pd.DataFrame) -> pd.DataFrame:
    table = statements.sort_values(["company_id", "available_at", "fiscal_year"])
    after = table.groupby("company_id")["revenue"].shift(-1)
    return table[["company_id", "fiscal_year", "available_at"]].assign(next_growth=after / table["revenue"] - 1)


def standardised(statements: pd.DataFrame) -> pd.DataFrame:
    table = statements[["company_id", "fiscal_year", "available_at"]]
    return table.assign(size=(statements["total_assets"] - statements["total_assets"].mean()) / statements["total_assets"].std())


def of_the_year(statements: pd.DataFrame) -> pd.DataFrame:
    """The mean of all that publish in the same calendar year, later ones too."""
    mean = statements.groupby(statements["available_at"].dt.year)["total_assets"].transform("mean")
    return statements[["company_id", "fiscal_year", "available_at"]].assign(year_mean=mean)


def only_later(statements: pd.DataFrame) -> pd.DataFrame:
    """An honest feature that there is from 2019 on."""
    table = statements[["company_id", "fiscal_year", "available_at"]]
    return table.assign(late=statements["cash"].where(statements["fiscal_year"] >= 2019))


def test_a_feature_of_ones_own_is_judged_and_one_that_looks_ahead_is_refused(workspace: Path) -> None:
    trees = qb.BoostedTrees(trees=30)
    without = qb.walk_forward(trees, name="without", workspace=workspace)
    with_it = qb.walk_forward(trees, own=growth, name="with growth", workspace=workspace)
    assert with_it.features == (*qb.SIX_RATIOS, "revenue_growth")
    assert not predictions(with_it).equals(predictions(without))
    told = qb.compare(with_it, without)
    assert told.names == ("with growth", "without")
    figures = told.figures.set_index("figure")
    assert figures.loc["AUC", "difference"] == pytest.approx(
        figures.loc["AUC", "with growth"] - figures.loc["AUC", "without"], abs=2e-6
    )
    for spoilt, name in ((looks_ahead, "next_growth"), (standardised, "size"), (of_the_year, "year_mean")):
        with pytest.raises(LeakageError, match=f"the feature '{name}' looks ahead"):
            qb.walk_forward(trees, own=spoilt, workspace=workspace)
    everything = growth(qb.statements(workspace=workspace))
    with pytest.raises(LeakageError, match="uses something else than its argument"):
        qb.walk_forward(trees, own=lambda statements: everything, workspace=workspace)
    with pytest.raises(LeakageError, match="looks ahead"):
        qb.fit(trees, own=of_the_year, workspace=workspace)
    late = qb.walk_forward(trees, own=only_later, workspace=workspace)
    assert re.search(r"Share of statements that have a value: .*late \d+", repr(late))


def test_pandas_in_is_pandas_out_and_polars_polars(workspace: Path) -> None:
    polars = qb.statements("polars", workspace).select("company_id", "fiscal_year", own=pl.col("cash") / pl.col("total_assets"))
    polars = polars.unique(["company_id", "fiscal_year"])
    pandas = polars.to_pandas()
    verdicts = [
        qb.walk_forward(qb.ratio_logit(), own=own, workspace=workspace)
        for own in (polars, pandas, pandas.set_index(["company_id", "fiscal_year"]))
    ]
    assert isinstance(verdicts[0].predictions, pl.DataFrame) and isinstance(verdicts[0].figures, pl.DataFrame)
    assert all(isinstance(verdict.predictions, pd.DataFrame) for verdict in verdicts[1:])
    assert verdicts[0].ideas == verdicts[1].ideas == verdicts[2].ideas == 1, "the same values are the same idea"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (pd.DataFrame({"company_id": ["A"], "own": [1.0]}), "no column fiscal_year"),
        (pd.DataFrame({"company_id": ["A"], "fiscal_year": [2015], "own": [1.0]}), "matches no statement.*A, 2015"),
        (pd.DataFrame({"company_id": ["A"] * 2, "fiscal_year": [2015] * 2, "own": [1.0, 2.0]}), "several rows for A, 2015"),
        (pd.DataFrame({"company_id": ["A"], "fiscal_year": [2015], "own": ["x"]}), "not numbers: own"),
        (pd.DataFrame({"company_id": ["A"], "fiscal_year": ["now"], "own": [1.0]}), "fiscal_year whole numbers"),
        (
            pd.DataFrame({"company_id": ["A"], "fiscal_year": [2015], "market_leverage": [1.0]}),
            "there are already: market_leverage",
        ),
        (pd.DataFrame({"company_id": ["A"], "fiscal_year": [2015]}), "no column besides"),
        (pd.DataFrame({"company_id": ["A"], "fiscal_year": [2015], "years_to_failure": [1.0]}), "already: years_to_failure"),
        (pd.DataFrame({"company_id": ["A"], "fiscal_year": [2015.5], "own": [1.0]}), r"whole numbers, and is 2015\.5"),
        (pd.DataFrame({"company_id": [], "fiscal_year": [], "own": []}), "it has no row"),
        ([1, 2], "must be a pandas or Polars DataFrame, not list"),
    ],
)
def test_a_table_of_ones_own_that_cannot_be_joined_is_refused(finished: Path, own: object, words: str) -> None:
    with pytest.raises(ResearchError, match=words):
        qb.walk_forward(qb.ratio_logit(), own=own, workspace=finished)


def test_an_outcome_as_a_feature_is_suspected_and_a_table_is_told_to_be_unchecked(workspace: Path) -> None:
    labels = qb.labels(workspace=workspace)
    outcome = labels[["company_id", "fiscal_year"]].assign(mine=labels["failed"].fillna(0))
    with pytest.raises(LeakageError, match="suspected of holding the outcome: mine"):
        qb.walk_forward(qb.ratio_logit(), own=outcome, workspace=workspace)
    table = filing_delay(qb.statements(workspace=workspace))
    assert "NOT CHECKED: your own features rest on a table" in repr(
        qb.walk_forward(qb.ratio_logit(), own=table, workspace=workspace)
    )
    assert "not checked" not in repr(qb.walk_forward(qb.ratio_logit(), own=filing_delay, workspace=workspace))


def filing_delay(statements: pd.DataFrame) -> pd.DataFrame:
    days = (statements["available_at"] - statements["period_end"]).dt.days
    return statements[["company_id", "fiscal_year", "available_at"]].assign(filing_delay=days)


def test_a_function_gets_polars_where_polars_is_asked_for(workspace: Path) -> None:
    def delay(statements: pl.DataFrame) -> pl.DataFrame:
        days = (pl.col("available_at") - pl.col("period_end")).dt.total_days()
        return statements.select("company_id", "fiscal_year", "available_at", filing_delay=days)

    verdict = qb.walk_forward(qb.ratio_logit(), own=delay, frame="polars", workspace=workspace)
    other = qb.walk_forward(qb.ratio_logit(), own=filing_delay, workspace=workspace)
    assert np.allclose(verdict.predictions[verdict.name], other.predictions[other.name])


# --- the log, and the sealed year


def test_every_verdict_is_on_record_and_the_same_idea_counts_once(workspace: Path) -> None:
    first = qb.walk_forward(qb.ratio_logit(), workspace=workspace)
    again = qb.walk_forward(qb.ratio_logit(), name="called otherwise", workspace=workspace)
    other = qb.walk_forward(qb.ratio_logit().set_params(logisticregression__C=0.1), workspace=workspace)
    fewer = qb.walk_forward(qb.ratio_logit(), qb.SIX_RATIOS[:5], workspace=workspace)
    assert [verdict.ideas for verdict in (first, again, other, fewer)] == [1, 1, 2, 3]
    log = qb.verdicts(workspace=workspace)
    assert log["idea"].tolist()[:2] == [log["idea"][0]] * 2 and log["idea"].nunique() == 3
    assert log["auc"].tolist()[0] == first.figures_of[first.name]["auc"] and log["opened"].isna().all()
    assert "Ideas judged on these years so far: 3" in repr(fewer) and "up to 7 %" in repr(fewer).replace("\u00a0", " ")
    assert "<table>" in fewer._repr_html_() and "&lt;" in qb.walk_forward(LOGIT, name="<b>", workspace=workspace)._repr_html_()


def doubled(X: pd.DataFrame) -> pd.DataFrame:
    return X * 2


def test_other_code_is_another_idea_and_the_log_keeps_any_text(workspace: Path) -> None:
    estimators = [
        make_pipeline(FunctionTransformer(function), *qb.ratio_logit().steps[0][1:], SimpleImputer(), LogisticRegression())
        for function in (lambda X: X * 1, lambda X: -X, doubled)
    ]
    assert [qb.walk_forward(each, workspace=workspace).ideas for each in estimators] == [1, 2, 3]
    frame = qb.statements(workspace=workspace)[["company_id", "fiscal_year"]].drop_duplicates().assign(**{"a\x85b": 1.0})
    frame.loc[frame.index[::2], "a\x85b"] = 0.0
    assert qb.walk_forward(qb.ratio_logit(), own=frame, workspace=workspace).ideas == 4
    assert len(qb.verdicts(workspace=workspace)) == 4
    for name in ("", "figure", "champion low", "_x", "u\u2028v", "x" * 200, 5):
        with pytest.raises(ResearchError, match=r"name must be|call the idea something else"):
            qb.walk_forward(qb.ratio_logit(), name=name, workspace=workspace)
    with pytest.raises(ResearchError, match="no kind of table 'panda'"):
        qb.walk_forward(qb.ratio_logit(), frame="panda", workspace=workspace)
    assert len(qb.verdicts(workspace=workspace)) == 4


def test_the_last_year_is_opened_for_one_idea_alone(workspace: Path) -> None:
    with pytest.raises(ResearchError, match="say name="):
        qb.walk_forward(qb.ratio_logit(), open_last_year=True, workspace=workspace)
    opened = qb.walk_forward(qb.ratio_logit(), name="mine", open_last_year=True, workspace=workspace)
    assert opened.sealed is None and opened.years[-1] == open_run(workspace).test_years[-1]
    with pytest.raises(ResearchError, match=r"was opened on .* for 'mine': it judges one idea"):
        qb.walk_forward(qb.BoostedTrees(trees=20), name="a second try", open_last_year=True, workspace=workspace)
    again = qb.walk_forward(qb.ratio_logit(), name="mine", open_last_year=True, workspace=workspace)
    assert predictions(again).equals(predictions(opened))


def test_of_many_that_open_it_at_once_one_does(tmp_path: Path) -> None:
    from quiebra.workspace import Workspace

    workspace = Workspace(tmp_path)

    def opens(place: int) -> bool:
        try:
            trials.log_verdict(workspace, {**ENTRY, "idea": str(place), "name": f"idea {place}", "opened": 2020})
        except ResearchError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(opens, range(16))) == 1
    with (tmp_path / "data/research/verdicts.jsonl").open("a") as log:
        log.write('{"at": "2026-')  # cut short by a kill
    trials.log_verdict(workspace, {**ENTRY, "idea": "next", "opened": None})
    assert trials.verdicts("polars", make_workspace(tmp_path)).height == 2


ENTRY = {
    "name": "x",
    "estimator": "x",
    "features": ["a"],
    "source": "demo",
    "panel": "p",
    "years": [2019, 2020],
    "rows": 1,
    "failures": 1,
}
ENTRY |= {"auc": 0.5, "auc_less_champion": 0.0, "low": None, "high": None}


def make_workspace(folder: Path) -> Path:
    (folder / "params.yaml").touch()
    return folder


# --- fits, explanations, companies


def test_a_fit_predicts_and_its_explanation_adds_up(finished: Path) -> None:
    fitted = qb.fit(qb.ratio_logit(), years=(2012, 2018), workspace=finished)
    assert fitted.rows > fitted.failures > 5 and fitted.years == (2012, 2018)
    today, past = fitted.predict(), fitted.predict(2019)
    assert set(today["company_id"]) == set(qb.scores(workspace=finished)["company_id"])
    assert past["fiscal_year"].eq(2019).all() and past["pd"].between(0, 1).all()
    company = today["company_id"][0]
    parts = qb.explain(fitted, company)
    pd_ = today.loc[today["company_id"] == company, "pd"].item()
    assert parts["effect"].sum() == pytest.approx(np.log(pd_ / (1 - pd_)), abs=1e-6)
    assert set(qb.explain(fitted)["feature"]) == set(qb.SIX_RATIOS)
    with pytest.raises(ResearchError, match="no statement of fiscal year 1990"):
        fitted.predict(1990)
    with pytest.raises(ResearchError, match="year is a fiscal year, such as 2015, not '2015'"):
        fitted.predict("2015")
    with pytest.raises(ResearchError, match="no company with the id '885' was scored"):
        qb.explain(fitted, 885)
    for years in (2015, (2012,), (2020, 2012), ("2012", "2020")):
        with pytest.raises(ResearchError, match=r"years is \(first, last\)"):
            qb.fit(qb.ratio_logit(), years=years, workspace=finished)
    with pytest.raises(ResearchError, match="explain takes what fit has given"):
        qb.explain("SIM-00001", workspace=finished)
    with pytest.raises(ResearchError, match="no firm-year of 1990 to 1991"):
        qb.fit(qb.ratio_logit(), years=(1990, 1991), workspace=finished)


def test_the_champions_explanation_is_that_of_its_scores(finished: Path) -> None:
    scores = qb.scores(workspace=finished)
    company = scores["company_id"][3]
    parts = qb.explain(company=company, workspace=finished)
    assert parts["effect"].sum() == pytest.approx(scores["log_odds"][3], abs=1e-3)
    overall = qb.explain(workspace=finished)
    assert overall["mean_abs"].is_monotonic_decreasing and len(overall) > 50


def test_a_companys_story(finished: Path) -> None:
    scores = qb.scores(workspace=finished).sort_values("pd_12m")
    company = qb.company(scores["company_id"].iloc[-1], workspace=finished)
    assert company.pd == scores["pd_12m"].iloc[-1] and company.pd_interval[0] <= company.pd <= company.pd_interval[1]
    assert company.grade == scores["rating"].iloc[-1]
    assert set(company.statements["company_id"]) == {company.company_id}
    assert company.scores["fiscal_year"].is_monotonic_increasing
    assert "Raises its PD" in company.reasons and "Raises its PD" in repr(company)
    assert "<svg" in company._repr_html_()
    assert "Eleva su PD" in repr(qb.company(company.company_id, workspace=finished, lang="es"))
    with pytest.raises(ResearchError, match="no language 'de': there are en, es"):
        qb.company(company.company_id, workspace=finished, lang="de")
    with pytest.raises(ResearchError, match=r"no company with the id 'SIM-0000X' was scored .*did you mean"):
        qb.company("SIM-0000X", workspace=finished)


# --- what cheats without meaning to


class Memory(ClassifierMixin, BaseEstimator):
    """Keeps what every fit has shown it, in whatever order the years come."""

    seen: ClassVar[dict[bytes, int]] = {}

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Memory:
        for row, label in zip(X.to_numpy(), y, strict=True):
            self.seen.setdefault(row.tobytes(), int(label))
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        pds = np.array([{1: 0.9, 0: 0.001, None: 0.02}[self.seen.get(row.tobytes())] for row in X.to_numpy()])
        return np.column_stack([1 - pds, pds])


class Lazy(ClassifierMixin, BaseEstimator):
    """Ranks among the first rows that it is asked about."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Lazy:
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        first = X.iloc[:, 0].fillna(0.0).to_numpy()
        if not hasattr(self, "reference_"):
            self.reference_ = np.sort(first)
        pds = np.searchsorted(self.reference_, first) / (len(self.reference_) + 1)
        return np.column_stack([1 - pds, pds])


ACCOUNTS = ["liabilities_to_assets", "log_assets", "years_published"]


def test_an_estimator_that_remembers_what_any_fit_has_shown_it_is_refused(finished: Path) -> None:
    Memory.seen.clear()
    with pytest.raises(LeakageError, match="It keeps something between fits"):
        qb.walk_forward(Memory(), ACCOUNTS, workspace=finished)


def test_an_estimator_that_learns_from_what_it_predicts_is_refused(finished: Path) -> None:
    with pytest.raises(LeakageError, match="changes with the other companies that it predicts"):
        qb.walk_forward(Lazy(), ACCOUNTS, workspace=finished)


@pytest.mark.parametrize(
    "estimator",
    [
        FrozenEstimator(HistGradientBoostingClassifier(max_iter=3).fit([[0.0], [1.0]] * 20, [0, 1] * 20)),
        make_pipeline(FrozenEstimator(SimpleImputer().fit([[1.0, 2.0, 3.0]])), LogisticRegression()),
    ],
    ids=["classifier", "step"],
)
def test_what_was_fitted_before_is_refused(finished: Path, estimator: object) -> None:
    with pytest.raises(ResearchError, match="is fitted already, so that it may know later years"):
        qb.walk_forward(estimator, ACCOUNTS, workspace=finished)


def test_a_function_that_remembers_or_uses_a_table_of_its_own_is_caught_or_told(workspace: Path) -> None:
    kept: dict[str, pd.DataFrame] = {}

    def remembered(statements: pd.DataFrame) -> pd.DataFrame:
        if "x" not in kept:
            kept["x"] = looks_ahead(statements)
        return kept["x"].merge(statements[["company_id", "fiscal_year", "available_at"]])

    honest = qb.walk_forward(qb.BoostedTrees(trees=10), ACCOUNTS, own=remembered, workspace=workspace)
    assert honest.coverage["next_growth"] < 0.2, "what it remembers is of the earliest statements alone"
    table = looks_ahead(qb.statements(workspace=workspace))
    told = qb.walk_forward(
        qb.BoostedTrees(trees=10), ACCOUNTS, own=lambda rows: rows[list(table.columns[:3])].merge(table), workspace=workspace
    )
    assert told.unchecked and repr(told).index("NOT CHECKED") < repr(told).index("Ideas judged")
    assert not qb.walk_forward(qb.BoostedTrees(trees=10), ACCOUNTS, own=growth, workspace=workspace).unchecked


sort_values = pd.DataFrame({"a": [1]})  # has the name of a method that `growth` calls
lock = threading.Lock()


def with_a_lock(statements: pd.DataFrame) -> pd.DataFrame:
    with lock:
        return growth(statements)


def test_names_of_attributes_and_what_cannot_be_described_are_no_tables() -> None:
    from quiebra.research.identity import tables_used

    assert not tables_used(growth) and not tables_used(with_a_lock)
    assert tables_used(lambda rows: rows.merge(sort_values))


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from quiebra.research.identity import idea_hash
from beside import Beside
{blank}
WEIGHT = {weight}
class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, seed=1):
        self.seed = seed
    def fit(self, X, y):
        return self{comment}
    def predict_proba(self, X):
        return np.full((len(X), 2), WEIGHT) if 'a' in {{'a', 'b', 'c'}} else None
print(idea_hash([Mine(np.int64(1)), make_pipeline(FunctionTransformer(lambda X: X * WEIGHT), LogisticRegression()), Beside()]))
"""


@pytest.mark.parametrize("where", ["script", "moved", "other name"])
def test_the_same_idea_is_the_same_in_every_process_and_another_code_is_another(tmp_path: Path, where: str) -> None:
    beside = tmp_path / "beside.py"
    beside.write_text("class Beside:\n    def fit(self):\n        return 1\n")

    def told(name: str = "a.py", blank: str = "", weight: str = "0.5", comment: str = "") -> str:
        path = tmp_path / name
        path.write_text(SCRIPT.format(blank=blank, weight=weight, comment=comment))
        done = subprocess.run([sys.executable, str(path), str(tmp_path)], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    first = told()
    changes = {"script": {}, "moved": {"blank": "# more\n\n", "comment": "  # as it is"}, "other name": {"name": "b.py"}}
    assert told(**changes[where]) == first
    if where == "script":
        assert told(weight="0.4") != first
        beside.write_text("class Beside:\n    def fit(self):\n        return 2\n")
        assert told() != first


def test_the_order_of_features_and_another_parameter_are_another_idea(workspace: Path) -> None:
    forest = RandomForestClassifier(10, random_state=1)
    ready = make_pipeline(SimpleImputer(), forest)
    counts = [qb.walk_forward(ready, names, workspace=workspace).ideas for names in (ACCOUNTS, ACCOUNTS[::-1], ACCOUNTS)]
    assert counts == [1, 2, 2]
    assert (
        qb.walk_forward(
            make_pipeline(SimpleImputer(), clone(forest).set_params(random_state=np.int64(1))), ACCOUNTS, workspace=workspace
        ).ideas
        == 2
    )


def test_a_score_that_is_the_same_for_all_ranks_as_chance(workspace: Path) -> None:
    verdict = qb.walk_forward(DummyClassifier(), ACCOUNTS, workspace=workspace)
    figures = verdict.figures_of[verdict.name]
    assert figures["auc"] == 0.5 and figures["ks"] == 0.0
    assert figures["top_decile_capture"] == pytest.approx(0.1, abs=0.01)


def test_a_score_says_what_else_a_reader_must_know(workspace: Path) -> None:
    weighted = make_pipeline(SimpleImputer(), LogisticRegression(class_weight="balanced", max_iter=500))
    verdict = qb.walk_forward(weighted, ACCOUNTS, workspace=workspace)
    assert re.search(r"Its PDs are [\d.]+ times too high on average", repr(verdict))
    record = read_json(workspace / "data/scores/run.json")
    write_json(workspace / "data/scores/run.json", {**record, "standing": "experiment"})
    assert "EXPERIMENT: These figures come from a model that is not in charge" in repr(
        qb.walk_forward(weighted, ACCOUNTS, workspace=workspace)
    )
    assert "EXPERIMENT" in repr(qb.company(qb.scores(workspace=workspace)["company_id"][0], workspace=workspace))


def test_a_verdict_that_cannot_be_logged_whole_is_not_told(workspace: Path) -> None:
    log = workspace / "data/research/verdicts.jsonl"
    qb.walk_forward(LOGIT, workspace=workspace)
    program = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nimport quiebra as qb\n"
        "from quiebra.research.run import open_run\nfrom quiebra.research.trials import log_verdict\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({log.stat().st_size + 100},) * 2)\n"
        "from quiebra.workspace import Workspace\nentry = qb.verdicts('polars').row(0, named=True)\n"
        "log_verdict(Workspace.find(), {**entry, 'idea': 'other', 'opened': 2021})\nprint('told')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=workspace, capture_output=True, text=True, check=False)
    assert "told" not in done.stdout and done.returncode != 0
    assert len(qb.verdicts(workspace=workspace)) == 1
    assert qb.walk_forward(LOGIT, workspace=workspace).ideas == 1, "the log goes on after the half line"


@pytest.mark.parametrize(
    "line",
    [
        '{"auc": "x"}',
        "[1]",
        "9" * 400,
        '{"idea": ["a"]}',
        "[" * 100_000,
        '{"years": [[1]]}',
        '{"name": "\\ud800"}',
        '{"opened": 99999999999999999999}',
    ],
)
def test_a_line_of_the_log_that_is_none_is_passed_over(workspace: Path, line: str) -> None:
    qb.walk_forward(LOGIT, workspace=workspace)
    log = workspace / "data/research/verdicts.jsonl"
    whole = json.loads(log.read_text())
    changed = json.loads(line) if line.startswith("{") else None
    with log.open("a") as file:
        file.write((line if changed is None else json.dumps({**whole, **changed})) + "\n")
    assert len(qb.verdicts(workspace=workspace)) == 1
    assert qb.walk_forward(LOGIT, workspace=workspace).ideas == 1


@pytest.mark.parametrize("name", ["*", "^.*$", "^failed$"])
def test_names_that_are_patterns_are_refused(finished: Path, name: str) -> None:
    with pytest.raises(ResearchError, match="call the idea something else"):
        qb.walk_forward(LOGIT, name=name, workspace=finished)
    frame = qb.statements(workspace=finished)[["company_id", "fiscal_year"]].drop_duplicates().assign(**{name: 1.0})
    with pytest.raises(ResearchError, match="names are patterns"):
        qb.walk_forward(LOGIT, own=frame, workspace=finished)


def test_what_was_refused_though_it_can_be_used_is_judged(workspace: Path) -> None:
    stacked = StackingClassifier([("a", make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)))])
    frame = qb.statements(workspace=workspace)[["company_id", "fiscal_year"]].drop_duplicates().assign(empty=None, one=1.0)
    verdict = qb.walk_forward(stacked, pd.Index(ACCOUNTS), own=frame.rename_axis("row"), workspace=workspace)
    assert "row" not in verdict.features and "empty" in verdict.features
    years = (np.int32(2012), np.int64(2018))
    assert qb.fit(LOGIT, years=years, workspace=workspace).years == (2012, 2018)
    with pytest.raises(ResearchError, match="years is"):
        qb.fit(LOGIT, years=(False, True), workspace=workspace)
    for wrong in (None, float("nan")):
        with pytest.raises(ResearchError, match="a company's id is a text"):
            qb.company(wrong, workspace=workspace)
    for day, words in ((20201231, "available_at must be dates"), ("soon", "available_at must be dates, or text")):
        with pytest.raises(ResearchError, match=words):
            qb.walk_forward(LOGIT, own=frame.assign(available_at=day), workspace=workspace)
