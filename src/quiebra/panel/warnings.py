"""What is doubtful about a panel as a whole: said loudly, with the remedy, where no single row is to blame."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quiebra.errors import PanelError, Said
from quiebra.items import ITEM_NAMES
from quiebra.panel.identities import FEWEST_ROWS, STOP_SHARE, WARN_SHARE, count_broken
from quiebra.panel.labels import label
from quiebra.panel.periods import SHORT_DAYS
from quiebra.panel.quarantine import RULES, conflicts

NEGATIVE_SHARE = 0.02
"""Above this share of negative amounts, an item that cannot be negative is doubted."""
SCALE = (0.0005, 20.0)
"""The median of an item over total assets, where it is not zero, lies between these in every sound panel."""
LATE = dt.timedelta(days=366)
"""A source may hold statements published up to this long after its own date; what is dated later is doubted."""
LOST_SHARE = 0.1
"""Above this share of rows set aside, or of failed companies' last accounts, that is said whatever the rule."""
NEAR = 0.3
"""How far, in powers of ten, amounts may be from a thousand times others to count as in another unit."""
JUMP_SHARE = 0.01
"""Up to this share of companies grows or shrinks so in sound panels: shells that begin or end a business."""
SUMS = r"(?i)^\s*(grand |sub)?(total|totales|suma|sum|summe|gesamt|somme|totale)\s*:?\s*$"
"""A company_id that stands beside a sum."""
SPELLINGS = {
    "company_id": Said("values of company_id that differ in case or blanks alone count as different companies: {list}; "
                       "write each in one way"),
    "sector": Said("values of sector that differ in case or blanks alone count as different sectors: {list}; write each in "
                   "one way"),
}  # fmt: skip
MEANINGS = {rule.name: Said(rule.meaning) for rule in RULES}


def percent(count: int, of: int) -> int:
    """Return a share as a whole percentage."""
    return round(100 * count / of)


def refuse_damaged(statements: pl.DataFrame) -> None:
    """Raise PanelError where an identity is broken in more than `STOP_SHARE` of the rows that can be judged, `FEWEST_ROWS` or
    more."""
    for name, (rows, of) in count_broken(statements).items():
        if of >= FEWEST_ROWS and rows > STOP_SHARE * of:
            raise PanelError(
                "'{identity}' is broken in {rows} of {all} rows ({share} %): the columns are not what they are called. Compare "
                "them with the source and correct ingest.table.columns, or get the file again; an item that means something "
                "else in the source must not be given under this name.",
                identity=name, rows=rows, all=of, share=percent(rows, of),
            )  # fmt: skip


def about_items(statements: pl.DataFrame, blanked: dict[str, int]) -> list[Said]:
    """Return what is doubtful about the items: broken identities, negative amounts, and scales.

    statements: those kept, after ``blanked`` negative amounts of each item were set to missing.
    """
    said = []
    for name, (rows, of) in count_broken(statements).items():
        if rows > WARN_SHARE * of:
            values = {"identity": name, "rows": rows, "all": of, "share": percent(rows, of)}
            said.append(Said("'{identity}' is broken in {rows} of {all} rows ({share} %): check that these columns are what "
                             "they are called", values))  # fmt: skip
    for name, rows in blanked.items():
        of = statements[name].count() + rows
        if rows > NEGATIVE_SHARE * of:
            values = {"item": name, "rows": rows, "all": of, "share": percent(rows, of)}
            said.append(Said("negative values of {item}, which count as missing: {rows} of {all} ({share} %); where the source "
                             "writes expenses or debts with a minus, turn the sign", values))  # fmt: skip
    return [*said, *_about_scales(statements), *_about_jumps(statements)]


