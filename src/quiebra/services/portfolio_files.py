"""Rows of a portfolio file: statements to score, or exposures to scored companies; unusable rows are listed."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quiebra.errors import LocalisedMessage, SourceError
from quiebra.panels.quarantine import QUARANTINE_RULES
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.scoring import ScoredFile, score_rows
from quiebra.sources.cells import ROW_COLUMN, RawTable, cast_with_faults, require_columns, text_column
from quiebra.sources.currency import require_one_currency
from quiebra.sources.derived_items import are_items_derived
from quiebra.sources.table import canonical_statements
from quiebra.text.words import translatable

FAULT_SCHEMA = {"row": pl.Int64, "text": pl.String, "of": pl.String}
"""Columns of faulty rows: the problem (English, with ``{of}`` for the value), and the value."""
EXPOSURE_SCHEMA = {"exposure": pl.Float64, "lgd": pl.Float64}
IS_USABLE = (pl.col("exposure").is_between(0, 1e300) & pl.col("lgd").is_between(0, 1)).fill_null(False)
"""Whether a row's exposure and LGD can be used."""
UNUSABLE = translatable("exposure must be zero or more, lgd from 0 to 1")
NO_VALUE = translatable("{of} is not a number")
NO_EXPOSURE = translatable("the statement that the company is scored by has no exposure")

PortfolioRows = tuple[pl.DataFrame, pl.DataFrame, list[LocalisedMessage]]
"""Scored companies with exposure and lgd, faults (`FAULT_SCHEMA`), notes."""


def row_fault(text: str, of: pl.Expr | None = None) -> dict[str, pl.Expr]:
    """Return the columns of a fault other than its row."""
    return {"text": pl.lit(text), "of": pl.lit(None, pl.String) if of is None else of}


def scored_statements(view: FinishedRunView, table: RawTable, progress: Callable[[float], None]) -> PortfolioRows:
    """Score a file of statements, each company by its latest version.

    Exposure, LGD, name and sector are taken from that version's row, in whatever order the rows are; earlier rows only serve
    features of change and need no exposure. If the file has exposures, a company whose version lacks one is left out and listed;
    otherwise each company has one unit. A missing LGD is ``portfolio.lgd``.
    """
    options, currency = view.params.ingest.table, view.source["currency"]
    raw, faults = canonical_statements(
        table, options, currency, beside=EXPOSURE_SCHEMA, derive=are_items_derived(view.source["source"])
    )
    bad, wrong = (
        faults.filter(pl.col("column").is_in(list(EXPOSURE_SCHEMA))),
        faults.filter(~pl.col("column").is_in(list(EXPOSURE_SCHEMA))),
    )
    exposure = pl.col("exposure") if "exposure" in raw.columns else pl.lit(1.0)
    lgd = pl.col("lgd") if "lgd" in raw.columns else pl.lit(None, pl.Float64)
    raw = raw.with_columns(exposure=exposure, lgd=lgd.fill_null(view.params.portfolio.lgd))
    if raw.is_empty():
        raise _nothing_usable(_unreadable(wrong))
    scored = score_rows(
        raw,
        view.model,
        view.companies,
        view.features,
        view.peer_ranks,
        view.params.score,
        table.path.name,
        lambda share: progress(0.9 * share),
        currency=currency,
        units=options.units,
    )
    held, faults = _held(scored, raw, bad)
    aside = [
        scored.aside.filter(pl.col("rule") == rule.name).select("row", **row_fault(rule.meaning)) for rule in QUARANTINE_RULES
    ]
    faults = pl.concat([_unreadable(wrong), faults, *aside])
    if held.is_empty() or not held["exposure"].sum():
        raise _nothing_usable(faults)
    named = view.companies.select("company_id", known="name", known_sector="sector")
    scores = (
        scored.table.join(held, on="company_id")
        .join(named, on="company_id", how="left")
        .with_columns(name=pl.coalesce("name", "known", "company_id"), sector=pl.coalesce("sector", "known_sector"))
    )
    left = raw.join(scored.aside, on="row", how="semi").select("company_id", "fiscal_year", "available_at", "period_end")
    notes = _outdated(pl.concat([wrong, left], how="diagonal"), scored)
    return scores, faults, [*notes, *scored.warnings]


def _unreadable(wrong: pl.DataFrame, text: str = "{of}") -> pl.DataFrame:
    return wrong.select("row", **row_fault(text, pl.format("{} = {}", "column", "value")))


