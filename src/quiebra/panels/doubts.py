"""Warnings on a panel as a whole, each with its remedy, where no single row is at fault."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import polars as pl

from quiebra.errors import LocalisedMessage, PanelError
from quiebra.items import ITEM_NAMES
from quiebra.panels.identities import MIN_ROWS_TO_REFUSE, STOP_SHARE, WARN_SHARE, count_broken
from quiebra.panels.labels import label_outcomes
from quiebra.panels.periods import SHORT_PERIOD_DAYS
from quiebra.panels.quarantine import QUARANTINE_RULES, count_conflicts

NEGATIVE_SHARE = 0.02
"""Share of negative amounts above which an item that cannot be negative gets a warning."""
SOUND_SCALE_RANGE = (0.0005, 20.0)
"""Range of the median of an item over total assets (where it is not zero) in sound panels."""
MAX_DAYS_AFTER_SOURCE = dt.timedelta(days=366)
"""How long after a source's own date its statements may be dated; later ones get a warning."""
MAX_QUARANTINED_SHARE = 0.1
"""Share of rows, or of failed companies' last accounts, quarantined above which there is a warning, whatever the rule."""
UNIT_ERROR_TOLERANCE = 0.3
"""Tolerance, in powers of ten, within which a ratio of amounts counts as 10^3 or 10^6, a difference of unit."""
JUMP_SHARE = 0.01
"""Share of companies whose assets change that much in sound panels at most: shells that start or end a business."""
TOTALS_PATTERN = r"(?i)^\s*(grand |sub)?(total|totales|suma|sum|summe|gesamt|somme|totale)\s*:?\s*$"
"""A company_id of a row of totals."""
SPELLING_MESSAGES = {
    "company_id": LocalisedMessage(
        "values of company_id that differ in case or blanks alone count as different companies: {list}; write each in one way"
    ),
    "sector": LocalisedMessage(
        "values of sector that differ in case or blanks alone count as different sectors: {list}; write each in one way"
    ),
}
RULE_MEANINGS = {rule.name: LocalisedMessage(rule.meaning) for rule in QUARANTINE_RULES}


def whole_percent(count: int, of: int) -> int:
    """Return a share as a whole percentage."""
    return round(100 * count / of)


def other_exit_doubts(exits: pl.DataFrame, event_kinds: Collection[str]) -> list[LocalisedMessage]:
    """Return a note on the exits that are no failures, by kind, where there are any."""
    if exits.is_empty():
        return []
    counts = exits["kind"].value_counts().sort("count", "kind", descending=[True, False]).iter_rows()
    values = {"list": ", ".join(f"{kind} ({count})" for kind, count in counts), "kinds": ", ".join(event_kinds)}
    return [LocalisedMessage("exits that do not count as failures: {list}; labels.event_kinds has {kinds}", values)]


def refuse_damaged_panel(statements: pl.DataFrame) -> None:
    """Raise PanelError where an identity is broken in more than `STOP_SHARE` of the rows that can be checked.

    Identities with fewer than `MIN_ROWS_TO_REFUSE` such rows do not count.
    """
    for name, (rows, of) in count_broken(statements).items():
        if of >= MIN_ROWS_TO_REFUSE and rows > STOP_SHARE * of:
            raise PanelError(
                "'{identity}' is broken in {rows} of {all} rows ({share} %): the columns are not what they are called. Compare "
                "them with the source and correct ingest.table.columns, or get the file again; an item that means something "
                "else in the source must not be given under this name.",
                identity=name,
                rows=rows,
                all=of,
                share=whole_percent(rows, of),
            )


def item_doubts(statements: pl.DataFrame, blanked: dict[str, int]) -> list[LocalisedMessage]:
    """Return warnings on the items: broken identities, negative amounts, and scales.

    statements: the kept ones, with negative amounts set to null. blanked: the number of those, by item.
    """
    said = []
    for name, (rows, of) in count_broken(statements).items():
        if rows > WARN_SHARE * of:
            values = {"identity": name, "rows": rows, "all": of, "share": whole_percent(rows, of)}
            said.append(
                LocalisedMessage(
                    "'{identity}' is broken in {rows} of {all} rows ({share} %): check that these columns are what "
                    "they are called",
                    values,
                )
            )
    for name, rows in blanked.items():
        of = statements[name].count() + rows
        if rows > NEGATIVE_SHARE * of:
            values = {"item": name, "rows": rows, "all": of, "share": whole_percent(rows, of)}
            said.append(
                LocalisedMessage(
                    "negative values of {item}, which count as missing: {rows} of {all} ({share} %); where the source "
                    "writes expenses or debts with a minus, turn the sign",
                    values,
                )
            )
    return [*said, *_about_scales(statements), *_about_jumps(statements)]


