"""From a source's tables to the panel that every later stage may trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from quiebra.canonical import Source, SourceInfo
from quiebra.errors import PanelError
from quiebra.panel.quality import quality_report
from quiebra.panel.quarantine import RULES, blank_negatives, quarantine
from quiebra.panel.schemas import validate_panel


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


def build(source: Source) -> Panel:
    """Apply the contract to a source. PanelError, with the counts by rule, where no statement is left."""
    kept, set_aside = quarantine(source.statements, source.events)
    if kept.is_empty():
        meanings = {rule.name: rule.meaning for rule in RULES}
        why = "; ".join(f"{count} rows: {meanings[name]}" for name, count in set_aside["rule"].value_counts().iter_rows())
        raise PanelError(f"no statement is left after the quality rules ({why or 'the table was empty'})")
    statements, blanked = blank_negatives(kept.sort("company_id", "fiscal_year", "available_at"))
    known = statements["company_id"].unique()
    companies = source.companies.filter(pl.col("company_id").is_in(known.implode())).sort("company_id")
    events = source.events.filter(pl.col("company_id").is_in(known.implode())).sort("company_id")
    order = [name for name in set_aside.columns if name != "rule"][:4]
    return Panel(
        info=source.info,
        companies=validate_panel("companies", companies),
        statements=validate_panel("statements", statements),
        events=validate_panel("events", events),
        macro=validate_panel("macro", source.macro.sort("series", "date", "available_at")),
        quarantined=set_aside.sort("rule", *order, "total_assets"),
        quality=quality_report(source.statements.height, statements, set_aside, blanked),
    )
