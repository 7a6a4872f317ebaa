"""The tables. Other tools, such as Power BI, connect to the Spanish table names; the classes have the field's terms."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from quiebra.items import ITEM_NAMES
from quiebra.store.column_types import JSON, BigInteger, Date, DateTime, Float, Integer, LargeBinary, String, Text, WrittenJSON


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"})


class Company(Base):
    __tablename__ = "empresas"

    company_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)
    region: Mapped[str | None] = mapped_column(Text)
    sector: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(32))
    simulated: Mapped[bool] = mapped_column(Boolean)


class Statement(Base):
    """A published firm-year, in millions of its currency; each restatement is a row of its own (available_at)."""

    __tablename__ = "datos_financieros"

    company_id: Mapped[str] = mapped_column(ForeignKey("empresas.company_id"), primary_key=True)
    fiscal_year: Mapped[int] = mapped_column(Integer, primary_key=True)
    available_at: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    period_end: Mapped[dt.date] = mapped_column(Date)
    currency: Mapped[str] = mapped_column(String(3))
    source: Mapped[str] = mapped_column(String(32))
    locals().update({name: mapped_column(name, Float, nullable=True) for name in ITEM_NAMES})


class MacroObservation(Base):
    __tablename__ = "datos_macroeconomicos"

    source: Mapped[str] = mapped_column(String(32), primary_key=True)
    series: Mapped[str] = mapped_column(String(64), primary_key=True)
    date: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    available_at: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    value: Mapped[float | None] = mapped_column(Float)


class Model(Base):
    __tablename__ = "modelos"

    model_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    model_sha256: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(32))
    trained_on: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    params: Mapped[Any] = mapped_column(JSON)
    metrics: Mapped[Any] = mapped_column(JSON)
    card: Mapped[Any] = mapped_column(JSON)
    version: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str | None] = mapped_column(String(16))
    data_sha256: Mapped[str | None] = mapped_column(String(64))
    gates: Mapped[Any | None] = mapped_column(JSON)
    comparison: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    changed_at: Mapped[dt.datetime | None] = mapped_column(DateTime)


class Run(Base):
    """One scoring run and the provenance of its scores. ``is_current`` marks the run that the views show."""

    __tablename__ = "ejecuciones"

    run_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("modelos.model_id"))
    as_of: Mapped[dt.date] = mapped_column(Date)
    source: Mapped[str] = mapped_column(String(32))
    simulated: Mapped[bool] = mapped_column(Boolean)
    data_sha256: Mapped[str] = mapped_column(String(64))
    code_sha256: Mapped[str] = mapped_column(String(64))
    code_revision: Mapped[str] = mapped_column(String(64))
    record: Mapped[Any] = mapped_column(JSON)
    is_current: Mapped[bool] = mapped_column(Boolean)
    published_at: Mapped[dt.datetime] = mapped_column(DateTime)


class Prediction(Base):
    """A company's score. kind: ``current`` (as of the run's date) or ``history`` (out of time, at the statement's
    publication)."""

    __tablename__ = "predicciones"
    __table_args__ = {"postgresql_partition_by": "RANGE (score_date)"}  # noqa: RUF012

    run_id: Mapped[str] = mapped_column(ForeignKey("ejecuciones.run_id"), primary_key=True)
    company_id: Mapped[str] = mapped_column(ForeignKey("empresas.company_id"), primary_key=True)
    score_date: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    fiscal_year: Mapped[int] = mapped_column(Integer, primary_key=True)
    score_month: Mapped[str] = mapped_column(String(7))
    pd_12m: Mapped[float] = mapped_column(Float)
    pd_24m: Mapped[float | None] = mapped_column(Float)
    pd_36m: Mapped[float | None] = mapped_column(Float)
    pd_48m: Mapped[float | None] = mapped_column(Float)
    pd_60m: Mapped[float | None] = mapped_column(Float)
    pd_12m_low: Mapped[float | None] = mapped_column(Float)
    pd_12m_high: Mapped[float | None] = mapped_column(Float)
    scorer: Mapped[str | None] = mapped_column(String(16))
    pd_model: Mapped[float | None] = mapped_column(Float)
    pd_altman: Mapped[float | None] = mapped_column(Float)
    rating: Mapped[str] = mapped_column(String(8))
    watch: Mapped[bool] = mapped_column(Boolean)
    altman_z: Mapped[float | None] = mapped_column(Float)
    altman_z1983: Mapped[float | None] = mapped_column(Float)
    altman_z1995: Mapped[float | None] = mapped_column(Float)
    reasons: Mapped[str | None] = mapped_column(Text)


class Finding(Base):
    """A monitoring result of a run; see `quiebra.validation.monitoring`. status: ok, watch, alarm or unknown."""

    __tablename__ = "monitoreo"

    run_id: Mapped[str] = mapped_column(ForeignKey("ejecuciones.run_id"), primary_key=True)
    measure: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    fiscal_year: Mapped[int] = mapped_column(Integer, primary_key=True)
    value: Mapped[float | None] = mapped_column(Float)
    low: Mapped[float | None] = mapped_column(Float)
    high: Mapped[float | None] = mapped_column(Float)
    watch: Mapped[float] = mapped_column(Float)
    alarm: Mapped[float] = mapped_column(Float)
    status: Mapped[str] = mapped_column(String(8))


class AuditEntry(Base):
    """Who changed what, when, from what to what and why. Append-only; see `quiebra.store.audit`."""

    __tablename__ = "auditoria"

    entry_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[dt.datetime] = mapped_column(DateTime)
    who: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Text)
    before: Mapped[Any | None] = mapped_column(JSON)
    after: Mapped[Any | None] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(String(12))
    hash: Mapped[str] = mapped_column(String(64))


class AuditSeal(Base):
    """Reference points of the audit chain. ``start``: the last pruned entry; ``head``: the last entry; ``exact``: the last entry
    of the older hash format."""

    __tablename__ = "auditoria_sellos"

    name: Mapped[str] = mapped_column(String(8), primary_key=True)
    entry_id: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(String(64))


class Alert(Base):
    """An alert: a rule broken by a company, the portfolio or the model, and its state; see `quiebra.alerts.lifecycle`.

    subject: a company's id, ``portfolio``, or a monitoring measure. cause: the data that raised it, such as a statement;
    seen_cause: the data it was last seen on; neither raises a second alert. state: open, acknowledged or closed. raised_on,
    seen_on: as-of dates of runs.
    """

    __tablename__ = "alertas"

    alert_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    source: Mapped[str] = mapped_column(String(32))
    rule: Mapped[str] = mapped_column(String(64))
    measure: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(64))
    cause: Mapped[str] = mapped_column(String(64))
    seen_cause: Mapped[str | None] = mapped_column(String(64))
    severity: Mapped[str] = mapped_column(String(8))
    value: Mapped[float] = mapped_column(Float)
    threshold: Mapped[float] = mapped_column(Float)
    latest: Mapped[float | None] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(16))
    raised_on: Mapped[dt.date] = mapped_column(Date)
    raised_run: Mapped[str] = mapped_column(String(12))
    seen_on: Mapped[dt.date] = mapped_column(Date)
    seen_run: Mapped[str] = mapped_column(String(12))
    owner: Mapped[str | None] = mapped_column(String(64))
    note: Mapped[str | None] = mapped_column(Text)
    review_on: Mapped[dt.date | None] = mapped_column(Date)
    closed_on: Mapped[dt.date | None] = mapped_column(Date)
    closed_by: Mapped[str | None] = mapped_column(String(64))
    changed_at: Mapped[dt.datetime] = mapped_column(DateTime)


class ReportedAlert(Base):
    """An alert reported to a channel, and the message that did so."""

    __tablename__ = "alertas_comunicadas"

    alert_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    channel: Mapped[str] = mapped_column(String(32), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(32))


class WatchEntry(Base):
    """A company on the analysts' watch list, whatever its grade. level: 1 watch, 2 close watch, 3 exit. One row per company."""

    __tablename__ = "vigilancia"

    source: Mapped[str] = mapped_column(String(32), primary_key=True)
    company_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    level: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(Text)
    who: Mapped[str] = mapped_column(String(64))
    since: Mapped[dt.date] = mapped_column(Date)
    review_on: Mapped[dt.date] = mapped_column(Date)
    changed_at: Mapped[dt.datetime] = mapped_column(DateTime)