def _about_jumps(statements: pl.DataFrame) -> list[LocalisedMessage]:
    """Return a warning on companies some of whose years are in another unit than the rest."""
    before = pl.col("total_assets").shift().over("company_id")
    power = (pl.col("total_assets") / before).log10().abs()
    rows = statements.sort("company_id", "fiscal_year", "available_at")
    rows = rows.filter(
        power.is_between(3 - UNIT_ERROR_TOLERANCE, 3 + UNIT_ERROR_TOLERANCE)
        | power.is_between(6 - UNIT_ERROR_TOLERANCE, 6 + UNIT_ERROR_TOLERANCE)
    )
    if rows["company_id"].n_unique() <= JUMP_SHARE * statements["company_id"].n_unique():
        return []
    values = {"n": rows["company_id"].n_unique(), "company": rows["company_id"][0], "year": rows["fiscal_year"][0]}
    return [
        LocalisedMessage(
            "companies whose total assets are about a thousand or a million times those of the year before, or the "
            "reverse: {n}, such as {company} in {year}; are all their years in one unit?",
            values,
        )
    ]


def company_doubts(statements: pl.DataFrame) -> list[LocalisedMessage]:
    """Return warnings on company ids and sectors: rows of totals, and a company or sector with several spellings."""
    said = []
    ids = statements["company_id"].unique().sort()
    sums = ids.filter(ids.str.contains(TOTALS_PATTERN))
    if len(sums):
        said.append(
            LocalisedMessage(
                "rows that look like sums of others, by their company_id: {list}; remove them", {"list": ", ".join(sums.head(5))}
            )
        )
    for column, text in SPELLING_MESSAGES.items():
        names = statements[column].drop_nulls().unique().sort().to_frame("name")
        alike = pl.col("name").str.to_lowercase().str.replace_all(r"\s+", "")
        twice = names.filter(pl.len().over(alike) > 1).sort(alike, "name")["name"]
        if len(twice):
            said.append(LocalisedMessage(text.text, {"list": ", ".join(twice.head(6))}))
    return said


def period_doubts(statements: pl.DataFrame) -> list[LocalisedMessage]:
    """Return a warning on companies whose latest accounts cover a part of a year, but count as a year."""
    ends = statements.select("company_id", "period_end").unique().sort("company_id", "period_end")
    last = ends.with_columns(days=pl.col("period_end").diff().over("company_id").dt.total_days())
    last = last.unique("company_id", keep="last", maintain_order=True).filter(pl.col("days") < SHORT_PERIOD_DAYS)
    if last.is_empty():
        return []
    values = {"n": last.height, "company": last["company_id"][0], "days": SHORT_PERIOD_DAYS, "date": str(last["period_end"][0])}
    return [
        LocalisedMessage(
            "companies whose latest accounts end less than {days} days after those before: {n}, such as {company} on "
            "{date}; accounts of a part of a year count as a year: remove interim ones",
            values,
        )
    ]


def _about_scales(statements: pl.DataFrame) -> list[LocalisedMessage]:
    names = [name for name in ITEM_NAMES if name != "total_assets"]
    shares = statements.select(pl.col(name).abs() / pl.col("total_assets") for name in names)
    medians = shares.select(pl.col(name).filter(pl.col(name) > 0).median() for name in names).row(0, named=True)
    said = []
    for name, value in medians.items():
        if (
            value is None
            or (shares[name] > 0).sum() < MIN_ROWS_TO_REFUSE
            or SOUND_SCALE_RANGE[0] <= value <= SOUND_SCALE_RANGE[1]
        ):
            continue
        if value > 1:
            said.append(
                LocalisedMessage(
                    "{item} is {times} times total assets in the median row: is it in another unit?",
                    {"item": name, "times": round(value)},
                )
            )
        else:
            said.append(
                LocalisedMessage(
                    "total assets are {times} times {item} in the median row: is it in another unit?",
                    {"item": name, "times": round(1 / value)},
                )
            )
    return said


