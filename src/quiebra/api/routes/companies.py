"""Companies as the last run has scored them, with what analysts have decided on them."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import Query, Request, Response

from quiebra.alerts.analyst_decisions import list_overrides, watch_list_entries
from quiebra.alerts.lifecycle import list_alerts
from quiebra.api.predicting import record_access
from quiebra.api.problems import ApiError, request_language
from quiebra.api.routing import guarded, json_answer, router
from quiebra.api.service import Service, service_of
from quiebra.errors import PanelError, StoreError
from quiebra.identity import Permission
from quiebra.services.company import find_companies
from quiebra.services.company_record import company_record
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words, translatable

routes = router()
AWAY = translatable("The database does not answer: alerts and analysts' decisions are not shown.")


@routes.get("/companies", summary="Find companies by name or id", **guarded(Permission.READ), operation_id="find_companies")
async def find(
    request: Request,
    query: Annotated[str, Query(min_length=1, max_length=100)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """Return the companies of the last run whose name or id contains the text, those that start with it first."""
    view = await current_view(service_of(request))
    found = await anyio.to_thread.run_sync(find_companies, view, query, limit)
    by_id = {row["company_id"]: row for row in _rows(view, [company for company, _ in found])}
    return json_answer(request, {"companies": [by_id[company] for company, _ in found], "run_id": view.run["run_id"]}, kept=True)


@routes.get(
    "/companies/{company_id}", summary="A company of the last run", **guarded(Permission.READ), operation_id="get_company"
)
async def get(request: Request, company_id: str) -> Response:
    """Return its score, reasons, history and peers, and the alerts and decisions of analysts that stand.

    While the database does not answer, the run's files are answered, and ``database`` says so.
    """
    service = service_of(request)
    view = await current_view(service)
    record = await anyio.to_thread.run_sync(_record, view, company_id)
    words = Words(request_language(request))
    language = words.language
    texts = {
        "reasons": [{**reason, "text": reason["text"][language]} for reason in record["reasons"]],
        "notes": [note[language] for note in record["notes"]],
    }
    decided = await anyio.to_thread.run_sync(_decisions, service, view, company_id)
    if decided["database"]:
        await record_access(request, company_id, record["model"]["model_id"], 1)
    else:
        texts["notes"] = [*texts["notes"], words(AWAY)]
    return json_answer(request, {**record, **texts, **decided}, kept=True)


async def current_view(service: Service) -> FinishedRunView:
    """Return the finished run. WorkspaceError where there is none."""
    fresh = service.views.fresh()
    return await anyio.to_thread.run_sync(service.views.get) if fresh is None else fresh


def _rows(view: FinishedRunView, ids: list[str]) -> list[dict[str, Any]]:
    columns = ("company_id", "name", "sector", "rating", "pd_12m", "watch")
    table = view.scores.filter(view.scores["company_id"].is_in(ids)).select(columns)
    return table.with_columns(table["pd_12m"].round(6)).to_dicts()


def _record(view: FinishedRunView, company_id: str) -> dict[str, Any]:
    try:
        return company_record(view, company_id)
    except PanelError as error:
        raise ApiError.of(error, 404) from None


def _decisions(service: Service, view: FinishedRunView, company_id: str) -> dict[str, Any]:
    """Return the alerts, grade and watch list entry that stand; ``database`` False where they cannot be read."""
    source = view.run["data"]["source"]
    try:
        engine = service.engine()
        alerts = [row for row in list_alerts(engine, source).to_dicts() if row["subject"] == company_id]
        grades = [row for row in list_overrides(engine, source).to_dicts() if row["company_id"] == company_id]
        watched = [row for row in watch_list_entries(engine, source).to_dicts() if row["company_id"] == company_id]
    except StoreError:
        return {"database": False, "alerts": None, "analyst_grade": None, "watch_entry": None}
    return {
        "database": True,
        "alerts": alerts,
        "analyst_grade": grades[0] if grades else None,
        "watch_entry": watched[0] if watched else None,
    }