class Override(Base):
    """An analyst's grade for a company beside the model's. In force from approval by another person until ``expires_on``."""

    __tablename__ = "ajustes_calificacion"

    override_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    source: Mapped[str] = mapped_column(String(32))
    company_id: Mapped[str] = mapped_column(String(64))
    rating: Mapped[str] = mapped_column(String(8))
    model_rating: Mapped[str] = mapped_column(String(8))
    pd_12m: Mapped[float] = mapped_column(Float)
    run_id: Mapped[str] = mapped_column(String(12))
    as_of: Mapped[dt.date] = mapped_column(Date)
    reason: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(64))
    made_on: Mapped[dt.date] = mapped_column(Date)
    expires_on: Mapped[dt.date] = mapped_column(Date)
    approver: Mapped[str | None] = mapped_column(String(64))
    approved_on: Mapped[dt.date | None] = mapped_column(Date)
    ended_on: Mapped[dt.date | None] = mapped_column(Date)
    ended_by: Mapped[str | None] = mapped_column(String(64))


class UserRow(Base):
    """A person who may sign in. user_id: the name as `quiebra.text.person_input.person_key` has it, so that two names of one
    person are one user; failures: wrong passwords in a row."""

    __tablename__ = "usuarios"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(Text)
    disabled: Mapped[bool] = mapped_column(Boolean)
    failures: Mapped[int] = mapped_column(Integer)
    locked_until: Mapped[dt.datetime | None] = mapped_column(DateTime)
    last_sign_in: Mapped[dt.datetime | None] = mapped_column(DateTime)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime)
    created_by: Mapped[str] = mapped_column(String(64))


