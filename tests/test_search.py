"""The search: judged out of time on years before validation, kept in the database, resumed after a kill."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import psycopg
import pytest
from conftest import SMALL, default_params, environment

from quiebra.errors import TrainingError
from quiebra.feature_engineering import feature_table
from quiebra.models.search import SearchFolds, best_training_params, finished_trials, run_search, search_importance, search_until
from quiebra.panels import Panel
from quiebra.params import Params, validate_params
from quiebra.store.studies import study_storage


def params_for(trials: int, **train: object) -> Params:
    return validate_params(default_params(**{**SMALL, "train": {**SMALL["train"], "search": {"trials": trials}, **train}}))


def folds_of(panel: Panel, params: Params, last_year: int = 2019, features: pl.DataFrame | None = None) -> SearchFolds:
    features = feature_table(panel.statements, panel.companies) if features is None else features
    return SearchFolds(
        features,
        panel.statements,
        panel.events,
        first_year=panel.info.first_label_year,
        last_year=last_year,
        train=params.train,
        labels=params.labels,
    )


@pytest.fixture(scope="session")
def folds(small_panel: Panel) -> SearchFolds:
    return folds_of(small_panel, params_for(1))


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(folds: SearchFolds, tmp_path: Path) -> None:
    storage = study_storage(f"sqlite:///{tmp_path / 'quiebra.db'}")
    three, five = params_for(3), params_for(5)
    first = run_search(folds, three.train, three.run, storage)
    assert [t.state.name for t in first.trials].count("COMPLETE") + [t.state.name for t in first.trials].count("PRUNED") == 3
    again = run_search(folds, five.train, five.run, storage)
    assert [t.number for t in again.trials] == [0, 1, 2, 3, 4]
    assert again.trials[0].params["max_depth"] == five.train.max_depth, "the set in params is tried first"
    tried, losses = finished_trials(again)
    found = best_training_params(again, five.train)
    assert found.max_depth == tried[losses.index(min(losses))]["max_depth"]
    assert again.best_value <= losses[0]
    assert sum(search_importance(again).values()) == pytest.approx(1)
    assert run_search(folds, five.train, five.run, storage).trials[-1].number == 4, "nothing is left to do"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials(folds: SearchFolds, tmp_path: Path) -> None:
    params = params_for(4)
    studies = [run_search(folds, params.train, params.run, f"sqlite:///{tmp_path / name}.db") for name in ("a", "b")]
    assert studies[0].trials[3].params == studies[1].trials[3].params
    assert studies[0].best_value == studies[1].best_value


def test_what_happens_after_the_last_year_changes_nothing(small_panel: Panel) -> None:
    params = params_for(1)
    later = small_panel.statements["fiscal_year"] > 2019
    shaken = small_panel.statements.with_columns(pl.when(later).then(pl.col("ebit") * -3).otherwise("ebit").alias("ebit"))
    changed = replace(small_panel, statements=shaken)
    was, now = (folds_of(panel, params) for panel in (small_panel, changed))
    assert was.years == now.years
    assert was.log_loss(params.train, params.run, was.years[-1]) == now.log_loss(params.train, params.run, was.years[-1])


def test_years_judged_by_validation_are_not_searched_on() -> None:
    train = params_for(1).train
    assert search_until(train, outcomes_through=2017, test_years=6) == 2010
    chosen = train.model_copy(update={"search": train.search.model_copy(update={"last_year": 2008})})
    assert search_until(chosen, outcomes_through=2017, test_years=6) == 2008


def test_too_few_years_are_explained(small_panel: Panel) -> None:
    with pytest.raises(TrainingError, match=r"train\.search"):
        folds_of(small_panel, params_for(1), last_year=2012)


SEARCHING = """
import sys
sys.path.insert(0, {tests!r})
from test_search import folds_of, params_for
from conftest import *
from quiebra.models.search import run_search
from quiebra.panels import build_panel
from quiebra.params import Demo
from quiebra.sources.demo import simulate
panel = build_panel(simulate(Demo(companies=400, first_year=2012, years=10, seed=3)).source)
params = params_for(40)
run_search(folds_of(panel, params), params.train, params.run, {storage!r})
"""


def test_killed_in_the_middle_finished_trials_are_kept(folds: SearchFolds, postgres) -> None:  # type: ignore[no-untyped-def]
    storage = study_storage(postgres("search"))
    script = SEARCHING.format(tests=str(Path(__file__).parent), storage=storage)
    running = subprocess.Popen([sys.executable, "-c", script], env=environment(), start_new_session=True)
    deadline = time.monotonic() + 120

    with psycopg.connect(storage.replace("+psycopg", "")) as connection:
        done = 0
        while done < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
            connection.rollback()
            if connection.execute("SELECT to_regclass('trial_values')").fetchone()[0]:
                done = connection.execute("SELECT count(*) FROM trial_values").fetchone()[0]
        assert connection.execute("SELECT to_regclass('public.trial_values')").fetchone()[0] is None, "its tables are apart"
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    params = params_for(0)
    study = run_search(folds, params.train, params.run, storage)
    before = [(t.number, t.value) for t in study.trials if t.state.name == "COMPLETE"]
    assert len(before) >= 3
    more = params_for(len(before) + 2)
    study = run_search(folds, more.train, more.run, storage)
    assert [(t.number, t.value) for t in study.trials if t.state.name == "COMPLETE"][: len(before)] == before
    assert not [t for t in study.trials if t.state.name == "RUNNING"]
