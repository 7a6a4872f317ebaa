"""Hyperparameter search for the trees: Optuna trials judged out of time, stored in the database, and resumed after a kill."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from quiebra.errors import TrainingError
from quiebra.items import VERSION_KEYS
from quiebra.models.fit import first_year_target, training_features
from quiebra.models.trees import MIN_FAILURES_TO_TRAIN, TreeTarget, design_matrix, fit_trees, log_odds
from quiebra.panels.horizons import known_outcomes
from quiebra.params import Labels, Run, Train
from quiebra.progress import report_progress
from quiebra.provenance import json_sha256

if TYPE_CHECKING:
    import optuna

SEARCHED_PARAMS = ("trees", "max_depth", "learning_rate", "subsample", "feature_share", "min_child_weight", "l2")


class SearchFolds:
    """Folds of a search: for each fiscal year, the rows that a model could have been trained on by then, and the year's outcomes.

    All folds end by ``last_year``, so that a search sees nothing of the years used for validation.
    """

    def __init__(
        self,
        features: pl.DataFrame,
        statements: pl.DataFrame,
        events: pl.DataFrame,
        *,
        first_year: int,
        last_year: int,
        train: Train,
        labels: Labels,
    ) -> None:
        end = dt.date(last_year + 1, 12, 31)
        known = known_outcomes(statements, events, labels, known_at=end, last_year=last_year).filter(pl.col("years_known") >= 1)
        rows = (
            known.filter(pl.col("fiscal_year") >= first_year)
            .drop("period_end")
            .join(features, on=VERSION_KEYS, maintain_order="left")
        )
        self.names = training_features("market", rows, train)
        self._inputs, self._failed = design_matrix(rows, self.names), first_year_target(rows).share
        self._year = rows["fiscal_year"].to_numpy()
        start = first_year + train.min_years + train.embargo_years
        self.years = [year for year in range(start, last_year + 1) if self._usable(year, train.embargo_years)]
        if not self.years:
            raise TrainingError(
                f"no fiscal year from {start} to {last_year} can be searched on: each needs {MIN_FAILURES_TO_TRAIN} failures of "
                "its own and before it. Give more years, set train.search.last_year later, or set train.search.trials to 0."
            )
        self.data_hash = json_sha256([self.names, hashlib.sha256(self._inputs.tobytes()).hexdigest(), self._failed.tolist()])

    def _usable(self, year: int, embargo: int) -> bool:
        learnt = self._failed[self._year <= year - 1 - embargo].sum()
        return bool(learnt >= MIN_FAILURES_TO_TRAIN and self._failed[self._year == year].sum() >= MIN_FAILURES_TO_TRAIN)

    def log_loss(self, train: Train, run: Run, year: int) -> tuple[float, int]:
        """Return the summed log-loss of a fiscal year's rows, scored out of time with these parameters, and their number."""
        learn, judge = self._year <= year - 1 - train.embargo_years, self._year == year
        target = TreeTarget(self._failed[learn], np.ones(int(learn.sum())))
        trees = fit_trees(self._inputs[learn], target, self.names, train, trees=train.trees, seed=run.seed, threads=run.threads)
        scores, failed = log_odds(trees, self._inputs[judge]), self._failed[judge]
        return float(np.sum(np.logaddexp(0, scores) - failed * scores)), len(failed)


def search_until(train: Train, outcomes_through: int, test_years: int) -> int:
    """Return the last fiscal year to judge trials on: from params, or the last whose outcome was known before validation."""
    return train.search.last_year or outcomes_through - test_years - train.embargo_years


def run_search(folds: SearchFolds, train: Train, run: Run, storage: str, *, progress: bool = False) -> optuna.Study:
    """Run trials until ``train.search.trials`` are finished, and return the study.

    The first trial has the values in params. Trials are judged by mean log-loss over the folds, oldest first, and pruned by the
    median rule. storage: an SQLAlchemy URL. Finished trials of the same data, seed and fixed params are stored there and counted,
    so that a killed search resumes.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=optuna.storages.RDBStorage(storage),
        study_name=f"quiebra-{_identity(folds, train, run)}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=run.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        direction="minimize",
    )
    done = _finished(study)
    for stale in (t for t in study.trials if t.state == optuna.trial.TrialState.RUNNING):
        study.tell(stale.number, state=optuna.trial.TrialState.FAIL)
    if not done:
        study.enqueue_trial({name: getattr(train, name) for name in SEARCHED_PARAMS}, skip_if_exists=True)
    left = train.search.trials - len(done)
    if left > 0:
        study.optimize(
            lambda trial: _judge(trial, folds, train, run),
            n_trials=left,
            show_progress_bar=progress,
            callbacks=[lambda study, _trial: report_progress(f"trial {len(_finished(study))} of {train.search.trials}")],
        )
    return study


def best_training_params(study: optuna.Study, train: Train) -> Train:
    """Return the training params with the best trial's values of the searched ones."""
    return train.model_copy(update=study.best_trial.params)


def finished_trials(study: optuna.Study) -> tuple[list[dict[str, Any]], list[float]]:
    """Return the parameters and the log-loss of every trial judged on all folds, in order."""
    whole = [t for t in study.trials if t.state.name == "COMPLETE"]
    return [t.params for t in whole], [float(t.value) for t in whole if t.value is not None]


def search_importance(study: optuna.Study) -> dict[str, float]:
    """Return the share of the variance between trials that each parameter explains (PED-ANOVA; Watanabe et al., 2023)."""
    import optuna

    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())


def _finished(study: optuna.Study) -> list[Any]:
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


def _identity(folds: SearchFolds, train: Train, run: Run) -> str:
    fixed = train.model_dump(exclude={"search", "near_share", "near_decay", "interval", "blend_weight", "later_trees"})
    return json_sha256([folds.data_hash, folds.years, fixed, run.seed])[:12]


def _judge(trial: optuna.Trial, folds: SearchFolds, train: Train, run: Run) -> float:
    import optuna

    tried = train.model_copy(update=_suggest(trial))
    total = rows = 0.0
    for step, year in enumerate(folds.years):
        loss, count = folds.log_loss(tried, run, year)
        total, rows = total + loss, rows + count
        trial.report(total / rows, step)
        if trial.should_prune() and step < len(folds.years) - 1:
            raise optuna.TrialPruned
    return total / rows


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return a trial's values. Trees are shallow, since the cost of SHAP values grows with leaves and squared depth."""
    return {
        "trees": trial.suggest_int("trees", 20, 600),
        "max_depth": trial.suggest_int("max_depth", 2, 5),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "subsample": trial.suggest_float("subsample", 0.4, 1.0),
        "feature_share": trial.suggest_float("feature_share", 0.05, 0.6),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 30.0, log=True),
        "l2": trial.suggest_float("l2", 0.5, 50.0, log=True),
    }