class KeyRow(Base):
    """A key of another system, by the hash of its secret. scopes: list of permissions."""

    __tablename__ = "claves_api"

    key_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    secret_sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[Any] = mapped_column(JSON)
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[dt.datetime] = mapped_column(DateTime)
    expires_at: Mapped[dt.datetime] = mapped_column(DateTime)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(DateTime)
    last_used_at: Mapped[dt.datetime | None] = mapped_column(DateTime)


class SuccessionRow(Base):
    """A change of champion that a second person confirms. kind: ``promotion``, in force once it is confirmed, or ``rollback``, in
    force at once. despite: although the model ranks worse than the champion."""

    __tablename__ = "sucesiones"

    succession_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    model_id: Mapped[str] = mapped_column(String(12))
    despite: Mapped[bool] = mapped_column(Boolean)
    proposed_by: Mapped[str] = mapped_column(String(64))
    proposed_at: Mapped[dt.datetime] = mapped_column(DateTime)
    confirmed_by: Mapped[str | None] = mapped_column(String(64))
    confirmed_at: Mapped[dt.datetime | None] = mapped_column(DateTime)


class SessionRow(Base):
    """A signed-in user's session. kind: ``browser``, or ``api``, which access tokens are renewed under. former_sha256: of the
    secret before the last renewal, which is never valid again; ended_at: signed out or revoked."""

    __tablename__ = "sesiones"
    __table_args__ = (Index("ix_sesiones_user_id", "user_id"),)

    session_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    user_id: Mapped[str] = mapped_column(Text)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    former_sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[dt.datetime] = mapped_column(DateTime)
    last_used_at: Mapped[dt.datetime] = mapped_column(DateTime)
    expires_at: Mapped[dt.datetime] = mapped_column(DateTime)
    ended_at: Mapped[dt.datetime | None] = mapped_column(DateTime)


class ServedPrediction(Base):
    """A prediction that was answered to another system. prediction_id: hash of the input and of what it was computed with, so
    that the same question is one row."""

    __tablename__ = "predicciones_api"

    prediction_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    company_id: Mapped[str] = mapped_column(String(64))
    input_sha256: Mapped[str] = mapped_column(String(64))
    model_id: Mapped[str] = mapped_column(String(12))
    run_id: Mapped[str] = mapped_column(String(12))
    computed_at: Mapped[dt.datetime] = mapped_column(DateTime)
    pd_12m: Mapped[float] = mapped_column(Float)
    rating: Mapped[str] = mapped_column(String(8))
    request: Mapped[Any] = mapped_column(WrittenJSON)
    answer: Mapped[Any] = mapped_column(WrittenJSON)


