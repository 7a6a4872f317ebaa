"""The model in charge and the tables that scoring needs, read once for many calls."""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.banners import run_banners
from quiebra.errors import LocalisedMessage
from quiebra.feature_engineering import PeerRanks
from quiebra.feature_engineering.peers import Peers
from quiebra.io.files import read_json, read_table
from quiebra.models import PdModel
from quiebra.panels import read_panel_table, read_source
from quiebra.params import Score, Table, load_params
from quiebra.provenance import RESULT_PACKAGES, code_hash, file_sha256, json_sha256
from quiebra.registry import ScoringModel, read_scoring_model, registered_model
from quiebra.risk import current_statements, of_sources
from quiebra.sources.derived_items import are_items_derived
from quiebra.workspace import Workspace


@dataclass(frozen=True)
class LoadedModel:
    """The model in charge with what it scores by.

    charge: which model, and its standing. run_id: of the last scoring run; empty where there was none. companies, statements: of
    the panel. features: those that statements are ranked among. compared: the companies that reasons compare with. score, table:
    parameters. currency: of the panel. derived: whether missing items that follow from others are filled in.
    sha256: of all that a score depends on, but for the statements scored.
    """

    charge: ScoringModel
    model: PdModel
    run_id: str
    companies: pl.DataFrame
    statements: pl.DataFrame
    features: pl.DataFrame
    compared: PeerRanks
    score: Score
    table: Table
    currency: str
    simulated: bool
    derived: bool
    sha256: str

    @cached_property
    def peers(self) -> Peers:
        """The features, as what statements are ranked among."""
        return Peers(self.features)

    @cached_property
    def known(self) -> dict[str, tuple[str | None, str | None]]:
        """Company id → name and sector, of the panel."""
        rows = self.companies.select("company_id", "name", "sector").iter_rows()
        return {company_id: (name, sector) for company_id, name, sector in rows}

    @cached_property
    def sectors(self) -> frozenset[str]:
        """The sectors that any company of the panel has."""
        return frozenset(self.companies["sector"].drop_nulls())

    @cached_property
    def asset_range(self) -> tuple[float, float]:
        """Smallest and largest `latest_assets`; of no companies zero and infinity."""
        known = [assets for assets in self.latest_assets.values() if assets > 0]
        return (min(known), max(known)) if known else (0.0, math.inf)

    @cached_property
    def latest_assets(self) -> dict[str, float]:
        """Company id → total assets of its latest statement in the panel, in millions."""
        rows = self.statements.select("company_id", "fiscal_year", "available_at", "total_assets").drop_nulls()
        last = rows.sort("company_id", "fiscal_year", "available_at").unique("company_id", keep="last")
        return dict(last.select("company_id", "total_assets").iter_rows())

    @property
    def as_of(self) -> dt.date:
        """The date of the run that made the model."""
        return dt.date.fromisoformat(self.model.card["as_of"])

    def reference(self) -> dict[str, str]:
        """Return which model and run an answer rests on."""
        return {"model_id": self.charge.model_id, "standing": self.charge.standing, "run_id": self.run_id}

    def peers_until(self, days: pl.Series) -> dict[dt.date, str | None]:
        """Return, for days of publication, the last one of the statements that are ranked among; None where there are none."""
        places = {day: bisect_right(self._published, day) for day in set(days.to_list()) if day is not None}
        return {day: str(self._published[place - 1]) if place else None for day, place in places.items()}

    @cached_property
    def _published(self) -> list[dt.date]:
        """The days on which statements of the panel were published, in order."""
        days: list[dt.date] = self.features["available_at"].drop_nulls().unique().sort().to_list()
        return days

    def banners(self) -> list[LocalisedMessage]:
        """Return what each answer must say of the model: that it is not the champion, failed a gate, or learnt from simulated
        companies."""
        said = [
            LocalisedMessage("{heading}: {text}", {"heading": heading, "text": text})
            for heading, text in run_banners(self.charge.as_record())
        ]
        if self.simulated:
            said.append(
                LocalisedMessage("SIMULATED: the model has learnt from simulated companies; its PDs say nothing of real ones")
            )
        return said


def load_model(workspace: Workspace, charge: ScoringModel | None = None) -> LoadedModel:
    """Read a model with the workspace's tables of now. charge: None: the model in charge.

    WorkspaceError if there is no such model, or no longer, or a file of its run is missing or damaged.
    """
    params = load_params(workspace)
    charge = read_scoring_model(workspace) if charge is None else charge
    model = registered_model(workspace, charge.model_sha256).load()
    source = read_source(workspace.panel)
    statements, events = (read_panel_table(workspace.panel, name) for name in ("statements", "events"))
    features = read_table(workspace.features / "features.parquet")
    as_of = dt.date.fromisoformat(model.card["as_of"])
    living = current_statements(features, events, as_of, params.score.max_age_months)
    record = workspace.scores / "run.json"
    run = str(read_json(record)["run_id"]) if record.is_file() else ""
    depends: dict[str, Any] = {
        "model": charge.model_sha256,
        "standing": charge.as_record(),
        "features": file_sha256(workspace.features / "features.parquet"),
        **{name: file_sha256(workspace.panel / f"{name}.parquet") for name in ("companies", "statements", "events")},
        "source": [source.source, source.currency, source.simulated],
        "run": run,
        "score": params.score.model_dump(),
        "filing_lag_days": params.ingest.table.filing_lag_days,
        "code": code_hash((*RESULT_PACKAGES, "services", "api", "text")),
    }
    return LoadedModel(
        charge,
        model,
        run,
        read_panel_table(workspace.panel, "companies"),
        statements,
        features,
        PeerRanks(of_sources(living, statements, params.score.sources)),
        params.score,
        params.ingest.table,
        source.currency,
        source.simulated,
        are_items_derived(source.source),
        json_sha256(depends),
    )
