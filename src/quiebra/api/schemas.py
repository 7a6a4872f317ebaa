"""Bodies of requests and answers, as pydantic models: they are the OpenAPI document, and what requests are checked by."""

from __future__ import annotations

import datetime as dt
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, create_model, model_validator

from quiebra.errors import InvalidNameError, InvalidValue
from quiebra.items import ITEMS
from quiebra.services.prediction import STATEMENT_COLUMNS, CompanyStatements
from quiebra.text.person_input import clean_comment

UNITS = {"millions": 1.0, "thousands": 1e-3, "ones": 1e-6}
"""Unit of amounts → millions that one of them is."""
MOST_STATEMENTS = 60
"""Statements of one company in a request."""


def _clean(text: str) -> str:
    try:
        kept = clean_comment(text, "")
    except InvalidNameError:
        raise InvalidValue("must be one line, without signs that cannot be seen") from None
    if not kept:
        raise InvalidValue("must not be empty")
    return kept


def _day(value: object) -> object:
    """Return a day written as YYYY-MM-DD: pydantic takes numbers for seconds since 1970."""
    if not isinstance(value, dt.date) and not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        raise InvalidValue("a date is written as 2024-12-31")
    return value


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise InvalidValue("should be the three capital letters of a currency, such as EUR")
    return text


def _told_apart(features: object) -> object:
    """Refuse names that are one name once blanks are taken away: one of the two values would be lost."""
    names = [name.strip() for name in features if isinstance(name, str)] if isinstance(features, dict) else []
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidValue("'{name}' is there twice", name=twice[0])
    return features


def _own_and_sorted(features: dict[str, float | None]) -> dict[str, float | None]:
    if taken := sorted(features.keys() & {*STATEMENT_COLUMNS}):
        raise InvalidValue("'{name}' stands beside fiscal_year, and not among the features", name=taken[0])
    return dict(sorted(features.items()))


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_clean)]
Id = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_clean)]
Currency = Annotated[str, AfterValidator(_currency), Field(json_schema_extra={"pattern": "^[A-Z]{3}$"})]
Day = Annotated[dt.date, Field(strict=False), BeforeValidator(_day)]


class Body(BaseModel):
    """Base of requests: no unknown fields, no conversion from text, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Statement(Body):
    fiscal_year: Annotated[int, Field(ge=1900, le=2200, description="the year that the accounts are of")]
    period_end: Annotated[Day | None, Field(description="its last day; default: 31 December of the fiscal year")] = None
    available_at: Annotated[Day | None, Field(description="when it was published; default: a lag after period_end")] = None
    features: Annotated[
        dict[Id, float | None],
        BeforeValidator(_told_apart),
        Field(max_length=200, description="features of the workspace's own that the model learnt from"),
        AfterValidator(_own_and_sorted),
    ] = Field(default_factory=dict)


Amount = Annotated[float | None, Field(ge=-1e15, le=1e15)]
StatementIn: type[_Statement] = create_model(  # type: ignore[call-overload]  # the items are the fields
    "StatementIn",
    __base__=_Statement,
    __doc__="One fiscal year of a company. An item that is not known is left out or null, never zero.",
    **{item.name: (Amount, Field(default=None, description=item.label)) for item in ITEMS},
)
EXAMPLE_STATEMENT: dict[str, JsonValue] = {
    "fiscal_year": 2024,
    "total_assets": 250.0,
    "current_assets": 110.0,
    "cash": 9.0,
    "total_liabilities": 190.0,
    "current_liabilities": 95.0,
    "long_term_debt": 70.0,
    "retained_earnings": 20.0,
    "revenue": 310.0,
    "ebit": 8.5,
    "interest_expense": 6.0,
    "net_income": 1.5,
}
EXAMPLE_COMPANY: dict[str, JsonValue] = {
    "company_id": "ACME-1",
    "sector": "C Manufacturing",
    "units": "millions",
    "statements": [EXAMPLE_STATEMENT],
}


class CompanyIn(Body):
    """Statements of one company, in any order."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_COMPANY]})

    company_id: Annotated[Id, Field(description="your id of the company; one that the workspace knows gives name and sector")]
    name: Line | None = None
    sector: Annotated[Line | None, Field(description="as the workspace writes it; an unknown one is compared with all")] = None
    currency: Annotated[Currency | None, Field(description="of the amounts; default: the model's")] = None
    units: Annotated[Literal["millions", "thousands", "ones"], Field(description="of the amounts")] = "millions"
    as_of: Annotated[Day | None, Field(description="leave out what was published later")] = None
    use_history: Annotated[bool, Field(description="join the workspace's own statements of the company")] = False
    statements: Annotated[list[StatementIn], Field(max_length=MOST_STATEMENTS)] = Field(default_factory=list)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _something_to_score(self) -> CompanyIn:
        if not self.statements and not self.use_history:
            raise InvalidValue("statements: give one or more, or use_history: true for a company of the workspace")
        return self

    @cached_property
    def asked(self) -> bytes:
        """What was sent, as JSON, without what says no more than the default, in the order of the fields."""
        return self.model_dump_json(exclude_defaults=True).encode()

    def as_statements(self) -> CompanyStatements:
        """Return the request as the service takes it."""
        rows = [self._row(statement) for statement in self.statements]
        return CompanyStatements(
            self.company_id,
            rows,
            self.name,
            self.sector,
            self.currency,
            UNITS[self.units],
            self.as_of,
            self.use_history,
        )

    @staticmethod
    def _row(statement: _Statement) -> dict[str, Any]:
        row = {**statement.__dict__}
        return {**row.pop("features"), **row}


