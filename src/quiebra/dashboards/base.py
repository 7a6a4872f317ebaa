"""What the pages show: the finished run's files, read once. Nothing is scored here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from quiebra.alerts.analysts import OVERRIDES, WATCHED, overrides, watched
from quiebra.alerts.plain import Fact, facts
from quiebra.alerts.states import ALERTS, alerts
from quiebra.errors import StoreError, WorkspaceError
from quiebra.features.peers import Peers
from quiebra.params import Labels, Params, Portfolio, Score, Stress, load
from quiebra.risk.economy import Economy
from quiebra.risk.runs import FinishedRun
from quiebra.risk.shocks import Desk, recent_peers, recent_statements
from quiebra.settings import database_url
from quiebra.store import connect
from quiebra.words import mark
from quiebra.workspace import Workspace

T = TypeVar("T")

FILES = (
    "data/panel/source.json",
    "data/features/features.parquet",
    "models/champion.json",
    "data/scores/run.json",
    "data/stress/portfolio.json",
    "data/monitoring/findings.parquet",
    "data/published/published.json",
)
"""One file of each stage: where one was written anew, an open page shows an older run."""
NEWER = mark("Newer results are there, or on their way: reload the page.")


def written(workspace: Workspace) -> tuple[int, ...]:
    """Return when each stage last wrote its results; 0 where there are none."""
    paths = [workspace.root / name for name in FILES]
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


@dataclass(frozen=True)
class Standing:
    """Alerts that are not closed (see `quiebra.alerts.states.alerts`), overrides in force, and the analysts' watch list; all
    empty, and ``answered`` false, where the database did not answer."""

    alerts: pl.DataFrame
    overrides: pl.DataFrame
    watched: pl.DataFrame
    answered: bool = True


def _in_order(of_run: dict[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the run was made with in the order of params.yaml: its record sorts names."""
    return {name: of_run[name] for name in sorted(of_run, key=lambda name: [*now, name].index(name))}


@dataclass(frozen=True)
class Base(FinishedRun):
    """The finished run, with what only the dashboards need of it."""

    workspace: Workspace = field(default_factory=Workspace.find)

    @cached_property
    def written(self) -> tuple[int, ...]:
        """When the run's files were written, as of the first look at them."""
        return written(self.workspace)

    def read(self, reader: Callable[[Path], T], path: Path) -> T:
        """Return what a reader makes of a file of this run. WorkspaceError where another run has begun to replace them since."""
        if self.written != written(self.workspace):
            raise WorkspaceError(NEWER)
        return reader(path)

    @cached_property
    def params(self) -> Params:
        """The parameters in force: those of params.yaml, but for what the run's scores, scenarios and losses were made with."""
        now = load(self.workspace)
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
    def standing(self) -> Standing:
        """What people decided and which alerts stand, as the database says now."""
        source = self.run["data"]["source"]
        try:
            engine = connect(database_url(self.workspace.root))
            return Standing(alerts(engine, source), overrides(engine, source), watched(engine, source))
        except StoreError:  # a database that is down hides decisions, not the page
            return Standing(*(pl.DataFrame(schema=schema) for schema in (ALERTS, OVERRIDES, WATCHED)), answered=False)

    @cached_property
    def facts(self) -> dict[str, Fact]:
        """What the companies' alerts are about, now and before."""
        return facts(self)

    def beside(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return a table of companies with ``analyst``: an analyst's grade beside the model's, where one is in force."""
        given = self.standing.overrides.select("company_id", analyst="rating")
        return table.join(given, on="company_id", how="left", maintain_order="left")

    @cached_property
    def economy(self) -> Economy:
        """What the run's scenarios were made with."""
        return Economy.of(self.losses["economy"])

    @cached_property
    def peers(self) -> pl.DataFrame:
        """The feature rows that current companies are ranked among."""
        return recent_peers(self.features, self.as_of, self.params.score.max_age_months)

    @cached_property
    def ranked(self) -> Peers:
        """Those, made ready for scoring the same companies many times over."""
        return Peers(self.peers, keep=True)

    @cached_property
    def desk(self) -> Desk:
        """What it takes to score companies of the base under shocks."""
        keys = self.scores.select("company_id", "fiscal_year", "available_at")
        recent = recent_statements(self.statements, keys)
        return Desk(self.model, recent, self.companies, self.ranked, keys, self.params.score)

    def check(self) -> None:
        """Raise WorkspaceError unless the run is whole: every page rests on these."""
        for name in ("run", "metrics", "published", "findings", "losses"):
            getattr(self, name)
        kept = {"options", "economy", "idle_shocks"} <= self.losses.keys()
        if not kept or not (self.workspace.scores / "contributions.parquet").exists():
            raise WorkspaceError("the scores were made by an earlier version: run `quiebra run` to score again")
