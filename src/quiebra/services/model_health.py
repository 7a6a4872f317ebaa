"""Figures of the model page: discrimination, calibration, importance, drift, gates and lineage, from the run's files."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quiebra import store
from quiebra.alerts.descriptions import MONITORED_LABELS
from quiebra.environment import database_url
from quiebra.errors import StoreError
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.registry import (
    CHAMPION,
    challenger_in_words,
    comparison_in_words,
    list_models,
    previous_champion,
    waiting_challenger,
)
from quiebra.risk.scored_company import feature_words
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words

Point = tuple[int, float, float | None, float | None]
MAX_BEESWARM_COMPANIES = 400
"""Companies shown in the beeswarm."""


def auc_by_year(view: FinishedRunView, words: Words) -> dict[str, list[Point]]:
    """Return series → (year, AUC, low, high) for the model, Altman alone, and the previous model if there is one."""
    series = {words("model"): view.metrics["by_year"], words("Altman alone"): view.metrics.get("altman_by_year", {})}
    if (before := compared_model(view)) is not None:
        series[words("model before, v{version}", version=before["version"])] = before["kept"].metrics.get("by_year", {})
    return {
        name: [(int(y), m["auc"], *m["interval"]["auc"]) for y, m in sorted(years.items()) if m.get("auc") is not None]
        for name, years in series.items()
    }


def compared_model(view: FinishedRunView) -> dict[str, Any] | None:
    """Return the model that the run's is compared with; see `quiebra.registry.previous_champion`."""
    return previous_champion(view.workspace, view.run["data"]["source"], view.run["model_sha256"][:12])


def importance_rows(view: FinishedRunView, words: Words, count: int = 15) -> list[tuple[str, str, float]]:
    """Return (feature, label, mean absolute effect on current companies' log-odds), largest effect first."""
    means = view.contributions.drop("company_id", "base").select(pl.all().abs().mean()).row(0, named=True)
    strongest = sorted(means.items(), key=lambda pair: -pair[1])[:count]
    return [(name, words("Altman score") if name == "altman" else feature_words(name, words), value) for name, value in strongest]


def beeswarm_rows(view: FinishedRunView, words: Words, count: int = 12) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (label, effects, ranks from 0 to 1 among companies) of the strongest features, for a sample of companies."""
    step = max(1, view.contributions.height // MAX_BEESWARM_COMPANIES)
    keys = ["company_id", "fiscal_year", "available_at"]
    values = view.scores.select(keys).join(view.features, on=keys, how="left", maintain_order="left")
    found = []
    for name, label, _ in importance_rows(view, words, count):
        effects = view.contributions[name].gather_every(step).to_numpy()
        if name in FEATURES_BY_NAME:
            places = values[name].rank() / max(1, values[name].count())
        else:
            places = pl.Series([0.5] * values.height)
        found.append((label, effects, places.fill_null(0.5).gather_every(step).to_numpy()))
    return found


def drift_rows(view: FinishedRunView, words: Words) -> pl.DataFrame:
    """Return measure, subject, year, value, limits and status of the monitoring measures of the latest year that have a value,
    the worst first."""
    newest = pl.col("fiscal_year") == pl.col("fiscal_year").max().over("measure")
    latest = view.findings.filter(newest, pl.col("value").is_not_null())
    order = {"alarm": 0, "watch": 1, "unknown": 2, "ok": 3}
    table = latest.sort(pl.col("status").replace_strict(order, default=4), "value", descending=[False, True])
    said = {name: words(title) for name, title in MONITORED_LABELS.items()}
    none_seen = words("{subject}; no failure was seen, so that it is at least this", subject=words("scores"))
    subject = [
        feature_words(s, words) if s in FEATURES_BY_NAME else none_seen if m == "pd_over_observed" and high is None else words(s)
        for m, s, high in table.select("measure", "subject", "high").iter_rows()
    ]
    return table.with_columns(measure=pl.col("measure").replace(said), subject=pl.Series(subject, dtype=pl.String))


def gate_rows(view: FinishedRunView) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = view.metrics["verdict"]
    return rows


def champion_comparison(view: FinishedRunView, words: Words) -> str:
    """Return the model's comparison with the previous champion, and a waiting challenger, in words."""
    found, newer = view.published["comparison"], waiting_challenger(view.workspace, view.run["data"]["source"])
    said = (
        words("This is the first model of its source, or the champion itself.")
        if found is None
        else words.say(comparison_in_words(found))
    )
    return said if newer is None else f"{said} · {words.say(challenger_in_words(newer))}"


def run_lineage(view: FinishedRunView, words: Words) -> list[tuple[str, str]]:
    """Return the provenance of the figures as (label, value): run, model, data, code and parameters."""
    try:
        traced = store.trace_run(store.connect(database_url(view.workspace.root)), view.run["run_id"])
    except StoreError as error:  # a database that is down hides the lineage, not the page
        return [(words("Run"), view.run["run_id"]), (words("Lineage"), str(error))]
    other = compared_model(view)
    champion = (
        []
        if other is None or other["status"] != CHAMPION
        else [
            (
                words("Champion"),
                f"{other['model_id']} v{other['version']}, {words('learnt from {years}', years=other['trained_on'])}",
            )
        ]
    )
    return [
        (words("Run"), traced["run_id"]),
        (words("As of"), words.date(str(traced["as_of"]))),
        (words("Model"), f"{traced['model_id']} v{traced['model_version']} ({words(traced['model_status'])})"),
        *champion,
        (
            words("Learnt from"),
            words(
                "{years}: {rows}, {failures}",
                years=traced["trained_on"],
                rows=words.count("{n} company-year", "{n} company-years", n=traced["training_rows"]),
                failures=words.count("{n} failure", "{n} failures", n=traced["training_failures"]),
            ),
        ),
        (words("Source"), traced["source"]),
        (words("Data, SHA-256"), traced["data_sha256"]),
        (words("Model, SHA-256"), traced["model_sha256"]),
        (words("Code, SHA-256"), traced["code_sha256"]),
        (words("Code revision"), traced["code_revision"]),
        (words("Published"), f"{words.date(traced['published_at'].date())}"),
    ]


def failed_gates_text(gates: list[dict[str, Any]], words: Words) -> str:
    """Return the gates that a model failed, with its values."""
    return "; ".join(f"{words(row['words'])} {words.number(row['value'], 3)}" for row in gates if row["verdict"] == "fail")


def registered_models(view: FinishedRunView) -> list[dict[str, Any]]:
    """Return every registered model, newest first; see `quiebra.registry.list_models`."""
    return list_models(view.workspace)