def _held(scored: ScoredFile, raw: pl.DataFrame, bad: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return company_id, exposure, lgd, name and sector of the versions that companies are scored by, and the faults of unusable
    ones.

    A name or sector missing in that version is taken from the latest version that has it.
    """
    version = ["row", "fiscal_year"]  # a row of a wide file is several years
    used = scored.versions.select("company_id", *version).join(raw.select(*version, *EXPOSURE_SCHEMA), on=version)
    unreadable = pl.col("row").is_in(bad["row"].implode())
    text = pl.when(pl.col("exposure").is_null()).then(pl.lit(NO_EXPOSURE)).otherwise(pl.lit(UNUSABLE))
    faults = used.filter(~IS_USABLE & ~unreadable).select("row", text=text, of=pl.lit(None, pl.String))
    faults = pl.concat([faults, _unreadable(bad.join(used, on="row", how="semi"), NO_VALUE)])
    kept = raw.join(scored.aside, on="row", how="anti").sort("company_id", "fiscal_year", "available_at")
    words = kept.group_by("company_id", maintain_order=True).agg(pl.col("name", "sector").drop_nulls().last())
    return used.filter(IS_USABLE & ~unreadable).select("company_id", *EXPOSURE_SCHEMA).join(
        words, on="company_id", how="left"
    ), faults


def _outdated(left: pl.DataFrame, scored: ScoredFile) -> list[LocalisedMessage]:
    """Return a note with the number of companies scored by an older statement because a newer one was left out."""
    used = scored.versions.select("company_id", used="fiscal_year", since="available_at", end="period_end")
    later = (pl.col("available_at") > pl.col("since")) & (pl.col("period_end") >= pl.col("end"))
    newer = (pl.col("fiscal_year") > pl.col("used")) | ((pl.col("fiscal_year") == pl.col("used")) & later)
    count = left.join(used, on="company_id").filter(newer)["company_id"].n_unique()
    older = translatable("Companies scored by an older statement, since their latest was left out: {n}.")
    return [LocalisedMessage(older, {"n": count})] if count else []


def exposure_rows(view: FinishedRunView, table: RawTable) -> PortfolioRows:
    """Return the scored companies that a file has exposures to. SourceError if amounts are in several currencies, or no row is
    usable."""
    require_columns(table, ["company_id", "exposure"])
    require_one_currency(table.frame, table.path)
    if "lgd" not in table.columns:
        table = table.with_frame(table.frame.with_columns(lgd=pl.lit(None, pl.Float64)))
    table = table.with_frame(table.frame.with_columns(text_column(table, "company_id").alias("company_id")))
    rows, wrong = cast_with_faults(table, EXPOSURE_SCHEMA)
    values = wrong.group_by("row", maintain_order=True).agg(value=pl.format("{} = {}", "column", "value").first())
    rows = rows.with_columns(row=pl.col(ROW_COLUMN)).join(values, on="row", how="left", maintain_order="left")
    rows = rows.with_columns(lgd=pl.col("lgd").fill_null(view.params.portfolio.lgd))
    known = view.scores.select("company_id", scored=pl.lit(True))
    rows = rows.join(known, on="company_id", how="left", maintain_order="left")
    broken = {
        NO_VALUE: pl.col("value").is_not_null(),
        translatable("company_id is missing"): pl.col("company_id").is_null(),
        UNUSABLE: ~IS_USABLE,
        translatable("the company is there twice ({of})"): IS_USABLE.cum_sum().over("company_id") > 1,
        translatable("no company with this id was scored ({of})"): pl.col("scored").is_null(),
    }
    rows = rows.with_columns(text=pl.coalesce(pl.when(where).then(pl.lit(text)) for text, where in broken.items()))
    faults = rows.filter(pl.col("text").is_not_null()).select("row", "text", of=pl.coalesce("value", "company_id"))
    good = rows.filter(pl.col("text").is_null()).select("company_id", *EXPOSURE_SCHEMA)
    if good.is_empty() or not good["exposure"].sum():
        raise _nothing_usable(faults)
    return good.join(view.scores, on="company_id"), faults, []


def _nothing_usable(faults: pl.DataFrame, count: int = 5) -> SourceError:
    rows = faults.sort("row").head(count).iter_rows()
    listed = [
        LocalisedMessage("{row}: {problem}", {"row": row, "problem": LocalisedMessage(text, {"of": of})})
        for row, text, of in rows
    ]
    return SourceError("No row of the file can be used: {list}", list=listed)