def _about_jumps(statements: pl.DataFrame) -> list[Said]:
    """Return what is said of companies some of whose years are in another unit than the others."""
    before = pl.col("total_assets").shift().over("company_id")
    power = (pl.col("total_assets") / before).log10().abs()
    rows = statements.sort("company_id", "fiscal_year", "available_at")
    rows = rows.filter(power.is_between(3 - NEAR, 3 + NEAR) | power.is_between(6 - NEAR, 6 + NEAR))
    if rows["company_id"].n_unique() <= JUMP_SHARE * statements["company_id"].n_unique():
        return []
    values = {"n": rows["company_id"].n_unique(), "company": rows["company_id"][0], "year": rows["fiscal_year"][0]}
    return [Said("companies whose total assets are about a thousand or a million times those of the year before, or the "
                 "reverse: {n}, such as {company} in {year}; are all their years in one unit?", values)]  # fmt: skip


def about_companies(statements: pl.DataFrame) -> list[Said]:
    """Return what is doubtful about who the rows are of: rows of sums, and a company or sector under several spellings."""
    said = []
    ids = statements["company_id"].unique().sort()
    sums = ids.filter(ids.str.contains(SUMS))
    if len(sums):
        said.append(Said("rows that look like sums of others, by their company_id: {list}; remove them",
                         {"list": ", ".join(sums.head(5))}))  # fmt: skip
    for column, text in SPELLINGS.items():
        names = statements[column].drop_nulls().unique().sort().to_frame("name")
        alike = pl.col("name").str.to_lowercase().str.replace_all(r"\s+", "")
        twice = names.filter(pl.len().over(alike) > 1).sort(alike, "name")["name"]
        if len(twice):
            said.append(Said(text.text, {"list": ", ".join(twice.head(6))}))
    return said


def about_periods(statements: pl.DataFrame) -> list[Said]:
    """Return what is said of companies whose latest accounts are of a part of a year, and count for a year."""
    ends = statements.select("company_id", "period_end").unique().sort("company_id", "period_end")
    last = ends.with_columns(days=pl.col("period_end").diff().over("company_id").dt.total_days())
    last = last.unique("company_id", keep="last", maintain_order=True).filter(pl.col("days") < SHORT_DAYS)
    if last.is_empty():
        return []
    values = {"n": last.height, "company": last["company_id"][0], "days": SHORT_DAYS, "date": str(last["period_end"][0])}
    return [Said("companies whose latest accounts end less than {days} days after those before: {n}, such as {company} on "
                 "{date}; accounts of a part of a year count as a year: remove interim ones", values)]  # fmt: skip


def _about_scales(statements: pl.DataFrame) -> list[Said]:
    names = [name for name in ITEM_NAMES if name != "total_assets"]
    shares = statements.select(pl.col(name).abs() / pl.col("total_assets") for name in names)
    medians = shares.select(pl.col(name).filter(pl.col(name) > 0).median() for name in names).row(0, named=True)
    said = []
    for name, value in medians.items():
        if value is None or (shares[name] > 0).sum() < FEWEST_ROWS or SCALE[0] <= value <= SCALE[1]:
            continue
        if value > 1:
            said.append(Said("{item} is {times} times total assets in the median row: is it in another unit?",
                             {"item": name, "times": round(value)}))  # fmt: skip
        else:
            said.append(Said("total assets are {times} times {item} in the median row: is it in another unit?",
                             {"item": name, "times": round(1 / value)}))  # fmt: skip
    return said


