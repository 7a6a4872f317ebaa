"""The register of models: every one that was published, with its gates and its status; which is in charge, and which was."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.orm import Session

from quiebra.errors import StoreError
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering, reading
from quiebra.store.tables import Model, Prediction, Run
from quiebra.validation.judging import Resampling, judge, paired
from quiebra.words import Words

KEYS = ["company_id", "fiscal_year"]
HOW = Resampling(resamples=300, confidence=0.95, seed=1)
"""How models are compared, the same for all."""
CHALLENGER, CHAMPION, RETIRED = "challenger", "champion", "retired"


def enter(connection: Connection, model: dict[str, Any], failed_gates: list[str]) -> None:
    """Enter a model, or bring its metrics and gates up to date.

    A new one is a challenger with the next version; the first of its source that fails no gate becomes the champion.
    """
    table: Any = Model.__table__
    known = connection.execute(select(Model.status).where(Model.model_id == model["model_id"])).first()
    fresh = {"metrics": model["metrics"], "gates": model["gates"], "data_sha256": model["data_sha256"]}
    if known is None:
        version = (connection.scalar(select(func.max(Model.version))) or 0) + 1
        connection.execute(table.insert(), {**model, "version": version, "status": CHALLENGER, "changed_at": _now()})
    else:
        connection.execute(update(Model).where(Model.model_id == model["model_id"]).values(**fresh))
    in_charge = select(Model.model_id).where(Model.status == CHAMPION, Model.source == model["source"])
    if not failed_gates and connection.scalar(in_charge) is None:
        _set(connection, model["model_id"], CHAMPION)


def compare(connection: Connection, model_id: str, source: str, scores: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """Judge a model against the champion of its source on the same rows, and keep it as the model's ``comparison``.

    scores: those of the model's run, of which the out-of-time ones count (kind ``history``). outcomes: company_id, fiscal_year
    and failed. The champion's are the out-of-time scores of its latest run. Where there is no other champion the model keeps the
    comparison that it had; where the two share no failure, ``difference`` is missing.
    """
    champion = connection.scalar(select(Model.model_id).where(Model.status == CHAMPION, Model.source == source))
    if champion is None or champion == model_id:
        return
    found: dict[str, Any] = {"champion": champion, "figures": None, "difference": None}
    theirs = _out_of_time(connection, champion, outcomes)
    ours = scores.filter(pl.col("kind") == "history").select(*KEYS, "pd_12m")
    rows = outcomes.join(ours, on=KEYS).join(theirs, on=KEYS).sort(KEYS)
    if 0 < rows["failed"].sum() < rows.height:
        figures = {name: judge(rows, column, HOW) for name, column in (("model", "pd_12m"), ("champion", "pd_champion"))}
        found |= {"figures": figures, "difference": paired(rows, "pd_12m", "pd_champion", HOW)}
    connection.execute(update(Model).where(Model.model_id == model_id).values(comparison=found))


def _out_of_time(connection: Connection, model_id: str, outcomes: pl.DataFrame) -> pl.DataFrame:
    latest = select(Run.run_id).where(Run.model_id == model_id).order_by(Run.published_at.desc(), Run.run_id).limit(1)
    years = (outcomes["fiscal_year"].min(), outcomes["fiscal_year"].max())
    found = connection.execute(
        select(Prediction.company_id, Prediction.fiscal_year, Prediction.pd_12m).where(
            Prediction.run_id == latest.scalar_subquery(), Prediction.kind == "history", Prediction.fiscal_year.between(*years)
        )
    ).all()
    schema = {"company_id": pl.String, "fiscal_year": pl.Int32, "pd_champion": pl.Float64}
    return pl.DataFrame([tuple(row) for row in found], schema=schema, orient="row")


def standing(engine: Engine, identifier: str) -> dict[str, Any]:
    """Return version, status, failed (gates) and comparison (with the champion) of the model with an id."""
    with reading(engine) as connection, Session(connection) as session:
        model = session.get(Model, identifier)
        if model is None:
            raise StoreError(f"no model has the id '{identifier}'")
        failed = model.metrics.get("failed_gates", [])
        return {"version": model.version, "status": model.status, "failed": failed, "comparison": model.comparison}


def models(engine: Engine) -> list[dict[str, Any]]:
    """Return every model, newest first: model_id, version, status, source, trained_on, failures, auc, failed (gates, in words),
    gates (see `quiebra.validation.verdict`) and comparison (with the champion)."""
    with reading(engine) as connection, Session(connection) as session:
        return [
            {
                "model_id": m.model_id, "version": m.version, "status": m.status, "source": m.source, "trained_on": m.trained_on,
                "failures": m.failures, "auc": m.metrics["walk_forward"]["auc"], "failed": m.metrics.get("failed_gates", []),
                "gates": m.gates or [], "comparison": m.comparison,
            }
            for m in session.scalars(select(Model).order_by(Model.version.desc()))
        ]  # fmt: skip


def previous(engine: Engine, source: str, model_id: str) -> dict[str, Any] | None:
    """Return the model that another is measured against: the champion of the source, or, where that is the model itself, the one
    that was champion before it; None where there is none. Its id, version, status, trained_on and metrics."""
    asked = (
        select(Model)
        .where(Model.source == source, Model.model_id != model_id, Model.status.in_((CHAMPION, RETIRED)))
        .order_by(Model.status == RETIRED, Model.changed_at.desc(), Model.version.desc())
    )
    with reading(engine) as connection, Session(connection) as session:
        found = session.scalar(asked.limit(1))
        names = ("model_id", "version", "status", "trained_on", "metrics")
        return None if found is None else {name: getattr(found, name) for name in names}


def promote(engine: Engine, identifier: str, *, who: str, despite: bool = False) -> str:
    """Make a model the champion of its source, and retire the one that was; return its id. It is in the audit table with ``who``.

    StoreError where no model, or more than one, has an id that starts so, or where it failed a gate: the message says which; and,
    unless ``despite``, where it ranked worse than the champion on the same rows, with the whole interval of the difference.
    """
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        found = connection.execute(
            select(Model.model_id, Model.source, Model.metrics, Model.comparison).where(
                Model.model_id.startswith(identifier, autoescape=True)
            )
        ).all()
        if len(found) != 1:
            known = ", ".join(connection.scalars(select(Model.model_id).order_by(Model.version)))
            count = "more than one" if found else "no"
            raise StoreError(f"{count} model has an id starting '{identifier}'; there are: {known or 'none'}")
        model_id, source, metrics, comparison = found[0]
        if failed := metrics.get("failed_gates", []):
            raise StoreError(f"model {model_id} is not promoted: {'; '.join(failed)}")
        champion = connection.scalar(select(Model.model_id).where(Model.status == CHAMPION, Model.source == source))
        if comparison and comparison["difference"] and comparison["champion"] == champion and not despite:
            high = comparison["difference"]["interval"]["auc"][1]
            if high is not None and high < 0:
                raise StoreError(
                    f"model {model_id} is not promoted: it ranks worse than the champion, {against(comparison)}; "
                    "to promote it all the same, add --despite"
                )
        _succeed(connection, source, model_id)
        why = "although it ranks worse than the champion" if despite else "no gate failed"
        append(connection, [Entry(who, "model promoted", model_id, champion, model_id, why)])
    return model_id


def against(comparison: dict[str, Any]) -> str:
    """Return a comparison with the champion in words."""
    gap = comparison["difference"]
    if gap is None:
        return f"against {comparison['champion']}: they share no failure, so nothing can be said"
    low, high = gap["interval"]["auc"]
    bounds = "" if low is None else f" ({_signed(low)} to {_signed(high)})"
    return (
        f"against {comparison['champion']} on the same {gap['rows']:,} rows: AUC {_signed(gap['auc'])}{bounds}, average "
        f"precision {_signed(gap['average_precision'])}"
    )


def _signed(difference: float) -> str:
    return Words().signed(difference, 3)


def roll_back(engine: Engine, source: str | None = None, *, who: str) -> str:
    """Retire the champion and put the one before it in charge again; return its id. It is in the audit table with ``who``.

    ``source``: of the models, where several have a champion.

    StoreError where there is no champion, or none before it.
    """
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        champions = connection.execute(select(Model.model_id, Model.source).where(Model.status == CHAMPION)).all()
        champions = [row for row in champions if source in (None, row.source)]
        if not champions:
            raise StoreError("no model is the champion: promote one first")
        if len(champions) > 1:
            raise StoreError(f"champions of several sources: {', '.join(row.source for row in champions)}; say which (--source)")
        before = connection.scalar(
            select(Model.model_id)
            .where(Model.status == RETIRED, Model.source == champions[0].source)
            .order_by(Model.changed_at.desc(), Model.version.desc())
            .limit(1)
        )
        if before is None:
            raise StoreError(f"no model was champion before {champions[0].model_id}: there is nothing to go back to")
        _succeed(connection, champions[0].source, before)
        entry = Entry(who, "model rolled back", before, champions[0].model_id, before, "the champion before is in charge again")
        append(connection, [entry])
    return before


def _succeed(connection: Connection, source: str, model_id: str) -> None:
    former = connection.scalars(
        select(Model.model_id).where(Model.status == CHAMPION, Model.source == source, Model.model_id != model_id)
    ).all()
    for other in former:
        _set(connection, other, RETIRED)
    _set(connection, model_id, CHAMPION)


def _set(connection: Connection, model_id: str, status: str) -> None:
    connection.execute(update(Model).where(Model.model_id == model_id).values(status=status, changed_at=_now()))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