class AccessRow(Base):
    """An answer with predictions: who got it, of which model, and the hash of what was asked. companies: how many it holds;
    cached: how many of them were computed before."""

    __tablename__ = "accesos_api"
    __table_args__ = (Index("ix_accesos_api_at", "at"),)

    access_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(DateTime)
    who: Mapped[str] = mapped_column(String(64))
    route: Mapped[str] = mapped_column(String(64))
    model_id: Mapped[str] = mapped_column(String(12))
    input_sha256: Mapped[str] = mapped_column(String(64))
    companies: Mapped[int] = mapped_column(Integer)
    cached: Mapped[int] = mapped_column(Integer)
    correlation_id: Mapped[str | None] = mapped_column(String(64))


class Job(Base):
    """A large file of companies that is scored in the background; its input and results are files of the workspace.

    state: queued, running, done, failed or cancelled. companies: lines that are not empty; done: how many of them were worked on,
    failed: how many of those have no score. parts, lines, position: files of results, and lines and bytes of the input, that are
    done. attempts: workers that began since the last part. charge: the model that it began with, as
    `quiebra.registry.ScoringModel`. error: why it failed, by language.
    """

    __tablename__ = "trabajos"

    job_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    state: Mapped[str] = mapped_column(String(12))
    who: Mapped[str] = mapped_column(String(64))
    companies: Mapped[int] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    parts: Mapped[int] = mapped_column(Integer)
    lines: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    input_sha256: Mapped[str] = mapped_column(String(64))
    charge: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    queued_at: Mapped[dt.datetime] = mapped_column(DateTime)
    started_at: Mapped[dt.datetime | None] = mapped_column(DateTime)
    ended_at: Mapped[dt.datetime | None] = mapped_column(DateTime)


class KeptAnswer(Base):
    """The answer to a write that carried an idempotency key, given again to its repetitions. key_sha256: of who asked, the route
    and the key; status: NULL while the first one is under way."""

    __tablename__ = "respuestas_guardadas"

    key_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)
    answer: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[dt.datetime] = mapped_column(DateTime)


class Message(Base):
    """A message to one recipient or channel, sent at most once; see `quiebra.delivery.outbox`.

    about: key of its contents; about, channel and recipient make the id, which is queued once. state: queued, sending, doubtful,
    sent, written (to the folder, without a server), failed or dropped (by a person). sender: token of the lease under which it is
    being sent, or was last. correlation_id: of the cycle or command that queued it, as its log has it.
    """

    __tablename__ = "bandeja_salida"

    message_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    recipient: Mapped[str] = mapped_column(String(254))
    about: Mapped[str] = mapped_column(String(64))
    run_id: Mapped[str | None] = mapped_column(String(12))
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(Integer)
    not_before: Mapped[dt.datetime] = mapped_column(DateTime)
    error: Mapped[str | None] = mapped_column(Text)
    queued_at: Mapped[dt.datetime] = mapped_column(DateTime)
    changed_at: Mapped[dt.datetime] = mapped_column(DateTime)
    sender: Mapped[int | None] = mapped_column(Integer)
    correlation_id: Mapped[str | None] = mapped_column(String(64))


class LeaseRow(Base):
    """The exclusive right to an activity on this database; see `quiebra.store.lease`. token: number of holders so far; holder:
    the process that holds it, NULL if none; beats: number of renewals."""

    __tablename__ = "turnos"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    token: Mapped[int] = mapped_column(Integer)
    holder: Mapped[str | None] = mapped_column(Text)
    beats: Mapped[int] = mapped_column(Integer)
    renewed_at: Mapped[dt.datetime] = mapped_column(DateTime)


class Cycle(Base):
    """A scheduled cycle: its finished steps and its result. state: running, done or failed."""

    __tablename__ = "ciclos"

    cycle_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(8))
    steps: Mapped[Any] = mapped_column(JSON)
    run_id: Mapped[str | None] = mapped_column(String(12))
    started_at: Mapped[dt.datetime] = mapped_column(DateTime)
    ended_at: Mapped[dt.datetime | None] = mapped_column(DateTime)
    error: Mapped[str | None] = mapped_column(Text)
