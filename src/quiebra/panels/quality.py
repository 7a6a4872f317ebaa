"""The data quality report: rows read and kept, missing items, broken identities, outliers and warnings."""

from __future__ import annotations

from typing import Any

import polars as pl

from quiebra.errors import LocalisedMessage
from quiebra.items import ITEM_NAMES
from quiebra.panels.identities import any_broken, count_broken


def quality_report(
    rows_in: int, statements: pl.DataFrame, quarantined: pl.DataFrame, blanked: dict[str, int], warnings: list[LocalisedMessage]
) -> dict[str, Any]:
    """Return the report as plain JSON values. Counts are of rows; missing shares are of kept rows, by item and fiscal year.

    warnings: stored as templates and values, which `quality_warnings` restores.
    """
    by_rule = dict(quarantined["rule"].value_counts().sort("rule").iter_rows())
    years = statements["fiscal_year"]
    revisions = statements.height - statements.select("company_id", "fiscal_year").n_unique()
    return {
        "rows_in": rows_in,
        "rows_kept": statements.height,
        "rows_by_source": dict(statements["source"].value_counts().sort("source").iter_rows()),
        "rows_quarantined": quarantined.height,
        "quarantined_by_rule": by_rule,
        "duplicates": by_rule.get("duplicate", 0),
        "restatements": revisions,
        "negatives_set_missing": blanked,
        "companies": statements["company_id"].n_unique(),
        "first_year": years.min(),
        "last_year": years.max(),
        "rows_by_year": {str(year): rows for year, rows in years.value_counts().sort("fiscal_year").iter_rows()},
        "missing_by_item": {name: round(statements[name].null_count() / statements.height, 6) for name in ITEM_NAMES},
        "missing_by_item_and_year": _missing_by_year(statements),
        "statements_broken": statements.filter(any_broken()).height,
        "identities_broken": {name: rows for name, (rows, _) in count_broken(statements).items()},
        "outliers_by_item": _outliers(statements),
        "warnings": [_record(said) for said in warnings],
    }


def quality_warnings(quality: dict[str, Any]) -> list[LocalisedMessage]:
    """Return a report's warnings as messages that can be translated."""
    return [_said(record) for record in quality["warnings"]]


def quality_summary(quality: dict[str, Any]) -> list[str]:
    """Return one line with rows read, kept and quarantined by rule, and one line per warning."""
    rules = ", ".join(f"{rule} {rows:,}" for rule, rows in quality["quarantined_by_rule"].items())
    aside = f"{quality['rows_quarantined']:,} set aside" + (f" ({rules})" if rules else "")
    line = f"statements  {quality['rows_in']:,} rows in, {quality['rows_kept']:,} kept, {aside}"
    if quality["dated_after_as_of"]:
        line += f"; {quality['dated_after_as_of']:,} of the kept are dated after {quality['as_of']}, the date of the source"
    return [line, *(f"WARNING     {said}" for said in quality_warnings(quality))]


def _record(value: Any) -> Any:
    """Return a message as plain JSON values."""
    if isinstance(value, LocalisedMessage):
        return {"text": value.text, "values": {name: _record(part) for name, part in value.values.items()}}
    return [_record(part) for part in value] if isinstance(value, list) else value


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return LocalisedMessage(value["text"], {name: _said(part) for name, part in value["values"].items()})
    return [_said(part) for part in value] if isinstance(value, list) else value


def _missing_by_year(statements: pl.DataFrame) -> dict[str, dict[str, float]]:
    shares = statements.group_by("fiscal_year").agg(pl.col(ITEM_NAMES).is_null().mean().round(6)).sort("fiscal_year")
    return {str(row.pop("fiscal_year")): row for row in shares.to_dicts()}


def _outliers(statements: pl.DataFrame) -> dict[str, int]:
    """Count, by item, amounts over total assets that lie more than ten interquartile ranges from the median."""
    scaled = statements.select(pl.col(name) / pl.col("total_assets") for name in ITEM_NAMES if name != "total_assets")
    spread = [
        ((pl.col(n) - pl.col(n).median()).abs() > 10 * (pl.col(n).quantile(0.75) - pl.col(n).quantile(0.25))).sum()
        for n in scaled.columns
    ]
    return scaled.select(spread).row(0, named=True)
