"""What a statement must be to enter the panel. Rows that break a rule are kept aside with its name, never dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.items import ITEM_NAMES, ITEMS
from quiebra.panel.periods import misplaced

ABSURD = 1e9
"""Amounts beyond this many millions (10^15 units of currency) are no company's."""
LEAST = 1e-6
"""Total assets below this many millions, one unit of currency, are none."""
VERSION = ["company_id", "fiscal_year", "available_at"]
"""What identifies one version of a firm-year."""


@dataclass(frozen=True)
class Rule:
    """A fault of a whole row: ``broken`` is true where the row must go to quarantine; None: judged beside the company's other
    rows."""

    name: str
    meaning: str
    broken: pl.Expr | None = None


_dates = pl.col("period_end", "available_at")
RULES: tuple[Rule, ...] = (
    Rule("no_company", "company_id is missing", pl.col("company_id").is_null() | (pl.col("company_id") == "")),
    Rule("bad_year", "fiscal_year is missing or not between 1900 and 2200",
         ~pl.col("fiscal_year").is_between(FIRST_DAY.year, LAST_DAY.year).fill_null(False)),
    Rule("bad_date", "period_end or available_at is not between 1900 and 2200",
         pl.any_horizontal(~_dates.is_between(FIRST_DAY, LAST_DAY))),
    Rule("year_and_date_differ", "period_end lies more than a year from fiscal_year",
         (pl.col("fiscal_year") - pl.col("period_end").dt.year()).abs() > 1),
    Rule("no_dates", "period_end or available_at is missing", pl.any_horizontal(_dates.is_null())),
    Rule("available_early", "available_at lies before period_end", pl.col("available_at") < pl.col("period_end")),
    Rule("other_currency", "the currency is not that of the other rows", pl.col("currency") != pl.col("expected_currency")),
    Rule("infinite", "an amount is infinite", pl.any_horizontal(~pl.col(ITEM_NAMES).is_finite())),
    Rule("absurd", "an amount is beyond 10^15 units of currency", pl.any_horizontal(pl.col(ITEM_NAMES).abs() > ABSURD)),
    Rule("no_assets", "total_assets is missing, negative or less than one unit of currency",
         ~(pl.col("total_assets") >= LEAST).fill_null(False)),
    Rule("after_event", "published only after the company had failed", pl.col("available_at") > pl.col("event_date")),
    Rule("other_period", "a second period end under one fiscal year of the company (a comparative, or a short period)"),
    Rule("other_year", "a period that stands under another fiscal year of the company as well, which fits it better"),
    Rule("duplicate", "same company, fiscal year and publication date as a row that is kept"),
)  # fmt: skip
"""The first rule that a row breaks is the one it is set aside by."""


def quarantine(
    statements: pl.DataFrame, events: pl.DataFrame, currency: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split statements into those kept and those quarantined, each in the order they came; the latter gain ``rule``, the first
    rule that they broke.

    What is kept does not depend on the order of rows. events: company_id and event_date; the first of a company counts. currency:
    of the panel; None: any. Columns beyond the canonical ones stay.
    """
    first = events.group_by("company_id").agg(pl.col("event_date").min())
    dated = statements.join(first, on="company_id", how="left", maintain_order="left")
    dated = dated.with_columns(expected_currency=pl.lit(currency, pl.String))
    broken = pl.coalesce(
        pl.when(rule.broken.fill_null(False)).then(pl.lit(rule.name)) for rule in RULES if rule.broken is not None
    )
    rule = dated.select(rule=broken).to_series()
    for between_rows in (misplaced, repeated):
        fit = rule.is_null()
        rule = rule.scatter(fit.arg_true(), between_rows(statements.filter(fit)))
    judged = statements.with_columns(rule)
    return judged.filter(pl.col("rule").is_null()).drop("rule"), judged.filter(pl.col("rule").is_not_null())


def repeated(statements: pl.DataFrame) -> pl.Series:
    """Return ``duplicate`` for each row that repeats the version of another, and missing for the others.

    The row with the fewest missing items stays; where several are as full, the latest period end and then the lowest amounts
    decide, so that the order of rows does not.
    """
    numbered = statements.with_row_index("place")
    twice = numbered.filter(pl.len().over(VERSION) > 1)
    gaps = pl.sum_horizontal(pl.col(ITEM_NAMES).is_null())
    others = [name for name in statements.columns if name not in (*VERSION, "period_end", *ITEM_NAMES, "row")]
    keys = ["gaps", "period_end", *ITEM_NAMES, *others]
    ranked = twice.with_columns(gaps=gaps).sort(keys, descending=[name == "period_end" for name in keys], nulls_last=True)
    places = ranked.filter(pl.int_range(pl.len()).over(VERSION) > 0)["place"]
    rule = pl.Series("rule", [None] * statements.height, dtype=pl.String)
    return rule.scatter(places, pl.Series(["duplicate"] * len(places), dtype=pl.String)) if len(places) else rule


def conflicts(kept: pl.DataFrame, aside: pl.DataFrame) -> int:
    """Return how many of the duplicates set aside give other amounts than the row that was kept."""
    twice = aside.filter(pl.col("rule") == "duplicate").select(*VERSION, *ITEM_NAMES)
    both = twice.join(kept.select(*VERSION, *ITEM_NAMES), on=VERSION, suffix="_kept")
    return both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_kept")) for name in ITEM_NAMES)).height


def blank_negatives(statements: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Set amounts that cannot be negative (assets, debts, revenue ...) to missing where they are; return how many by item."""
    names = [item.name for item in ITEMS if not item.signed]
    counts = statements.select((pl.col(name) < 0).sum() for name in names).row(0, named=True)
    blanked = statements.with_columns(pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in names)
    return blanked, {name: count for name, count in counts.items() if count}
