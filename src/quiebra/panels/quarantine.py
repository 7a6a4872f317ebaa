"""Rules that a statement must meet to enter the panel. Rows that break one are kept apart with the rule's name, never dropped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.items import ITEM_NAMES, ITEMS, VERSION_KEYS
from quiebra.panels.periods import misplaced_periods

MAX_AMOUNT_MILLIONS = 1e9
"""Amounts above this many millions (10^15 currency units) are quarantined."""
MIN_ASSETS_MILLIONS = 1e-6
"""Total assets below this many millions (one currency unit) are quarantined."""


@dataclass(frozen=True)
class QuarantineRule:
    """A fault of a row. ``broken``: true where the row is quarantined; None: the rule compares the company's rows, or is the
    source's own."""

    name: str
    meaning: str
    broken: pl.Expr | None = None


_dates = pl.col("period_end", "available_at")
QUARANTINE_RULES: tuple[QuarantineRule, ...] = (
    QuarantineRule("no_company", "company_id is missing", pl.col("company_id").is_null() | (pl.col("company_id") == "")),
    QuarantineRule(
        "bad_year",
        "fiscal_year is missing or not between 1900 and 2200",
        ~pl.col("fiscal_year").is_between(FIRST_DAY.year, LAST_DAY.year).fill_null(False),
    ),
    QuarantineRule(
        "bad_date",
        "period_end or available_at is not between 1900 and 2200",
        pl.any_horizontal(~_dates.is_between(FIRST_DAY, LAST_DAY)),
    ),
    QuarantineRule(
        "year_and_date_differ",
        "period_end lies more than a year from fiscal_year",
        (pl.col("fiscal_year") - pl.col("period_end").dt.year()).abs() > 1,
    ),
    QuarantineRule("no_dates", "period_end or available_at is missing", pl.any_horizontal(_dates.is_null())),
    QuarantineRule("available_early", "available_at lies before period_end", pl.col("available_at") < pl.col("period_end")),
    QuarantineRule(
        "other_currency", "the currency is not that of the other rows", pl.col("currency") != pl.col("expected_currency")
    ),
    QuarantineRule("infinite", "an amount is infinite", pl.any_horizontal(~pl.col(ITEM_NAMES).is_finite())),
    QuarantineRule(
        "absurd", "an amount is beyond 10^15 units of currency", pl.any_horizontal(pl.col(ITEM_NAMES).abs() > MAX_AMOUNT_MILLIONS)
    ),
    QuarantineRule(
        "no_assets",
        "total_assets is missing, negative or less than one unit of currency",
        ~(pl.col("total_assets") >= MIN_ASSETS_MILLIONS).fill_null(False),
    ),
    QuarantineRule("after_event", "published only after the company had failed", pl.col("available_at") > pl.col("event_date")),
    QuarantineRule("other_period", "a second period end under one fiscal year of the company (a comparative, or a short period)"),
    QuarantineRule("other_year", "a period that stands under another fiscal year of the company as well, which fits it better"),
    QuarantineRule("unbalanced", "the balance sheet does not balance, as the source says"),
    QuarantineRule("scale_slip", "total assets are a thousand or a million times off the company's other years"),
    QuarantineRule("same_firm_year", "stands in another source of the panel as well, which counts"),
    QuarantineRule("other_basis", "another basis, consolidated or of the company alone, than most years of the company"),
    QuarantineRule("not_a_year", "the accounts are of less than 11 months or of more than 13"),
    QuarantineRule("duplicate", "same company, fiscal year and publication date as a row that is kept"),
)
"""Rules in order; a row gets the name of the first one that it breaks."""


def is_ratio_table(statements: pl.DataFrame, own: Collection[object]) -> bool:
    """Return whether statements have own features (``own``) and no amounts."""
    return bool(own) and statements["total_assets"].null_count() == statements.height


