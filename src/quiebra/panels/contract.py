"""Build the checked panel from a source's tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from quiebra.canonical import FILING_SCHEMA, LINEAGE_SCHEMA, Source, SourceInfo
from quiebra.errors import LocalisedMessage, PanelError
from quiebra.panels.doubts import (
    MAX_DAYS_AFTER_SOURCE,
    RULE_MEANINGS,
    company_doubts,
    date_doubts,
    failure_doubts,
    item_doubts,
    late_failure_doubts,
    lost_failures,
    other_exit_doubts,
    period_doubts,
    refuse_damaged_panel,
    row_doubts,
    statements_after,
    unlabelled_failures,
    version_doubts,
)
from quiebra.panels.missing_values import missing_value_auc, missing_value_doubts
from quiebra.panels.quality import quality_report
from quiebra.panels.quarantine import blank_negatives, is_ratio_table, split_quarantine
from quiebra.panels.schemas import validate_panel


@dataclass(frozen=True)
class Panel:
    """The canonical tables, sorted and checked, the quarantined rows with the rule each broke, the quality report, and where the
    amounts come from (see `quiebra.canonical.LINEAGE_SCHEMA` and ``FILING_SCHEMA``)."""

    info: SourceInfo
    companies: pl.DataFrame
    statements: pl.DataFrame
    events: pl.DataFrame
    macro: pl.DataFrame
    quarantined: pl.DataFrame
    quality: dict[str, Any]
    lineage: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINEAGE_SCHEMA))
    filings: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FILING_SCHEMA))


def build_panel(source: Source, *, window_months: int = 24, event_kinds: Collection[str] | None = None) -> Panel:
    """Apply the data contract to a source. The result does not depend on the order of the source's rows.

    window_months: how long after the last statement's period_end a failure still counts (params ``labels.window_months``).
    event_kinds: exits that are failures (params ``labels.event_kinds``), None: all; a company that left otherwise has not failed.

    Raise PanelError, with the counts by rule, where no statement is left; or where an identity is broken in so many rows that
    columns must be mislabelled (see `quiebra.panels.identities`).
    """
    first = pl.all().sort_by("event_date", "kind").first()
    fails = pl.lit(True) if event_kinds is None else pl.col("kind").is_in(list(event_kinds))
    failures, other_exits = source.events.filter(fails), source.events.filter(~fails)
    happened = failures.group_by("company_id").agg(first).select(source.events.columns)
    ratios = is_ratio_table(source.statements, source.info.own_columns)
    kept, set_aside = split_quarantine(source.statements, happened, source.info.currency, ratios=ratios)
    set_aside = pl.concat([set_aside, source.set_aside.select(set_aside.columns)]) if source.set_aside.height else set_aside
    rows_in = source.statements.height + source.set_aside.height
    if kept.is_empty():
        counts = set_aside["rule"].value_counts().sort("rule").iter_rows()
        why = [*(f"{count} rows: {RULE_MEANINGS[name]}" for name, count in counts), *map(str, source.warnings)]
        raise PanelError(f"no statement is left after the quality rules ({'; '.join(why) or 'the table was empty'})")
    refuse_damaged_panel(kept)
    statements, blanked = blank_negatives(kept.sort("company_id", "fiscal_year", "available_at"))
    known = statements["company_id"].unique()
    companies = source.companies.filter(pl.col("company_id").is_in(known.implode())).sort("company_id")
    events = happened.filter(pl.col("company_id").is_in(known.implode())).sort("company_id")
    lost = lost_failures(kept, set_aside, happened)
    late = unlabelled_failures(statements, events, window_months)
    missing = missing_value_auc(statements, events, window_months)
    doubts = [
        *missing_value_doubts(missing),
        *_doubts(source, rows_in, statements, set_aside, blanked),
        *version_doubts(kept, set_aside),
        *other_exit_doubts(other_exits, event_kinds or ()),
        *failure_doubts(lost, happened.height, source.info.assumed_lag_days),
        *late_failure_doubts(late, happened.height, window_months),
    ]
    quality = {
        **quality_report(rows_in, statements, set_aside, blanked, doubts),
        "as_of": str(source.info.as_of),
        "dated_after_as_of": statements_after(statements, source.info.as_of).height,
        "failed_companies": happened.height,
        "failed_companies_kept": events.height,
        "last_accounts_set_aside": lost.height,
        "failures_too_late_to_count": late.height,
        "missing_market_value_auc": missing,
    }
    order = ["rule", *(name for name in set_aside.columns if name != "rule")]
    return Panel(
        info=source.info,
        companies=validate_panel("companies", companies),
        statements=validate_panel("statements", statements),
        events=validate_panel("events", events),
        macro=validate_panel("macro", source.macro.sort("series", "date", "available_at")),
        quarantined=set_aside.sort(order),
        quality=quality,
        lineage=source.lineage,
        filings=source.filings,
    )


def _doubts(
    source: Source, rows_in: int, statements: pl.DataFrame, set_aside: pl.DataFrame, blanked: dict[str, int]
) -> list[LocalisedMessage]:
    """Return warnings on the source as a whole; statements published shortly after the source's own date are accepted."""
    as_of = source.info.as_of
    later = (pl.col("period_end") > as_of) | (pl.col("available_at") > as_of + MAX_DAYS_AFTER_SOURCE)
    return [
        *source.warnings,
        *row_doubts(rows_in, set_aside),
        *item_doubts(statements, blanked),
        *company_doubts(statements.join(source.companies.select("company_id", "sector"), on="company_id", how="left")),
        *period_doubts(statements),
        *date_doubts(statements.filter(later), as_of),
    ]