class Text(BaseModel):
    """An answer's model is for the document: answers are written as they are."""


class Reason(Text):
    kind: Annotated[Literal["raises", "lowers", "gap"], Field(description="gap: what is not known")]
    code: Annotated[str, Field(description="stable, such as LEVERAGE_UP", examples=["LEVERAGE_UP"])]
    concept: str
    feature: str | None
    value: float | None
    typical: Annotated[float | None, Field(description="median of the companies that the model learnt from")]
    effect: Annotated[float, Field(description="on the log-odds of the one-year PD")]
    text: Annotated[str, Field(description="in the asked language")]


class AltmanScore(Text):
    value: float | None
    zone: Literal["distress", "grey", "safe"] | None


class AltmanScores(Text):
    altman_z: Annotated[AltmanScore, Field(description="Z (1968), for listed companies")]
    altman_z1983: Annotated[AltmanScore, Field(description="Z′ (1983), for private companies")]
    altman_z1995: Annotated[AltmanScore, Field(description="Z″ (1995), for companies that are no manufacturers")]


class Blend(Text):
    pd_model: Annotated[float | None, Field(description="one-year PD by the trees alone, before calibration")]
    pd_altman: Annotated[float | None, Field(description="by Altman's score alone, before calibration")]
    model_weight: Annotated[float, Field(description="weight of the model in the blend, on log-odds")]


class ScoredStatement(Text):
    fiscal_year: int
    period_end: dt.date
    available_at: dt.date
    currency: str


class ModelRef(Text):
    model_id: str
    standing: Literal["champion", "none", "past", "experiment"]
    run_id: str
    peers_until: Annotated[dt.date, Field(description="last publication among the statements that this one is ranked among")]


class PdFields(Text):
    pd_12m: float
    pd_12m_low: float
    pd_12m_high: float
    pd_24m: float
    pd_24m_low: float
    pd_24m_high: float
    pd_36m: float
    pd_36m_low: float
    pd_36m_high: float
    pd_48m: float
    pd_48m_low: float
    pd_48m_high: float
    pd_60m: float
    pd_60m_low: float
    pd_60m_high: float


class PredictionOut(PdFields):
    """A company's score: cumulative PDs of one to five years with intervals, grade, Altman's scores, reasons and notes."""

    prediction_id: Annotated[str, Field(description="of the stored record: the same question has the same id")]
    company_id: str
    name: str | None
    sector: str | None
    scored: Annotated[ScoredStatement, Field(description="the statement that was scored")]
    years_used: Annotated[list[int], Field(description="fiscal years that were used, for changes and trends too")]
    rating: str
    watch: bool
    scorer: Literal["market", "accounting"]
    altman: AltmanScores
    blend: Blend
    reasons: list[Reason]
    notes: Annotated[list[str], Field(description="what to know before the PD is relied on")]
    model: ModelRef
    cached: Annotated[bool, Field(description="whether it had been computed before")]


class Failed(Text):
    company_id: str
    problem: Annotated[str, Field(description="why no statement of this company can be scored")]


class BatchOut(Text):
    """One entry a company, in the order of the request."""

    results: list[PredictionOut | Failed]
    scored: int
    failed: int


class JobOut(Text):
    """A file that is scored in the background."""

    job_id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    companies: Annotated[int, Field(description="lines of the file that are not empty")]
    done: Annotated[int, Field(description="how many of them were worked on")]
    failed: Annotated[int, Field(description="how many of those have no score: the results say why")]
    queued_at: Annotated[dt.datetime, Field(description="in UTC")]
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    model_id: Annotated[str | None, Field(description="that the job began with")]
    problem: Annotated[str | None, Field(description="why the job failed")]
    results: Annotated[str | None, Field(description="where the results are, once it is done")]


class JobsOut(Text):
    """Jobs of whoever asks, the newest first."""

    jobs: list[JobOut]


class Problem(Text):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str | None = None
    instance: str
    correlation_id: str | None = None
    errors: list[FieldProblem] | None = None


class FieldProblem(Text):
    field: str
    problem: str


Problem.model_rebuild()