def statements_after(statements: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Return the statements whose period_end or available_at is after ``as_of``."""
    return statements.filter(pl.max_horizontal("available_at", "period_end") > as_of)


def date_doubts(statements: pl.DataFrame, as_of: dt.date) -> list[LocalisedMessage]:
    """Return a warning on statements dated after ``as_of``."""
    later = statements_after(statements, as_of).select(date=pl.max_horizontal("available_at", "period_end"))
    if later.is_empty():
        return []
    values = {"rows": later.height, "as_of": str(as_of), "latest": str(later["date"].max())}
    return [
        LocalisedMessage(
            "statements dated after {as_of}, the date of the run: {rows}, the latest {latest}; are fiscal_year, period_end "
            "and available_at right?",
            values,
        )
    ]


def version_doubts(kept: pl.DataFrame, aside: pl.DataFrame) -> list[LocalisedMessage]:
    """Return a warning on rows that repeat a version with other amounts."""
    rows = count_conflicts(kept, aside)
    return (
        [
            LocalisedMessage(
                "rows that repeat company, fiscal year and publication date of another with other amounts: {rows}; the fullest "
                "was kept. Give available_at, so that each version counts from the day it came out",
                {"rows": rows},
            )
        ]
        if rows
        else []
    )


def row_doubts(rows_in: int, aside: pl.DataFrame) -> list[LocalisedMessage]:
    """Return a warning where many rows are quarantined."""
    if aside.height <= MAX_QUARANTINED_SHARE * rows_in:
        return []
    values = {"rows": aside.height, "all": rows_in, "share": whole_percent(aside.height, rows_in), "rules": _by_rule(aside)}
    return [LocalisedMessage("rows set aside: {rows} of {all} ({share} %). {rules}", values)]


def _by_rule(aside: pl.DataFrame) -> list[LocalisedMessage]:
    counts = aside["rule"].value_counts().sort("count", "rule", descending=[True, False])
    return [LocalisedMessage("{n}: {rule}", {"n": n, "rule": RULE_MEANINGS[rule]}) for rule, n in counts.iter_rows()]


def lost_failures(kept: pl.DataFrame, aside: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return company_id, rule and lag of failed companies whose last accounts before the failure were quarantined.

    Companies with later accounts that were kept are left out. lag: days from period_end to available_at.
    """
    known = kept.group_by("company_id").agg(known=pl.col("fiscal_year").max())
    gone = aside.filter(~pl.col("rule").is_in(["bad_year", "bad_date", "year_and_date_differ"]))
    gone = gone.join(events.select("company_id", "event_date"), on="company_id")
    gone = gone.filter(pl.col("period_end") <= pl.col("event_date"))
    last = gone.sort("company_id", "fiscal_year", "available_at", "rule").unique("company_id", keep="last", maintain_order=True)
    rows = last.join(known, on="company_id", how="left")
    rows = rows.filter(pl.col("known").is_null() | (pl.col("fiscal_year") > pl.col("known")))
    return rows.select("company_id", "rule", lag=(pl.col("available_at") - pl.col("period_end")).dt.total_days())


def unlabelled_failures(statements: pl.DataFrame, events: pl.DataFrame, window_months: int) -> pl.DataFrame:
    """Return company_id and event_date of failures that label no statement, since they came too long after the last one."""
    labelled = label_outcomes(statements, events, window_months=window_months).filter(pl.col("failed") == 1)
    there = events.join(statements, on="company_id", how="semi")
    return there.join(labelled, on="company_id", how="anti").select("company_id", "event_date")


def late_failure_doubts(late: pl.DataFrame, failed: int, window_months: int) -> list[LocalisedMessage]:
    """Return a warning on failures that label no statement.

    late: see `unlabelled_failures`. failed: number of failed companies.
    """
    if late.height <= MAX_QUARANTINED_SHARE * failed:
        return []
    values = {"n": late.height, "all": failed, "months": window_months, "date": str(late["event_date"].max())}
    return [
        LocalisedMessage(
            "failed companies that count as survivors, since they failed more than {months} months after their last "
            "accounts: {n} of {all}, the latest on {date}. Are the dates of failure right, and the last accounts there? "
            "labels.window_months sets how late a failure counts",
            values,
        )
    ]


def failure_doubts(lost: pl.DataFrame, failed: int, assumed_lag_days: int | None) -> list[LocalisedMessage]:
    """Return warnings on failed companies' last accounts that were quarantined.

    lost: see `lost_failures`. failed: number of failed companies. assumed_lag_days: days assumed for missing available_at, if
        any.
    """
    assumed = (pl.col("rule") == "after_event") & pl.col("lag").eq_missing(pl.lit(assumed_lag_days))
    by_lag, others, said = lost.filter(assumed), lost.filter(~assumed), []
    values: dict[str, object]
    if by_lag.height:
        values = {"n": by_lag.height, "all": failed, "days": assumed_lag_days}
        said.append(
            LocalisedMessage(
                "failed companies whose last accounts are set aside: {n} of {all}, since with the assumed lag of {days} "
                "days they came out after the failure. Give available_at, or lower ingest.table.filing_lag_days",
                values,
            )
        )
    if others.height > MAX_QUARANTINED_SHARE * failed:
        values = {"n": others.height, "all": failed, "rules": _by_rule(others)}
        said.append(
            LocalisedMessage(
                "failed companies whose last accounts are set aside, so that older ones stand for the failure: {n} of "
                "{all}. {rules}",
                values,
            )
        )
    return said
