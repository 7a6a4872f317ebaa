"""The rows of a portfolio file: statements to be scored, or exposures with companies that were; what cannot be used is listed."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quiebra.dashboards.base import Base
from quiebra.errors import Said, SourceError
from quiebra.panel.quarantine import RULES
from quiebra.scoring import Scored, score_rows
from quiebra.sources.amounts import one_currency
from quiebra.sources.cells import ROW, RawTable, as_text, cast_rows, require
from quiebra.sources.table import statement_rows
from quiebra.words import mark

FAULTS = {"row": pl.Int64, "text": pl.String, "of": pl.String}
"""Rows with a fault: what is wrong (English, ``{of}`` in it stands for the value), and the value."""
MONEY = {"exposure": pl.Float64, "lgd": pl.Float64}
FIT = (pl.col("exposure").is_between(0, 1e300) & pl.col("lgd").is_between(0, 1)).fill_null(False)
"""Whether a row's exposure and LGD can be used."""
UNUSABLE = mark("exposure must be zero or more, lgd from 0 to 1")
NO_VALUE = mark("{of} is not a number")
NO_EXPOSURE = mark("the statement that the company is scored by has no exposure")

Read = tuple[pl.DataFrame, pl.DataFrame, list[Said]]
"""Scored companies with exposure and lgd, faults (`FAULTS`), notes."""


def fault(text: str, of: pl.Expr | None = None) -> dict[str, pl.Expr]:
    """Return the columns of a fault beside its row."""
    return {"text": pl.lit(text), "of": pl.lit(None, pl.String) if of is None else of}


def scored_statements(base: Base, table: RawTable, progress: Callable[[float], None]) -> Read:
    """Score a file of statements, each company by its latest version.

    Exposure, LGD, name and sector are those beside that version, whatever the order of rows; other rows need no exposure, they
    serve the changes. A company whose version has no exposure is left out and listed where the file has exposures; without any,
    each company is one unit. A missing LGD is ``portfolio.lgd``.
    """
    options, currency = base.params.ingest.table, base.source["currency"]
    raw, faults = statement_rows(table, options, currency, beside=MONEY)
    bad, wrong = faults.filter(pl.col("column").is_in(list(MONEY))), faults.filter(~pl.col("column").is_in(list(MONEY)))
    exposure = pl.col("exposure") if "exposure" in raw.columns else pl.lit(1.0)
    lgd = pl.col("lgd") if "lgd" in raw.columns else pl.lit(None, pl.Float64)
    raw = raw.with_columns(exposure=exposure, lgd=lgd.fill_null(base.params.portfolio.lgd))
    if raw.is_empty():
        raise _nothing_usable(_unreadable(wrong))
    scored = score_rows(
        raw, base.model, base.companies, base.features, base.compared, base.params.score, table.path.name,
        lambda share: progress(0.9 * share),
        currency=currency, units=options.units,
    )  # fmt: skip
    held, faults = _held(scored, raw, bad)
    aside = [scored.aside.filter(pl.col("rule") == rule.name).select("row", **fault(rule.meaning)) for rule in RULES]
    faults = pl.concat([_unreadable(wrong), faults, *aside])
    if held.is_empty() or not held["exposure"].sum():
        raise _nothing_usable(faults)
    named = base.companies.select("company_id", known="name", known_sector="sector")
    scores = (
        scored.table.join(held, on="company_id")
        .join(named, on="company_id", how="left")
        .with_columns(name=pl.coalesce("name", "known", "company_id"), sector=pl.coalesce("sector", "known_sector"))
    )
    left = raw.join(scored.aside, on="row", how="semi").select("company_id", "fiscal_year", "available_at", "period_end")
    notes = _outdated(pl.concat([wrong, left], how="diagonal"), scored)
    return scores, faults, [*notes, *scored.warnings]


def _unreadable(wrong: pl.DataFrame, text: str = "{of}") -> pl.DataFrame:
    return wrong.select("row", **fault(text, pl.format("{} = {}", "column", "value")))


