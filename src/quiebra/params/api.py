"""The section on the prediction API: limits, and how long answers are kept."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from quiebra.errors import InvalidValue
from quiebra.params.section import Section


def _rate(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,8}/(second|minute|hour|day)", text):
        raise InvalidValue("a rate is written as 600/minute: a number and second, minute, hour or day")
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class Api(Section):
    """Limits of the API.

    rate_per_key: requests of one key or user. rate_per_address: of one network address. sign_ins_per_address: tries to sign in.
    concurrent_requests: at once in one process; more are asked to come back. waiting_companies: to be scored, in one process.
    batch_companies: of one call. body_megabytes: of one call. job_megabytes: of a file to score in the background.
    waiting_jobs: of one key or user that have not ended.
    cached_answers: kept in each process without Redis. cache_seconds: how long an answer is kept.
    """

    rate_per_key: Rate = "60000/minute"
    rate_per_address: Rate = "120000/minute"
    sign_ins_per_address: Rate = "20/minute"
    concurrent_requests: Annotated[int, Field(ge=1, le=10_000)] = 256
    waiting_companies: Annotated[int, Field(ge=1, le=1_000_000)] = 40_000
    batch_companies: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    body_megabytes: Annotated[int, Field(ge=1, le=100)] = 10
    job_megabytes: Annotated[int, Field(ge=1, le=10_000)] = 500
    waiting_jobs: Annotated[int, Field(ge=1, le=100_000)] = 100
    cached_answers: Annotated[int, Field(ge=0, le=1_000_000)] = 20_000
    cache_seconds: Annotated[int, Field(ge=1, le=2_592_000)] = 86_400
