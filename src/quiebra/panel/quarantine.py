"""What a statement must be to enter the panel. Rows that break a rule are kept aside with its name, never dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quiebra.items import ITEM_NAMES, ITEMS

ABSURD = 1e9
"""Amounts beyond this many millions (10^15 units of currency) are no company's."""


@dataclass(frozen=True)
class Rule:
    """A fault of a whole row: ``broken`` is true where the row must go to quarantine."""

    name: str
    meaning: str
    broken: pl.Expr


RULES: tuple[Rule, ...] = (
    Rule("no_company", "company_id is missing", pl.col("company_id").is_null() | (pl.col("company_id") == "")),
    Rule("bad_year", "fiscal_year is missing or not between 1900 and 2200", ~pl.col("fiscal_year").is_between(1900, 2200)),
    Rule("year_and_date_differ", "period_end lies more than a year from fiscal_year",
         (pl.col("fiscal_year") - pl.col("period_end").dt.year()).abs() > 1),
    Rule("no_dates", "period_end or available_at is missing", pl.any_horizontal(pl.col("period_end", "available_at").is_null())),
    Rule("available_early", "available_at lies before period_end", pl.col("available_at") < pl.col("period_end")),
    Rule("infinite", "an amount is infinite", pl.any_horizontal(pl.col(ITEM_NAMES).is_infinite())),
    Rule("absurd", "an amount is beyond 10^15 units of currency", pl.any_horizontal(pl.col(ITEM_NAMES).abs() > ABSURD)),
    Rule("no_assets", "total_assets is missing, zero or negative", ~(pl.col("total_assets") > 0)),
    Rule("after_event", "published only after the company had failed", pl.col("available_at") > pl.col("event_date")),
    Rule(
        "duplicate", "same company, fiscal year and publication date as a row before it",
        pl.int_range(pl.len()).over("company_id", "fiscal_year", "available_at") > 0,
    ),
)  # fmt: skip


def quarantine(statements: pl.DataFrame, events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split statements into those kept and those quarantined; the latter gain ``rule``, the first rule that they broke."""
    dated = statements.join(events.select("company_id", "event_date"), on="company_id", how="left", maintain_order="left")
    first = pl.coalesce(
        pl.when(rule.broken.fill_null(rule.name in ("bad_year", "no_assets"))).then(pl.lit(rule.name)) for rule in RULES
    )
    judged = dated.with_columns(rule=first).drop("event_date")
    return judged.filter(pl.col("rule").is_null()).drop("rule"), judged.filter(pl.col("rule").is_not_null())


def blank_negatives(statements: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Set amounts that cannot be negative (assets, debts, revenue ...) to missing where they are; return how many by item."""
    names = [item.name for item in ITEMS if not item.signed]
    counts = statements.select((pl.col(name) < 0).sum() for name in names).row(0, named=True)
    blanked = statements.with_columns(pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in names)
    return blanked, {name: count for name, count in counts.items() if count}
