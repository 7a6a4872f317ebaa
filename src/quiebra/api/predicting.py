"""Answer predictions: from the cache, else computed, and stored before they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio.to_thread
import orjson
from asgi_correlation_id import correlation_id
from fastapi import Request

from quiebra.api.access import Principal
from quiebra.api.records import Records, access_record, hash_json, input_hash, prediction_id, prediction_row, texts_in_language
from quiebra.api.routing import principal_of
from quiebra.api.schemas import CompanyIn
from quiebra.api.service import Service, service_of
from quiebra.errors import QuiebraError
from quiebra.logs import add_log_fields
from quiebra.services.loaded_model import LoadedModel
from quiebra.services.prediction import CompanyStatements, Prediction
from quiebra.text.words import Words

COMPANIES_PER_STEP = 500
"""Companies of a large call that are scored at a time, so that small calls come in between."""


async def answer_predictions(
    service: Service, principal: Principal, route: str, asked: Sequence[CompanyIn]
) -> list[tuple[Prediction | QuiebraError, bool]]:
    """Return each company's prediction, or why it has none, and whether it had been computed before.

    What was computed, and the access record, are in the database before this returns. Raise StoreError where it does not answer.
    """
    loaded = await current_model(service)
    add_log_fields(run_id=loaded.run_id, companies=len(asked))
    inputs = [input_hash(company) for company in asked]
    ids = [prediction_id(loaded, each) for each in inputs]
    kept = zip(ids, await service.cache.get(ids), strict=True)
    found: list[Prediction | QuiebraError | None] = [_kept_answer(name, written) for name, written in kept]
    cached = [answer is not None for answer in found]
    places = [place for place, answer in enumerate(found) if answer is None]
    for start in range(0, len(places), COMPANIES_PER_STEP):
        part = places[start : start + COMPANIES_PER_STEP]
        statements: list[tuple[LoadedModel, CompanyStatements]] = [(loaded, asked[place].as_statements()) for place in part]
        for place, answer in zip(part, await service.predictions.submit(statements), strict=True):
            found[place] = answer if isinstance(answer, QuiebraError) else {"prediction_id": ids[place], **answer}
    answers = [answer for answer in found if answer is not None]
    new = {ids[place]: (place, answer) for place in places if not isinstance(answer := answers[place], QuiebraError)}
    whole = inputs[0] if len(inputs) == 1 else hash_json(inputs)
    access = access_record(
        who=principal.name,
        route=route,
        model_id=loaded.charge.model_id,
        input_sha256=whole,
        companies=len(asked),
        cached=sum(cached),
        correlation_id=correlation_id.get(),
    )
    written = {name: orjson.dumps(answer) for name, (_, answer) in new.items()}
    rows = [prediction_row(asked[place], inputs[place], answer, written[name]) for name, (place, answer) in new.items()]
    await service.records.submit([Records(access, rows)])
    await service.cache.set(written)
    return list(zip(answers, cached, strict=True))


def _kept_answer(name: str, written: bytes | None) -> Prediction | None:
    """Return an answer from the cache; None where it is not there, or what is there is no answer of that id."""
    try:
        found = None if written is None else orjson.loads(written)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("prediction_id") == name else None


async def current_model(service: Service) -> LoadedModel:
    """Return the model in charge; another one than before empties the cache. WorkspaceError where there is none yet."""
    fresh = service.models.fresh()
    if fresh is not None:
        return fresh
    loaded = await anyio.to_thread.run_sync(service.models.get)
    if service.model_sha256 not in (None, loaded.sha256):
        await service.cache.clear()
    service.model_sha256 = loaded.sha256
    return loaded


async def record_access(request: Request, asked: Any, model_id: str, companies: int) -> None:
    """Store who gets an answer on companies of the last run, before it is told. asked: what the request names."""
    route = request.scope["route"].path_format
    access = access_record(
        who=principal_of(request).name,
        route=route.removeprefix("/v1/"),
        model_id=model_id,
        input_sha256=hash_json({"asked": asked}),
        companies=companies,
        cached=0,
        correlation_id=correlation_id.get(),
    )
    await service_of(request).records.submit([Records(access)])


def in_language(answer: Prediction, cached: bool, words: Words) -> dict[str, Any]:
    """Return a prediction with its texts in one language."""
    return {**texts_in_language(answer, words.language), "cached": cached}


def failed(company_id: str, error: QuiebraError, words: Words) -> dict[str, str]:
    """Return the entry of a company that cannot be scored."""
    return {"company_id": company_id, "problem": words.say(error.said)}
