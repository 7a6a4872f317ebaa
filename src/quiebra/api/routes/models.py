"""The model in charge with its figures, and the provenance of runs."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from fastapi import Request, Response

from quiebra import store
from quiebra.api.problems import ApiError, request_language
from quiebra.api.routes.companies import current_view
from quiebra.api.routing import guarded, json_answer, router
from quiebra.api.service import service_of
from quiebra.errors import SHORTEST_START, StoreError
from quiebra.identity import Permission
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.model_health import champion_comparison, gate_rows
from quiebra.text.words import Words

routes = router()
FIGURES = ("auc", "average_precision", "ks", "brier", "top_decile_capture", "pd_over_observed")


@routes.get("/model", summary="The model behind the last run", **guarded(Permission.READ), operation_id="get_model")
async def model(request: Request) -> Response:
    """Return the model's figures out of time with intervals, its gates, and what it was made from."""
    view = await current_view(service_of(request))
    words = Words(request_language(request))
    return json_answer(request, await anyio.to_thread.run_sync(_model, view, words), kept=True)


def _model(view: FinishedRunView, words: Words) -> dict[str, Any]:
    figures, card, run = view.metrics["walk_forward"], view.model.card, view.run
    return {
        "model_id": run["model_sha256"][:12],
        "standing": run.get("standing"),
        "figures": {name: {"value": figures[name], "interval": figures["interval"].get(name)} for name in FIGURES},
        "judged_on": {name: figures[name] for name in ("test_years", "rows", "events")},
        "confidence": view.metrics["confidence"],
        "gates": [{**row, "words": words(row["words"])} for row in gate_rows(view)],
        "comparison": champion_comparison(view, words),
        "grades": view.params.score.grades,
        "lineage": {
            **{name: card[name] for name in ("source", "trained_on", "rows", "failures", "simulated", "as_of")},
            "data_sha256": run["data"]["sha256"],
            "model_sha256": run["model_sha256"],
            "code_sha256": run["code_sha256"],
            "run_id": run["run_id"],
        },
    }


@routes.get("/runs/{run_id}", summary="Where a run's figures come from", **guarded(Permission.READ), operation_id="get_run")
async def trace(request: Request, run_id: str) -> Response:
    """Return the data, parameters, code and model of a run, by its id or a model's, or its first four characters or more."""
    found = await anyio.to_thread.run_sync(_trace, service_of(request).engine, run_id)
    return json_answer(request, found, kept=True)


def _trace(engine: Any, run_id: str) -> dict[str, Any]:
    connected = engine()
    try:
        return store.trace_run(connected, run_id)
    except StoreError as error:
        if _is_no_match(error, run_id):
            raise ApiError.of(error, 404) from None
        raise


def _is_no_match(error: StoreError, run_id: str) -> bool:
    return len(run_id) < SHORTEST_START or f"'{run_id}'" in str(error)
