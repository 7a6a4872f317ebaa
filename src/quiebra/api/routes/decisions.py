"""Alerts, the watch list and analysts' grades: what stands, and decisions of people on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import Query, Request, Response
from pydantic import ConfigDict, Field

from quiebra.alerts.analyst_decisions import list_overrides, watch_list_entries
from quiebra.alerts.lifecycle import alert_history, list_alerts
from quiebra.api.access import LOCAL
from quiebra.api.idempotency import once
from quiebra.api.problems import ApiError
from quiebra.api.routing import guarded, json_answer, principal_of, router
from quiebra.api.schemas import Body, Day, Id
from quiebra.api.service import service_of
from quiebra.errors import AlertError, InvalidNameError
from quiebra.identity import Permission
from quiebra.params import load_params
from quiebra.services import decisions
from quiebra.store import current_source
from quiebra.text.person_input import LONGEST_COMMENT, LONGEST_NAME

routes = router()
Reason = Annotated[str, Field(min_length=5, max_length=LONGEST_COMMENT, description="kept with the decision")]


class Acknowledgement(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "called the company", "review_on": "2099-01-31"}]})

    owner: Annotated[str | None, Field(max_length=LONGEST_NAME, description="who looks after it; default: who asks")] = None
    note: Annotated[str, Field(max_length=LONGEST_COMMENT)] = ""
    review_on: Day | None = None


class Closing(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "paid in full"}]})

    reason: Reason


class WatchIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "pays late", "level": 2}]})

    reason: Reason
    level: Annotated[int | None, Field(ge=1, le=3, description="1 watch, 2 close watch, 3 exit; default: as it is, else 1")] = (
        None
    )
    review_on: Annotated[Day | None, Field(description="default: in 90 days")] = None


class GradeIn(Body):
    """Another grade for a company than the model's: it counts once another person approves it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"company_id": "SIM-00001", "rating": "CCC", "reason": "lost its largest customer"}]}
    )

    company_id: Id
    rating: Annotated[str, Field(min_length=1, max_length=8)]
    reason: Reason
    days: Annotated[int, Field(ge=1, le=decisions.MAX_OVERRIDE_DAYS)] = 180


@routes.get("/alerts", summary="Alerts", **guarded(Permission.READ), operation_id="list_alerts")
async def alerts(
    request: Request, closed: bool = False, severity: Literal["low", "medium", "high"] | None = None, subject: str | None = None
) -> Response:
    """Return the alerts that are not closed, or with ``closed`` all, the most severe and newest first."""

    def read() -> list[dict[str, Any]]:
        engine = service_of(request).engine()
        rows = list_alerts(engine, current_source(engine), closed=closed).to_dicts()
        return [r for r in rows if severity in (None, r["severity"]) and subject in (None, r["subject"])]

    return json_answer(request, {"alerts": await anyio.to_thread.run_sync(read)}, kept=True)


@routes.get("/alerts/{alert_id}", summary="An alert's history", **guarded(Permission.READ), operation_id="get_alert")
async def history(request: Request, alert_id: str) -> Response:
    def read() -> list[dict[str, Any]]:
        return alert_history(service_of(request).engine(), alert_id)

    return json_answer(request, {"history": await _found(read)}, kept=True)


@routes.post("/alerts/{alert_id}/ack", summary="Acknowledge an alert", **guarded(Permission.DECIDE), operation_id="ack_alert")
async def acknowledge(request: Request, alert_id: str, given: Acknowledgement) -> Response:
    """Say who looks after an alert, with a note and a date to look again; an acknowledged one can be acknowledged again."""

    def act() -> dict[str, Any]:
        engine, who = service_of(request).engine(), principal_of(request).name
        made = decisions.acknowledge_alert(engine, alert_id, who, owner=given.owner, note=given.note, review_on=given.review_on)
        return {"alert_id": made, "state": "acknowledged"}

    return await _decide(request, given, act)


@routes.post("/alerts/{alert_id}/close", summary="Close an alert", **guarded(Permission.DECIDE), operation_id="close_alert")
async def close(request: Request, alert_id: str, given: Closing) -> Response:
    """Close an alert with a reason; the same cause raises no further one."""

    def act() -> dict[str, Any]:
        made = decisions.close_alert(service_of(request).engine(), alert_id, principal_of(request).name, given.reason)
        return {"alert_id": made, "state": "closed"}

    return await _decide(request, given, act)


@routes.get("/watch-list", summary="The analysts' watch list", **guarded(Permission.READ), operation_id="watch_list")
async def watch_list(request: Request) -> Response:
    def read() -> list[dict[str, Any]]:
        engine = service_of(request).engine()
        return watch_list_entries(engine, current_source(engine)).to_dicts()

    return json_answer(request, {"companies": await anyio.to_thread.run_sync(read)}, kept=True)