def _held(scored: Scored, raw: pl.DataFrame, bad: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return company_id, exposure, lgd, name and sector beside the version that each company is scored by, and the faults of
    those that cannot be used. A name or sector that this version lacks is that of the latest one that has it."""
    used = scored.versions.select("company_id", "row").join(raw.select("row", *MONEY), on="row")
    unreadable = pl.col("row").is_in(bad["row"].implode())
    text = pl.when(pl.col("exposure").is_null()).then(pl.lit(NO_EXPOSURE)).otherwise(pl.lit(UNUSABLE))
    faults = used.filter(~FIT & ~unreadable).select("row", text=text, of=pl.lit(None, pl.String))
    faults = pl.concat([faults, _unreadable(bad.join(used, on="row", how="semi"), NO_VALUE)])
    kept = raw.join(scored.aside, on="row", how="anti").sort("company_id", "fiscal_year", "available_at")
    words = kept.group_by("company_id", maintain_order=True).agg(pl.col("name", "sector").drop_nulls().last())
    return used.filter(FIT & ~unreadable).select("company_id", *MONEY).join(words, on="company_id", how="left"), faults


def _outdated(left: pl.DataFrame, scored: Scored) -> list[Said]:
    """Say how many companies are scored by an older statement, since a newer one of theirs was left out."""
    used = scored.versions.select("company_id", used="fiscal_year", since="available_at", end="period_end")
    later = (pl.col("available_at") > pl.col("since")) & (pl.col("period_end") >= pl.col("end"))
    newer = (pl.col("fiscal_year") > pl.col("used")) | ((pl.col("fiscal_year") == pl.col("used")) & later)
    count = left.join(used, on="company_id").filter(newer)["company_id"].n_unique()
    older = mark("Companies scored by an older statement, since their latest was left out: {n}.")
    return [Said(older, {"n": count})] if count else []


def exposures(base: Base, table: RawTable) -> Read:
    """Return the companies of the base that a file gives exposures of. SourceError where they are in several currencies."""
    require(table, ["company_id", "exposure"])
    one_currency(table.frame, table.path)
    if "lgd" not in table.columns:
        table = table.with_frame(table.frame.with_columns(lgd=pl.lit(None, pl.Float64)))
    table = table.with_frame(table.frame.with_columns(as_text(table, "company_id").alias("company_id")))
    rows, wrong = cast_rows(table, MONEY)
    values = wrong.group_by("row", maintain_order=True).agg(value=pl.format("{} = {}", "column", "value").first())
    rows = rows.with_columns(row=pl.col(ROW)).join(values, on="row", how="left", maintain_order="left")
    rows = rows.with_columns(lgd=pl.col("lgd").fill_null(base.params.portfolio.lgd))
    known = base.scores.select("company_id", scored=pl.lit(True))
    rows = rows.join(known, on="company_id", how="left", maintain_order="left")
    broken = {
        NO_VALUE: pl.col("value").is_not_null(),
        mark("company_id is missing"): pl.col("company_id").is_null(),
        UNUSABLE: ~FIT,
        mark("the company is there twice ({of})"): FIT.cum_sum().over("company_id") > 1,
        mark("no company with this id was scored ({of})"): pl.col("scored").is_null(),
    }
    rows = rows.with_columns(text=pl.coalesce(pl.when(where).then(pl.lit(text)) for text, where in broken.items()))
    faults = rows.filter(pl.col("text").is_not_null()).select("row", "text", of=pl.coalesce("value", "company_id"))
    good = rows.filter(pl.col("text").is_null()).select("company_id", *MONEY)
    if good.is_empty() or not good["exposure"].sum():
        raise _nothing_usable(faults)
    return good.join(base.scores, on="company_id"), faults, []


def _nothing_usable(faults: pl.DataFrame, count: int = 5) -> SourceError:
    rows = faults.sort("row").head(count).iter_rows()
    listed = [Said("{row}: {problem}", {"row": row, "problem": Said(text, {"of": of})}) for row, text, of in rows]
    return SourceError("No row of the file can be used: {list}", list=listed)
