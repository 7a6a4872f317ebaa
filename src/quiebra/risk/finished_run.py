"""A finished run: its record and the files that its stages wrote, each read once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from quiebra.errors import WorkspaceError
from quiebra.feature_engineering import PeerRanks
from quiebra.io.files import read_json, read_table, write_json
from quiebra.items import VERSION_KEYS
from quiebra.models import PdModel
from quiebra.panels import label_outcomes, read_panel_table
from quiebra.provenance import file_sha256, hash_files
from quiebra.registry import RegisteredModel, registered_model
from quiebra.risk.portfolio import pds_by_year, reasons_in_words, scores_in_force
from quiebra.validation.headline import read_figures
from quiebra.workspace import Workspace

T = TypeVar("T")
TABLES = ("scores.parquet", "history.parquet", "reasons.parquet", "contributions.parquet")
"""Tables that the score stage writes next to run.json."""


def write_run(folder: Path, record: dict[str, Any]) -> None:
    """Write run.json with the hashes of the score tables, which must be in the folder already."""
    write_json(folder / "run.json", {**record, "files": hash_files(folder / name for name in TABLES)})


def read_run_record(workspace: Workspace) -> dict[str, Any]:
    """Return run.json, after checks that prevent pages and tables from mixing two runs.

    Raise WorkspaceError where the panel has changed since, a score table is not the one that the run wrote, or the scoring model
    is not registered.
    """
    run = read_json(workspace.scores / "run.json")
    _refuse_others(workspace.scores, run)
    if run["data"]["panel"] != hash_files(workspace.panel.glob("*.parquet")):
        raise WorkspaceError("the panel changed after the scores were made: run `quiebra run` to score again")
    registered_model(workspace, run["model_sha256"])
    return run


def _refuse_others(folder: Path, run: dict[str, Any]) -> None:
    """Raise WorkspaceError where a score table is not the one that the run wrote.

    Runs of an earlier version have no hashes. A missing table raises where it is read.
    """
    for name, hashed in run.get("files", {}).items():
        path = folder / name
        if path.is_file() and file_sha256(path) != hashed:
            raise WorkspaceError(
                "{path} is not the table that run {run} wrote: run `quiebra run` to score again, or restore it",
                path=path,
                run=run["run_id"],
            )


@dataclass(frozen=True)
class FinishedRun:
    """Data of a finished run, for reports and dashboards; raise WorkspaceError, with the remedy, where a file is missing."""

    workspace: Workspace

    def read(self, reader: Callable[[Path], T], path: Path) -> T:
        """Return the result of ``reader`` for one of the run's files."""
        return reader(path)

    def panel(self, name: str) -> pl.DataFrame:
        return self.read(lambda folder: read_panel_table(folder, name), self.workspace.panel)

    @cached_property
    def run(self) -> dict[str, Any]:
        return read_run_record(self.workspace)

    @cached_property
    def source(self) -> dict[str, Any]:
        return self.read(read_json, self.workspace.panel / "source.json")

    @cached_property
    def registered_model(self) -> RegisteredModel:
        """The model that made the scores, in the register."""
        return registered_model(self.workspace, self.run["model_sha256"])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Validation figures of the model that made the scores, which may not be the one trained last."""
        return self.read(read_figures, self.registered_model.validation)

    @cached_property
    def own_figures(self) -> dict[str, Any] | None:
        """Figures of the one source whose companies are scored, out of a panel of several; None where all or several are."""
        scored = self.run["params"]["score"].get("sources") or []
        groups = self.read(read_json, self.registered_model.validation / "pack.json")["groups"].get("by_source", [])
        return next((group for group in groups if [group["group"]] == scored), None)

    @cached_property
    def calibration(self) -> dict[str, Any]:
        return self.read(read_json, self.registered_model.validation / "calibration.json")

    @cached_property
    def published(self) -> dict[str, Any]:
        return self.read(read_json, self.workspace.published / "published.json")

    @cached_property
    def model_record(self) -> dict[str, Any]:
        """The model's JSON: card, scorers, confidence."""
        return self.read(read_json, self.registered_model.folder / "model.json")

    @cached_property
    def companies(self) -> pl.DataFrame:
        """company_id, name (the id where there is none), country, region, sector."""
        return self.panel("companies").with_columns(name=pl.coalesce("name", "company_id"))

    @cached_property
    def statements(self) -> pl.DataFrame:
        return self.panel("statements")

    @cached_property
    def reasons(self) -> pl.DataFrame:
        return self.read(read_table, self.workspace.scores / "reasons.parquet")

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Today's scores with name, sector, region and reasons as text; see `quiebra.risk.portfolio.reasons_in_words`."""
        table = self.read(read_table, self.workspace.scores / "scores.parquet")
        names = self.companies.select("company_id", "name", "sector", "region")
        table = table.join(names, on="company_id", how="left", maintain_order="left")
        return table.join(reasons_in_words(self.reasons), on="company_id", how="left", maintain_order="left")

    @cached_property
    def history(self) -> pl.DataFrame:
        """Out-of-time scores of past years."""
        return self.read(read_table, self.workspace.scores / "history.parquet")

    @cached_property
    def before(self) -> pl.DataFrame:
        """The scores in force a year before today's, as given then."""
        past, months = self.with_period_end(self.history), self.run["params"]["score"]["max_age_months"]
        a_year_ago = pl.select(pl.lit(self.as_of).dt.offset_by("-1y")).item()
        return scores_in_force(past, self.panel("events"), a_year_ago, months).drop("period_end")

    def with_period_end(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Return scores with the period_end of their statements."""
        ends = self.statements.select(*VERSION_KEYS, "period_end")
        return scores.join(ends, on=VERSION_KEYS, how="left", maintain_order="left")

    @cached_property
    def findings(self) -> pl.DataFrame:
        return self.read(read_table, self.workspace.monitoring / "findings.parquet")

    @cached_property
    def features(self) -> pl.DataFrame:
        return self.read(read_table, self.workspace.features / "features.parquet")

    @cached_property
    def contributions(self) -> pl.DataFrame:
        """company_id, base and one column per feature: its effect on the company's log-odds."""
        return self.read(read_table, self.workspace.scores / "contributions.parquet")

    @cached_property
    def portfolio_losses(self) -> pl.DataFrame:
        """The portfolio: company_id, exposure, lgd, pd_12m, expected_loss and contribution."""
        return self.read(read_table, self.workspace.stress / "contributions.parquet")

    @cached_property
    def losses(self) -> dict[str, Any]:
        return self.read(read_json, self.workspace.stress / "portfolio.json")

    @cached_property
    def shocks(self) -> pl.DataFrame:
        return self.read(read_table, self.workspace.stress / "shocks.parquet")

    @cached_property
    def model(self) -> PdModel:
        """The model that made the scores, to score what a user asks for."""
        return self.read(lambda folder: RegisteredModel(folder).load(), self.registered_model.folder)

    @cached_property
    def as_of(self) -> dt.date:
        return dt.date.fromisoformat(self.run["as_of"])

    @cached_property
    def peer_ranks(self) -> PeerRanks:
        """The scored companies, which the values in reasons are compared with."""
        return PeerRanks(self.features.join(self.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi"))

    @property
    def simulated(self) -> bool:
        return bool(self.run["simulated"])

    def judged_years(self, window_months: int) -> pl.DataFrame:
        """Return PDs by fiscal year from the first year that validation judged; see `quiebra.risk.pds_by_year`."""
        first = int(self.metrics["walk_forward"]["test_years"].split("-")[0])
        labels = label_outcomes(self.statements, self.panel("events"), window_months=window_months)
        years = pds_by_year(self.history, self.scores, labels, self.source["outcomes_through"])
        return years.filter(pl.col("fiscal_year") >= first)