@routes.put("/watch-list/{company_id}", summary="Watch a company", **guarded(Permission.DECIDE), operation_id="watch_company")
async def watch(request: Request, company_id: str, given: WatchIn) -> Response:
    """Put a company on the analysts' watch list, or change its entry."""

    def act() -> dict[str, Any]:
        engine, who = service_of(request).engine(), principal_of(request).name
        level = decisions.add_to_watch_list(engine, company_id, who, given.reason, level=given.level, review_on=given.review_on)
        return {"company_id": company_id, "level": level}

    return await _decide(request, given, act)


@routes.delete(
    "/watch-list/{company_id}", summary="Stop watching a company", **guarded(Permission.DECIDE), operation_id="unwatch_company"
)
async def unwatch(request: Request, company_id: str, reason: Annotated[str, Query(max_length=LONGEST_COMMENT)]) -> Response:
    def act() -> dict[str, Any]:
        engine, who = service_of(request).engine(), principal_of(request).name
        decisions.remove_from_watch_list(engine, company_id, who, reason)
        return {"company_id": company_id, "level": None}

    return await _decide(request, None, act)


@routes.get("/overrides", summary="Analysts' grades", **guarded(Permission.READ), operation_id="list_overrides")
async def overrides(request: Request, past: bool = False) -> Response:
    """Return the grades in force, or with ``past`` all: proposed, in force and ended."""

    def read() -> list[dict[str, Any]]:
        engine = service_of(request).engine()
        return list_overrides(engine, current_source(engine), past=past).to_dicts()

    return json_answer(request, {"overrides": await anyio.to_thread.run_sync(read)}, kept=True)


@routes.post(
    "/overrides", summary="Propose a grade", **guarded(Permission.DECIDE), operation_id="propose_override", status_code=201
)
async def propose(request: Request, given: GradeIn) -> Response:
    """Propose a grade. It takes two people, so that a key proposes none."""
    await _require_person(request)

    def act() -> dict[str, Any]:
        service, who = service_of(request), principal_of(request).name
        grades = load_params(service.workspace).score.grades
        made = decisions.propose_override(
            service.engine(), given.company_id, given.rating, who, given.reason, grades, days=given.days
        )
        return {"override_id": made, "state": "proposed"}

    return await _decide(request, given, act, 201)


@routes.post(
    "/overrides/{override_id}/approve", summary="Approve a grade", **guarded(Permission.APPROVE), operation_id="approve_override"
)
async def approve(request: Request, override_id: Annotated[int, Field(ge=0, le=2**31 - 1)]) -> Response:
    """Put a grade in force that another person proposed."""

    def act() -> dict[str, Any]:
        decisions.approve_override(service_of(request).engine(), override_id, principal_of(request).name)
        return {"override_id": override_id, "state": "in force"}

    return await _decide(request, None, act)


@routes.post(
    "/overrides/{override_id}/end", summary="End or reject a grade", **guarded(Permission.DECIDE), operation_id="end_override"
)
async def end(request: Request, override_id: Annotated[int, Field(ge=0, le=2**31 - 1)], given: Closing) -> Response:
    await _require_person(request)

    def act() -> dict[str, Any]:
        decisions.end_override(service_of(request).engine(), override_id, principal_of(request).name, given.reason)
        return {"override_id": override_id, "state": "ended"}

    return await _decide(request, given, act)


async def _require_person(request: Request) -> None:
    """Raise ApiError (403), noted in the audit table, for a key but the server's own: people decide on grades."""
    if principal_of(request).kind == "key" and principal_of(request).name != LOCAL:
        action = f"{request.method} /v1{request.scope['route'].path_format}"
        await anyio.to_thread.run_sync(service_of(request).access.note_denied, principal_of(request), action, "people")
        raise ApiError(403, "A grade is proposed by a person and approved by another: sign in by POST /v1/token.")


async def _found(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return await anyio.to_thread.run_sync(read)
    except AlertError as error:
        raise ApiError.of(error, 404) from None


async def _decide(request: Request, given: Body | None, act: Callable[[], dict[str, Any]], status: int = 200) -> Response:
    """Return the answer to a decision, which is taken once where the request carries an idempotency key."""

    def tried() -> dict[str, Any]:
        try:
            return act()
        except InvalidNameError as error:
            raise ApiError.of(error, 422) from None

    content = None if given is None else given.model_dump(mode="json")
    return json_answer(request, *await anyio.to_thread.run_sync(once, request, content, tried, status))
