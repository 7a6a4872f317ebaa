"""The finished run that research is done on, and the options that its champion was judged with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.banners import run_banners
from quiebra.feature_engineering import use_own_features
from quiebra.panels import label_outcomes, read_source
from quiebra.params import Labels, Params, load_params
from quiebra.risk import FinishedRun
from quiebra.validation.comparison import Bootstrap
from quiebra.validation.figures import years_to_judge
from quiebra.workspace import Workspace


def open_run(place: str | Path | None = None) -> ResearchRun:
    """Return the finished run of a workspace. WorkspaceError if there is no workspace, or no finished run in it."""
    workspace = Workspace.find(place)
    if (workspace.panel / "source.json").is_file():
        use_own_features(read_source(workspace.panel).own_columns)
    return ResearchRun(workspace)


@dataclass(frozen=True)
class ResearchRun(FinishedRun):
    """A finished run with what estimators are judged by: the champion's labels, embargo, first year and test years."""

    @cached_property
    def params(self) -> Params:
        return load_params(self.workspace)

    @cached_property
    def events(self) -> pl.DataFrame:
        return self.panel("events")

    @cached_property
    def _champions(self) -> dict[str, Any]:
        """The params that the champion was trained with."""
        params: dict[str, Any] = self.model_record["card"]["params"]
        return params

    @property
    def banners(self) -> list[str]:
        """What is to be said of the run's scores as a whole, such as that they are an experiment's."""
        return [f"{heading}: {sentence}" for heading, sentence in run_banners(self.run)]

    @property
    def labels(self) -> Labels:
        return Labels.model_validate(self._champions["labels"])

    @property
    def embargo(self) -> int:
        return int(self._champions["train"]["embargo_years"])

    @property
    def first_year(self) -> int:
        """The first fiscal year that models learn from."""
        return int(self._champions["train"]["first_year"] or self.source["first_label_year"])

    @cached_property
    def test_years(self) -> list[int]:
        """The fiscal years that the champion is judged on."""
        return years_to_judge(self.history, self.source["outcomes_through"], self.params.validate_)

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap.of(self.params.validate_, self.params.run.seed)

    @cached_property
    def outcomes(self) -> pl.DataFrame:
        """Outcomes of all firm-years, as known today."""
        return label_outcomes(self.statements, self.events, window_months=self.labels.window_months)