def dated_after(statements: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Return the statements whose period_end or available_at lies after ``as_of``."""
    return statements.filter(pl.max_horizontal("available_at", "period_end") > as_of)


def about_dates(statements: pl.DataFrame, as_of: dt.date) -> list[Said]:
    """Return what is said of statements dated after ``as_of``; none where there is none."""
    later = dated_after(statements, as_of).select(date=pl.max_horizontal("available_at", "period_end"))
    if later.is_empty():
        return []
    values = {"rows": later.height, "as_of": str(as_of), "latest": str(later["date"].max())}
    return [Said("statements dated after {as_of}, the date of the run: {rows}, the latest {latest}; are fiscal_year, period_end "
                 "and available_at right?", values)]  # fmt: skip


def about_versions(kept: pl.DataFrame, aside: pl.DataFrame) -> list[Said]:
    """Return what is said of rows that repeat a version with other amounts."""
    rows = conflicts(kept, aside)
    return [
        Said("rows that repeat company, fiscal year and publication date of another with other amounts: {rows}; the fullest was "
             "kept. Give available_at, so that each version counts from the day it came out", {"rows": rows})
    ] if rows else []  # fmt: skip


def about_rows(rows_in: int, aside: pl.DataFrame) -> list[Said]:
    """Return what is said where many rows are set aside."""
    if aside.height <= LOST_SHARE * rows_in:
        return []
    values = {"rows": aside.height, "all": rows_in, "share": percent(aside.height, rows_in), "rules": _by_rule(aside)}
    return [Said("rows set aside: {rows} of {all} ({share} %). {rules}", values)]


def _by_rule(aside: pl.DataFrame) -> list[Said]:
    counts = aside["rule"].value_counts().sort("count", "rule", descending=[True, False])
    return [Said("{n}: {rule}", {"n": n, "rule": MEANINGS[rule]}) for rule, n in counts.iter_rows()]


def lost_failures(kept: pl.DataFrame, aside: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return company_id, rule and lag (days from period_end to available_at) of each failed company's last accounts of a period
    before the failure, where they were set aside and no later ones were kept."""
    known = kept.group_by("company_id").agg(known=pl.col("fiscal_year").max())
    gone = aside.filter(~pl.col("rule").is_in(["bad_year", "bad_date", "year_and_date_differ"]))
    gone = gone.join(events.select("company_id", "event_date"), on="company_id")
    gone = gone.filter(pl.col("period_end") <= pl.col("event_date"))
    last = gone.sort("company_id", "fiscal_year", "available_at", "rule").unique("company_id", keep="last", maintain_order=True)
    rows = last.join(known, on="company_id", how="left")
    rows = rows.filter(pl.col("known").is_null() | (pl.col("fiscal_year") > pl.col("known")))
    return rows.select("company_id", "rule", lag=(pl.col("available_at") - pl.col("period_end")).dt.total_days())


def unlabelled_failures(statements: pl.DataFrame, events: pl.DataFrame, window_months: int) -> pl.DataFrame:
    """Return company_id and event_date of failures that count for no statement, since they came too long after the last."""
    labelled = label(statements, events, window_months=window_months).filter(pl.col("failed") == 1)
    there = events.join(statements, on="company_id", how="semi")
    return there.join(labelled, on="company_id", how="anti").select("company_id", "event_date")


def about_late_failures(late: pl.DataFrame, failed: int, window_months: int) -> list[Said]:
    """Return what is said of failures that count for no statement; late: see `unlabelled_failures`."""
    if late.height <= LOST_SHARE * failed:
        return []
    values = {"n": late.height, "all": failed, "months": window_months, "date": str(late["event_date"].max())}
    return [Said("failed companies that count as survivors, since they failed more than {months} months after their last "
                 "accounts: {n} of {all}, the latest on {date}. Are the dates of failure right, and the last accounts there? "
                 "labels.window_months sets how late a failure counts", values)]  # fmt: skip


def about_failures(lost: pl.DataFrame, failed: int, assumed_lag_days: int | None) -> list[Said]:
    """Return what is said of failed companies' last accounts that were set aside; lost: see `lost_failures`."""
    assumed = (pl.col("rule") == "after_event") & pl.col("lag").eq_missing(pl.lit(assumed_lag_days))
    by_lag, others, said = lost.filter(assumed), lost.filter(~assumed), []
    if by_lag.height:
        values = {"n": by_lag.height, "all": failed, "days": assumed_lag_days}
        said.append(Said("failed companies whose last accounts are set aside: {n} of {all}, since with the assumed lag of {days} "
                         "days they came out after the failure. Give available_at, or lower ingest.table.filing_lag_days",
                         values))  # fmt: skip
    if others.height > LOST_SHARE * failed:
        values = {"n": others.height, "all": failed, "rules": _by_rule(others)}
        said.append(Said("failed companies whose last accounts are set aside, so that older ones stand for the failure: {n} of "
                         "{all}. {rules}", values))  # fmt: skip
    return said
