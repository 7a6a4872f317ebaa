"""Scores of statements that the request carries."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import FailFast, TypeAdapter, ValidationError

from quiebra.api.json_body import ndjson_to_list
from quiebra.api.limits import JOBS_REMEDY
from quiebra.api.predicting import answer_predictions, failed, in_language
from quiebra.api.problems import ApiError, body_faults, faults_problem, request_language
from quiebra.api.routing import NDJSON, guarded, json_answer, principal_of, require_type, router
from quiebra.api.schemas import EXAMPLE_COMPANY, BatchOut, CompanyIn, PredictionOut
from quiebra.api.service import service_of
from quiebra.errors import QuiebraError
from quiebra.identity import Permission
from quiebra.text.words import Words

routes = router()
COMPANIES = TypeAdapter(list[CompanyIn])
COMPANIES_TO_FIRST_FAULT = TypeAdapter(Annotated[list[CompanyIn], FailFast()])
LISTED_BYTES = 100_000
"""Size of a body up to which the faults of all its companies are looked for."""
REF = "#/components/schemas/"


def _body(schema: dict[str, Any], example: Any, *more: str) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema, "examples": {"statement": {"value": example}}}}
    return {"requestBody": {"required": True, "content": content | {kind: {"schema": {"type": "string"}} for kind in more}}}


@routes.post(
    "/predict/single",
    summary="Score one company's statements",
    **guarded(Permission.PREDICT, PredictionOut, **_body({"$ref": f"{REF}CompanyIn"}, EXAMPLE_COMPANY)),
    operation_id="predict_single",
)
async def predict_single(request: Request) -> Response:
    """Return the PD over one to five years with intervals, the grade, Altman's scores, the blend, and reasons."""
    require_type(request, "application/json")
    try:
        company = CompanyIn.model_validate_json(await request.body())
    except ValidationError as error:
        return faults_problem(request, body_faults(error))
    service = service_of(request)
    ((answer, cached),) = await answer_predictions(service, principal_of(request), "predict/single", [company])
    if isinstance(answer, QuiebraError):
        raise answer
    return json_answer(request, in_language(answer, cached, Words(request_language(request))))


@routes.post(
    "/predict/batch",
    summary="Score many companies",
    **guarded(
        Permission.PREDICT,
        BatchOut,
        **_body({"type": "array", "items": {"$ref": f"{REF}CompanyIn"}, "minItems": 1}, [EXAMPLE_COMPANY], NDJSON),
    ),
    operation_id="predict_batch",
)
async def predict_batch(request: Request) -> Response:
    """Return one entry a company, in the given order: its score, or why none of its statements can be scored.

    The body is a JSON list, or one JSON object a line (application/x-ndjson).
    """
    kind = require_type(request, "application/json", NDJSON)
    body = await request.body()
    service = service_of(request)
    most = service.options.batch_companies
    if kind == NDJSON:
        body = ndjson_to_list(body)
    try:
        asked = (COMPANIES if len(body) < LISTED_BYTES else COMPANIES_TO_FIRST_FAULT).validate_json(body)
    except ValidationError as error:
        return faults_problem(request, body_faults(error))
    if not asked:
        raise ApiError(422, "The list is empty: give one company or more.")
    if len(asked) > most:
        raise ApiError(
            413, "{n} companies are more than {most}, the most of one call.", n=len(asked), most=most, remedy=JOBS_REMEDY
        )
    words = Words(request_language(request))
    results = [
        failed(company.company_id, answer, words) if isinstance(answer, QuiebraError) else in_language(answer, cached, words)
        for company, (answer, cached) in zip(
            asked, await answer_predictions(service, principal_of(request), "predict/batch", asked), strict=True
        )
    ]
    wrong = sum("problem" in result for result in results)
    return json_answer(request, {"results": results, "scored": len(results) - wrong, "failed": wrong})


SCHEMAS = (CompanyIn, PredictionOut, BatchOut)
"""Models of the OpenAPI document."""
