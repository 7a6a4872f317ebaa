"""What the routes share: the model and the run at hand, the database, the cache, and who may come in."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from fastapi import Request
from sqlalchemy import Engine, make_url
from threadpoolctl import threadpool_limits

from quiebra import store
from quiebra.api.access import Access
from quiebra.api.batching import Batcher
from quiebra.api.cache import Cache, make_cache
from quiebra.api.records import Records, write_records
from quiebra.environment import database_url, redis_url
from quiebra.errors import QuiebraError, StoreError
from quiebra.models.tree_shap import compiled_pass
from quiebra.params import load_params
from quiebra.params.api import Api
from quiebra.pipeline.stages import is_running
from quiebra.registry import ScoringModel
from quiebra.services.finished_run import FinishedRunView, stage_times
from quiebra.services.loaded_model import LoadedModel, load_model
from quiebra.services.prediction import CompanyStatements, Prediction, predict
from quiebra.workspace import Workspace

T = TypeVar("T")
BATCH_WAIT_SECONDS = 0.002
COMPANIES_PER_BATCH = 500
ANSWERS_PER_WRITE = 500
UNCHANGED_SECONDS = 0.02
"""How long files that were looked at are taken to be unchanged: looking costs a tenth of a request without its scoring."""
COLLECTION_THRESHOLDS = (100_000, 50, 100)
"""Of Python's garbage collector: a batch of answers makes some hundred thousand objects, which go as they came."""


class Kept(Generic[T]):
    """Something made of the workspace's files: made anew once they have changed, and kept while a run writes them."""

    def __init__(self, workspace: Workspace, make: Any) -> None:
        self.workspace, self._make = workspace, make
        self._lock = threading.Lock()
        self._made: tuple[Any, T] | None = None
        self._fresh_until = 0.0

    def fresh(self) -> T | None:
        """Return it where the files have not changed; None: it is to be made, which takes a while."""
        if self._made is None:
            return None
        if time.monotonic() >= self._fresh_until:
            if self._made[0] != _stamp(self.workspace):
                return None
            self._fresh_until = time.monotonic() + UNCHANGED_SECONDS
        return self._made[1]

    def get(self) -> T:
        """Return it as of the files that there are. Errors of making it are raised where there is none from before."""
        stamp = _stamp(self.workspace)
        if self._made is not None and (self._made[0] == stamp or is_running(self.workspace)):
            return self._made[1]
        with self._lock:
            if self._made is not None and self._made[0] == stamp:
                return self._made[1]
            try:
                self._made = (stamp, self._make(self.workspace))
            except QuiebraError as error:
                if self._made is None:
                    raise
                logging.getLogger("quiebra.api").error("reload", extra={"reason": str(error)})
                self._made = (stamp, self._made[1])
            _spare_garbage_collector()
            return self._made[1]


def _spare_garbage_collector() -> None:
    """Leave out what is kept when Python looks for unused objects: it would look through all of it again and again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)


def _stamp(workspace: Workspace) -> tuple[int, ...]:
    params = workspace.root / "params.yaml"
    return (*stage_times(workspace), params.stat().st_mtime_ns if params.exists() else 0)


def load_prepared_model(workspace: Workspace, charge: ScoringModel | None = None) -> LoadedModel:
    """Return a model with what scoring derives from its tables, prepared now and not at the first request; see `load_model`.

    From then on this process multiplies matrices in one thread: those of scoring are small, and further threads would only wait,
    at full speed, on a core that other requests need.
    """
    threadpool_limits(1, user_api="blas")
    loaded = load_model(workspace, charge)
    loaded.known, loaded.latest_assets  # noqa: B018  prepared by being read
    loaded.peers.prepare()
    compiled_pass()  # at the first reasons
    loaded.model.contributions(loaded.features[:1])
    return loaded


def _view(workspace: Workspace) -> FinishedRunView:
    view = FinishedRunView(workspace)
    view.check()
    for name in ("params", "scores", "history", "statements", "features", "contributions", "model", "peer_ranks", "companies"):
        getattr(view, name)
    for name in ("source", "calibration", "model_record", "portfolio_losses", "shocks", "scenarios", "own_figures"):
        getattr(view, name)
    return view


@dataclass
class Service:
    """One process of the API. options: section ``api`` of params. local_key_sha256: of the key that a server without users
    prints."""

    workspace: Workspace
    local_key_sha256: str | None = None
    options: Api = field(init=False)
    cache: Cache = field(init=False)
    access: Access = field(init=False)
    predictions: Batcher[tuple[LoadedModel, CompanyStatements], Prediction | QuiebraError] = field(init=False)
    records: Batcher[Records, None] = field(init=False)
    in_flight: int = 0
    uploads: int = 0
    model_sha256: str | None = None
    _engine: Engine | None = None

    def __post_init__(self) -> None:
        self.options = load_params(self.workspace).api
        self.cache = make_cache(
            redis_url(),
            most=self.options.cached_answers,
            seconds=self.options.cache_seconds,
            database=_name_of_database(self.workspace),
        )
        self.access = Access(self.engine, self.local_key_sha256)
        self.models: Kept[LoadedModel] = Kept(self.workspace, load_prepared_model)
        self.views: Kept[FinishedRunView] = Kept(self.workspace, _view)
        waiting = self.options.waiting_companies
        self.predictions = Batcher(
            _predict,
            most=COMPANIES_PER_BATCH,
            waiting=waiting,
            name="predict",
            wait=BATCH_WAIT_SECONDS,
            callers=lambda: self.in_flight,
        )
        self.records = Batcher(partial(_write, self), most=ANSWERS_PER_WRITE, waiting=waiting, name="records")

    def engine(self) -> Engine:
        """Return the database, migrated at the first call. StoreError while it does not answer."""
        if self._engine is None:
            self._engine = store.open_database(self.workspace)
        return self._engine

    def database_answers(self) -> bool:
        """Return whether the database answers now."""
        try:
            store.last_entry(self.engine())
        except StoreError:
            return False
        return True

    async def close(self) -> None:
        await self.predictions.close()
        await self.records.close()
        await self.cache.close()
        if self._engine is not None:
            self._engine.dispose()


def _name_of_database(workspace: Workspace) -> str:
    """Return what tells a workspace's database from others; a SQLite file is of one machine."""
    url = make_url(database_url(workspace.root))
    host = socket.gethostname() if url.get_backend_name() == "sqlite" else ""
    return host + url.render_as_string(hide_password=True)


def _predict(asked: list[tuple[LoadedModel, CompanyStatements]]) -> list[Prediction | QuiebraError]:
    """Score companies; those of a group may have been asked for just before and after a change of model."""
    found: list[Prediction | QuiebraError | None] = [None] * len(asked)
    for loaded in {id(loaded): loaded for loaded, _ in asked}.values():
        places = [place for place, (own, _) in enumerate(asked) if own is loaded]
        for place, answer in zip(places, predict(loaded, [asked[place][1] for place in places]), strict=True):
            found[place] = answer
    return [answer for answer in found if answer is not None]


def _write(service: Service, records: list[Records]) -> list[None]:
    return write_records(service.engine(), records)


def service_of(request: Request) -> Service:
    """Return the service of a request's app."""
    service: Service = request.app.state.service
    return service
