"""The model page in figures: ranking, calibration, importance, drift, verdict and lineage, all read from the run's files."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quiebra import store
from quiebra.alerts.wording import MONITORED
from quiebra.dashboards.base import Base
from quiebra.errors import StoreError
from quiebra.features import FEATURES_BY_NAME
from quiebra.registry import CHAMPION, against, challenger, entries, previous, waiting
from quiebra.risk.subject import feature_words
from quiebra.settings import database_url
from quiebra.words import Words

Point = tuple[int, float, float | None, float | None]
DOTS = 400
"""Companies shown in the beeswarm."""


def auc_by_year(base: Base, words: Words) -> dict[str, list[Point]]:
    """Return series → (year, AUC, low, high): the model, Altman alone, and the model before it, where there is one."""
    series = {words("model"): base.metrics["by_year"], words("Altman alone"): base.metrics.get("altman_by_year", {})}
    if (before := earlier(base)) is not None:
        series[words("model before, v{version}", version=before["version"])] = before["kept"].metrics.get("by_year", {})
    return {
        name: [(int(y), m["auc"], *m["interval"]["auc"]) for y, m in sorted(years.items()) if m.get("auc") is not None]
        for name, years in series.items()
    }


def earlier(base: Base) -> dict[str, Any] | None:
    """Return the model that the run's is measured against; see `quiebra.registry.previous`."""
    return previous(base.workspace, base.run["data"]["source"], base.run["model_sha256"][:12])


def importance(base: Base, words: Words, count: int = 15) -> list[tuple[str, str, float]]:
    """Return feature, its words and its mean absolute effect on the log-odds of today's companies, strongest first."""
    means = base.contributions.drop("company_id", "base").select(pl.all().abs().mean()).row(0, named=True)
    strongest = sorted(means.items(), key=lambda pair: -pair[1])[:count]
    return [(name, words("Altman score") if name == "altman" else feature_words(name, words), value) for name, value in strongest]


def swarm(base: Base, words: Words, count: int = 12) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return words, effects and places (0 to 1 among companies) of the strongest features for some companies."""
    step = max(1, base.contributions.height // DOTS)
    keys = ["company_id", "fiscal_year", "available_at"]
    values = base.scores.select(keys).join(base.features, on=keys, how="left", maintain_order="left")
    found = []
    for name, label, _ in importance(base, words, count):
        effects = base.contributions[name].gather_every(step).to_numpy()
        if name in FEATURES_BY_NAME:
            places = values[name].rank() / max(1, values[name].count())
        else:
            places = pl.Series([0.5] * values.height)
        found.append((label, effects, places.fill_null(0.5).gather_every(step).to_numpy()))
    return found


def drift(base: Base, words: Words) -> pl.DataFrame:
    """Return measure, subject, year, value, limits and status of what is monitored, the worst first; of the latest year, and
    without what has no value."""
    newest = pl.col("fiscal_year") == pl.col("fiscal_year").max().over("measure")
    latest = base.findings.filter(newest, pl.col("value").is_not_null())
    order = {"alarm": 0, "watch": 1, "unknown": 2, "ok": 3}
    table = latest.sort(pl.col("status").replace_strict(order, default=4), "value", descending=[False, True])
    said = {name: words(title) for name, title in MONITORED.items()}
    none_seen = words("{subject}; no failure was seen, so that it is at least this", subject=words("scores"))
    subject = [
        feature_words(s, words) if s in FEATURES_BY_NAME else none_seen if m == "pd_over_observed" and high is None else words(s)
        for m, s, high in table.select("measure", "subject", "high").iter_rows()
    ]
    return table.with_columns(measure=pl.col("measure").replace(said), subject=pl.Series(subject, dtype=pl.String))


def verdict(base: Base) -> list[dict[str, Any]]:
    return base.metrics["verdict"]


def compared(base: Base, words: Words) -> str:
    """Return the model against the champion before it, and the one that waits to take over, in words."""
    found, newer = base.published["comparison"], challenger(base.workspace, base.run["data"]["source"])
    said = words("This is the first model of its source, or the champion itself.") if found is None else words.say(against(found))
    return said if newer is None else f"{said} · {words.say(waiting(newer))}"


def lineage(base: Base, words: Words) -> list[tuple[str, str]]:
    """Return what made the figures: run, model, data, code and parameters."""
    try:
        traced = store.trace(store.connect(database_url(base.workspace.root)), base.run["run_id"])
    except StoreError as error:  # as in `executive.month_before`
        return [(words("Run"), base.run["run_id"]), (words("Lineage"), str(error))]
    other = earlier(base)
    champion = [] if other is None or other["status"] != CHAMPION else [
        (words("Champion"), f"{other['model_id']} v{other['version']}, {words('learnt from {years}', years=other['trained_on'])}")
    ]  # fmt: skip
    return [
        (words("Run"), traced["run_id"]), (words("As of"), words.date(str(traced["as_of"]))),
        (words("Model"), f"{traced['model_id']} v{traced['model_version']} ({words(traced['model_status'])})"), *champion,
        (words("Learnt from"), words("{years}: {rows}, {failures}", years=traced["trained_on"],
                                     rows=words.count("{n} company-year", "{n} company-years", n=traced["training_rows"]),
                                     failures=words.count("{n} failure", "{n} failures", n=traced["training_failures"]))),
        (words("Source"), traced["source"]), (words("Data, SHA-256"), traced["data_sha256"]), (words("Model, SHA-256"),
            traced["model_sha256"]),
        (words("Code, SHA-256"), traced["code_sha256"]), (words("Code revision"), traced["code_revision"]),
        (words("Published"), f"{words.date(traced['published_at'].date())}"),
    ]  # fmt: skip


def failed(gates: list[dict[str, Any]], words: Words) -> str:
    """Return the gates that a model failed, with its values."""
    return "; ".join(f"{words(row['words'])} {words.number(row['value'], 3)}" for row in gates if row["verdict"] == "fail")


def register(base: Base) -> list[dict[str, Any]]:
    """Return every registered model, newest first; see `quiebra.registry.entries`."""
    return entries(base.workspace)
