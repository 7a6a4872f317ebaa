"""From a source's tables to the panel that every later stage may trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from quiebra.canonical import Source, SourceInfo
from quiebra.errors import PanelError, Said
from quiebra.panel.quality import quality_report
from quiebra.panel.quarantine import blank_negatives, quarantine
from quiebra.panel.schemas import validate_panel
from quiebra.panel.warnings import (
    LATE,
    MEANINGS,
    about_companies,
    about_dates,
    about_failures,
    about_items,
    about_late_failures,
    about_periods,
    about_rows,
    about_versions,
    dated_after,
    lost_failures,
    refuse_damaged,
    unlabelled_failures,
)


@dataclass(frozen=True)
class Panel:
    """The canonical tables, sorted and checked; what was set aside and why; and the quality report."""

    info: SourceInfo
    companies: pl.DataFrame
    statements: pl.DataFrame
    events: pl.DataFrame
    macro: pl.DataFrame
    quarantined: pl.DataFrame
    quality: dict[str, Any]


def build(source: Source, *, window_months: int = 24) -> Panel:
    """Apply the contract to a source. What comes out does not depend on the order of its rows. window_months: after the last
    accounts, in which a failure counts (`labels.window_months`).

    PanelError, with the counts by rule, where no statement is left; or where an identity is broken in so many rows that the
    columns cannot be what they are called (see `quiebra.panel.identities`).
    """
    first = pl.all().sort_by("event_date", "kind").first()
    happened = source.events.group_by("company_id").agg(first).select(source.events.columns)
    kept, set_aside = quarantine(source.statements, happened, source.info.currency)
    if kept.is_empty():
        counts = set_aside["rule"].value_counts().sort("rule").iter_rows()
        why = [*(f"{count} rows: {MEANINGS[name]}" for name, count in counts), *map(str, source.warnings)]
        raise PanelError(f"no statement is left after the quality rules ({'; '.join(why) or 'the table was empty'})")
    refuse_damaged(kept)
    statements, blanked = blank_negatives(kept.sort("company_id", "fiscal_year", "available_at"))
    known = statements["company_id"].unique()
    companies = source.companies.filter(pl.col("company_id").is_in(known.implode())).sort("company_id")
    events = happened.filter(pl.col("company_id").is_in(known.implode())).sort("company_id")
    lost = lost_failures(kept, set_aside, happened)
    late = unlabelled_failures(statements, events, window_months)
    doubts = [
        *_doubts(source, statements, set_aside, blanked),
        *about_versions(kept, set_aside),
        *about_failures(lost, happened.height, source.info.assumed_lag_days),
        *about_late_failures(late, happened.height, window_months),
    ]
    quality = {
        **quality_report(source.statements.height, statements, set_aside, blanked, doubts),
        "as_of": str(source.info.as_of),
        "dated_after_as_of": dated_after(statements, source.info.as_of).height,
        "failed_companies": happened.height,
        "failed_companies_kept": events.height,
        "last_accounts_set_aside": lost.height,
        "failures_too_late_to_count": late.height,
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
    )


def _doubts(source: Source, statements: pl.DataFrame, set_aside: pl.DataFrame, blanked: dict[str, int]) -> list[Said]:
    """Return what is doubtful about the source as a whole; a source may hold statements published soon after its own date."""
    as_of = source.info.as_of
    later = (pl.col("period_end") > as_of) | (pl.col("available_at") > as_of + LATE)
    return [
        *source.warnings,
        *about_rows(source.statements.height, set_aside),
        *about_items(statements, blanked),
        *about_companies(statements.join(source.companies.select("company_id", "sector"), on="company_id", how="left")),
        *about_periods(statements),
        *about_dates(statements.filter(later), as_of),
    ]