def split_quarantine(
    statements: pl.DataFrame, events: pl.DataFrame, currency: str | None = None, *, ratios: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the statements kept and those quarantined, in their given order; the latter have ``rule``, the first rule broken.

    Which rows are kept does not depend on their order. events: company_id and event_date; the earliest of a company counts.
    currency: of the panel; None: any. ratios: the statements have own features and no amounts. Columns beyond the canonical ones
    are kept. A rule that the statements have in ``rule`` already, from how they were read, is the first.
    """
    given = {"expected_currency": pl.lit(currency, pl.String)}
    if "rule" not in statements.columns:
        given["rule"] = pl.lit(None, pl.String)
    if events.is_empty():
        dated = statements.with_columns(event_date=pl.lit(None, pl.Date), **given)
    else:
        first = events.group_by("company_id").agg(pl.col("event_date").min())
        dated = statements.join(first, on="company_id", how="left", maintain_order="left").with_columns(**given)
    rule = dated.select(_first_rule_broken(ratios=ratios)).to_series()
    unjudged = statements.drop("rule", strict=False)
    for between_rows in (misplaced_periods, mark_duplicates):
        if rule.null_count() == rule.len():
            rule = between_rows(unjudged)
        else:
            fit = rule.is_null()
            rule = rule.scatter(fit.arg_true(), between_rows(unjudged.filter(fit)))
    if rule.null_count() == rule.len():
        return unjudged, statements.clear().with_columns(rule.clear())
    judged = statements.with_columns(rule)
    return judged.filter(pl.col("rule").is_null()).drop("rule"), judged.filter(pl.col("rule").is_not_null())


@cache
def _first_rule_broken(*, ratios: bool) -> pl.Expr:
    """Return the rule that the source gives, else the first that the row breaks by itself."""
    broken = (
        pl.when(rule.broken).then(pl.lit(rule.name))
        for rule in QUARANTINE_RULES
        if rule.broken is not None and not (ratios and rule.name == "no_assets")
    )
    return pl.coalesce("rule", *broken)


def mark_duplicates(statements: pl.DataFrame) -> pl.Series:
    """Return ``duplicate`` for each row that repeats the version of another row, and null for the others.

    The row with the fewest missing items is kept; ties are broken by the latest period end, then by the lowest amounts, so that
    the order of rows does not matter.
    """
    rule = pl.Series("rule", [None] * statements.height, dtype=pl.String)
    if statements.n_unique(VERSION_KEYS) == statements.height:
        return rule
    numbered = statements.with_row_index("place")
    twice = numbered.filter(pl.len().over(VERSION_KEYS) > 1)
    gaps = pl.sum_horizontal(pl.col(ITEM_NAMES).is_null())
    others = [name for name in statements.columns if name not in (*VERSION_KEYS, "period_end", *ITEM_NAMES, "row")]
    keys = ["gaps", "period_end", *ITEM_NAMES, *others]
    ranked = twice.with_columns(gaps=gaps).sort(keys, descending=[name == "period_end" for name in keys], nulls_last=True)
    places = ranked.filter(pl.int_range(pl.len()).over(VERSION_KEYS) > 0)["place"]
    return rule.scatter(places, pl.Series(["duplicate"] * len(places), dtype=pl.String))


def count_conflicts(kept: pl.DataFrame, aside: pl.DataFrame) -> int:
    """Return the number of quarantined duplicates whose amounts differ from those of the row that was kept."""
    twice = aside.filter(pl.col("rule") == "duplicate").select(*VERSION_KEYS, *ITEM_NAMES)
    both = twice.join(kept.select(*VERSION_KEYS, *ITEM_NAMES), on=VERSION_KEYS, suffix="_kept")
    return both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_kept")) for name in ITEM_NAMES)).height


def blank_negatives(statements: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Set negative values of items that cannot be negative (assets, debts, revenue ...) to null; return also their counts."""
    names = [item.name for item in ITEMS if not item.signed]
    counts = zip(names, (statements[names].to_numpy() < 0).sum(axis=0).tolist(), strict=True)
    found = {name: count for name, count in counts if count}
    return statements.with_columns(pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in found), found
