"""Data of the dashboards: the finished run's files, each read once; nothing is scored here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from quiebra.alerts.analyst_decisions import OVERRIDE_SCHEMA, WATCH_LIST_SCHEMA, list_overrides, watch_list_entries
from quiebra.alerts.lifecycle import ALERT_SCHEMA, list_alerts
from quiebra.alerts.sentences import CompanyFacts, company_facts
from quiebra.environment import database_url
from quiebra.errors import StoreError, WorkspaceError
from quiebra.feature_engineering.peers import Peers
from quiebra.io.files import read_table
from quiebra.params import Labels, Params, Portfolio, Score, load_params
from quiebra.params.stress import Stress
from quiebra.risk.economy import Economy
from quiebra.risk.finished_run import FinishedRun
from quiebra.risk.shocks import ShockEngine, recent_peers, recent_statements
from quiebra.store import connect
from quiebra.text.words import translatable
from quiebra.workspace import Workspace

T = TypeVar("T")

RUN_FILES = (
    "data/panel/source.json",
    "data/features/features.parquet",
    "models/champion.json",
    "data/scores/run.json",
    "data/stress/portfolio.json",
    "data/monitoring/findings.parquet",
    "data/published/published.json",
)
"""One output file per stage: once one is rewritten, an open page shows an older run."""
NEWER_RUN_NOTE = translatable("Newer results are there, or on their way: reload the page.")


def stage_times(workspace: Workspace) -> tuple[int, ...]:
    """Return when each stage last wrote its results, as nanoseconds since the epoch; 0 if never."""
    paths = [workspace.root / name for name in RUN_FILES]
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


@dataclass(frozen=True)
class OpenDecisions:
    """Alerts that are not closed (see `quiebra.alerts.lifecycle.list_alerts`), overrides in force, and the analysts' watch list.

    All are empty, and ``answered`` is False, if the database did not answer.
    """

    alerts: pl.DataFrame
    overrides: pl.DataFrame
    watched: pl.DataFrame
    answered: bool = True


def _in_order(of_run: dict[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of the run in the order of params.yaml, since the run's record sorts names."""
    return {name: of_run[name] for name in sorted(of_run, key=lambda name: [*now, name].index(name))}


@dataclass(frozen=True)
class FinishedRunView(FinishedRun):
    """The finished run, with data that only the dashboards need."""

    workspace: Workspace = field(default_factory=Workspace.find)

    @cached_property
    def written(self) -> tuple[int, ...]:
        """When the run's files were written, as of the first access."""
        return stage_times(self.workspace)

    def read(self, reader: Callable[[Path], T], path: Path) -> T:
        """Return ``reader``'s result for a file of this run. WorkspaceError if another run has begun to replace the files."""
        if self.written != stage_times(self.workspace):
            raise WorkspaceError(NEWER_RUN_NOTE)
        return reader(path)

    @cached_property
    def params(self) -> Params:
        """The parameters of params.yaml, except those that the run's scores, scenarios and losses were made with."""
        now = load_params(self.workspace)
        made_with = self.run["params"]
        scale = dict(sorted(made_with["score"]["grades"].items(), key=lambda pair: pair[1]))  # the record sorts its keys
        score = Score.model_validate({**made_with["score"], "grades": scale})
        options = self.losses["options"]
        kept = {name: _in_order(options["stress"][name], getattr(now.stress, name)) for name in ("scenarios", "shocks")}
        stress = Stress.model_validate({**options["stress"], **kept})
        portfolio = Portfolio.model_validate(options["portfolio"])
        labels = Labels.model_validate(made_with["labels"])
        return now.model_copy(update={"score": score, "labels": labels, "stress": stress, "portfolio": portfolio})

    @cached_property
    def scenarios(self) -> pl.DataFrame:
        return self.read(read_table, self.workspace.stress / "scenarios.parquet")

    @cached_property
    def decisions(self) -> OpenDecisions:
        """Open alerts and people's decisions, as currently in the database."""
        source = self.run["data"]["source"]
        try:
            engine = connect(database_url(self.workspace.root))
            return OpenDecisions(list_alerts(engine, source), list_overrides(engine, source), watch_list_entries(engine, source))
        except StoreError:  # a database that is down hides decisions, not the page
            alerts, overrides, watched = (
                pl.DataFrame(schema=schema) for schema in (ALERT_SCHEMA, OVERRIDE_SCHEMA, WATCH_LIST_SCHEMA)
            )
            return OpenDecisions(alerts, overrides, watched, answered=False)

    def forget_decisions(self) -> None:
        """Have the decisions read anew, after one was made."""
        self.__dict__.pop("decisions", None)

    @cached_property
    def company_facts(self) -> dict[str, CompanyFacts]:
        """Company id → figures now and at the previous statement."""
        return company_facts(self)

    def with_overrides(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return a table of companies with ``analyst``: the grade of the override in force, null if there is none."""
        given = self.decisions.overrides.select("company_id", analyst="rating")
        return table.join(given, on="company_id", how="left", maintain_order="left")

    @cached_property
    def economy(self) -> Economy:
        """The model of the economy that the run's scenarios were made with."""
        return Economy.of(self.losses["economy"])

    @cached_property
    def peers(self) -> pl.DataFrame:
        """The feature rows that current companies are ranked among."""
        return recent_peers(self.features, self.as_of, self.params.score.max_age_months)

    @cached_property
    def shock_peers(self) -> Peers:
        """The same, prepared for scoring the same companies repeatedly."""
        return Peers(self.peers)

    @cached_property
    def shock_engine(self) -> ShockEngine:
        """Engine that scores the run's companies under shocks."""
        keys = self.scores.select("company_id", "fiscal_year", "available_at")
        recent = recent_statements(self.statements, keys)
        return ShockEngine(self.model, recent, self.companies, self.shock_peers, keys, self.params.score)

    def check(self) -> None:
        """Raise WorkspaceError if files that every page needs are missing or of an earlier version."""
        for name in ("run", "metrics", "published", "findings", "losses"):
            getattr(self, name)
        kept = {"options", "economy", "idle_shocks"} <= self.losses.keys()
        if not kept or not (self.workspace.scores / "contributions.parquet").exists():
            raise WorkspaceError("the scores were made by an earlier version: run `quiebra run` to score again")
