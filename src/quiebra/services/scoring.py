"""Score a user's file of statements with the model in charge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from quiebra.canonical import EVENT_SCHEMA, conform_to_schema, statement_schema
from quiebra.errors import LocalisedMessage, PanelError
from quiebra.feature_engineering import OWN_FEATURES, PeerRanks, feature_table
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.items import ITEMS, VERSION_KEYS
from quiebra.models import PdModel, reasons
from quiebra.models.term import PD_COLUMNS
from quiebra.panels.doubts import RULE_MEANINGS, company_doubts, date_doubts, item_doubts, period_doubts, version_doubts
from quiebra.panels.quarantine import blank_negatives, is_ratio_table, split_quarantine
from quiebra.params import Score, Table
from quiebra.risk import reasons_in_words, score_statements
from quiebra.risk.scored_company import BLIND_SHARE
from quiebra.services.loaded_model import load_model
from quiebra.sources.currency import known_company_doubts, unit_doubts
from quiebra.sources.events import first_events
from quiebra.sources.table import read_statements
from quiebra.workspace import Workspace

REASON_COLUMNS = ["reason_codes", "reasons", "reasons_es", "strengths", "strengths_es", "gaps", "gaps_es"]
ITEM_LABELS = {item.name: item.label for item in ITEMS}
COMPANIES_PER_BATCH = 5000
"""Companies scored at a time, between reports of progress."""
ATTACHED_COLUMNS = ("name", "sector", "exposure", "lgd")
"""Columns beside a statement that belong to its version."""


@dataclass(frozen=True)
class ScoredFile:
    """A scored file.

    table: one row per company, riskiest first. left_out: number of unusable rows by reason; aside: those rows (row, rule).
    warnings: further doubts. versions: the statement that each company is scored by (company_id, fiscal_year, available_at,
    period_end, and row if rows are numbered).
    """

    table: pl.DataFrame
    left_out: list[LocalisedMessage]
    warnings: list[LocalisedMessage]
    aside: pl.DataFrame
    versions: pl.DataFrame


def score_file(workspace: Workspace, path: Path) -> ScoredFile:
    """Score each company's latest statement in a file with the model in charge; columns, units and currency as in
    ``ingest.table``.

    Rows that break a quality rule are left out with a warning. Raises SourceError (the file), PanelError (no row can be used) and
    WorkspaceError (no model in charge yet).
    """
    loaded = load_model(workspace)
    options, companies = loaded.table, loaded.companies
    rows, notes = read_statements(path, options, loaded.currency, derive=loaded.derived)
    scored = score_rows(
        rows,
        loaded.model,
        companies,
        loaded.features,
        loaded.compared,
        loaded.score,
        path.name,
        currency=loaded.currency,
        units=options.units,
    )
    marks = [*loaded.banners(), *_failed_already(rows, options), *_old_accounts(rows, loaded.score.max_age_months)]
    if strange := _unknown_sectors(rows, companies):
        text = "sectors that the model does not know, so that these companies are compared with all: {list}"
        marks.append(LocalisedMessage(text, {"list": ", ".join(strange)}))
    named = scored.table.join(_names(rows, companies), on="company_id", how="left", maintain_order="left")
    table = named.select("company_id", "name", pl.exclude("company_id", "name"))
    return replace(scored, table=table, warnings=[*marks, *notes, *scored.warnings])


def _failed_already(rows: pl.DataFrame, options: Table) -> list[LocalisedMessage]:
    """Return a note on companies that have failed or gone by what the file itself says: a PD says nothing of them."""
    gone = first_events(rows.filter(pl.col("rule").is_null()), options.statuses)[0].sort("company_id")
    if gone.is_empty():
        return []
    text = (
        "companies that have failed or gone by the file itself, with a PD of the time of their accounts: {n}, such as {example}"
    )
    return [LocalisedMessage(text, {"n": gone["company_id"].n_unique(), "example": gone["company_id"][0]})]


def _old_accounts(rows: pl.DataFrame, months: int) -> list[LocalisedMessage]:
    """Return a note on companies whose latest accounts are older than a run would score, beside those of others in the file."""
    last = rows.group_by("company_id").agg(pl.col("period_end").max()).drop_nulls().sort("period_end", "company_id")
    if last.is_empty():
        return []
    old = last.filter(pl.col("period_end") < pl.lit(last["period_end"][-1]).dt.offset_by(f"-{months}mo"))
    if old.is_empty():
        return []
    text = "companies whose latest accounts end more than {months} months before the newest in the file: {n}, such as {example}"
    example = f"{old['company_id'][0]}, {old['period_end'][0]}"
    return [LocalisedMessage(text, {"n": old.height, "months": months, "example": example})]


def _unknown_sectors(rows: pl.DataFrame, known: pl.DataFrame) -> list[str]:
    """Return the first few sectors of a file that no company of the panel has, where the panel has any."""
    panel = known["sector"].drop_nulls()
    if panel.is_empty() or "sector" not in rows.columns:
        return []
    given = rows["sector"].drop_nulls().unique().sort()
    return given.filter(~given.is_in(panel.unique().implode())).head(5).to_list()


def _names(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return company_id and name: of the file's latest version that has one, else of the panel; null where neither has one."""
    given = pl.col("name").drop_nulls().last() if "name" in rows.columns else pl.lit(None, pl.String)
    own = rows.sort("fiscal_year", "available_at", nulls_last=False).group_by("company_id").agg(given.alias("own"))
    return own.join(known.select("company_id", "name"), on="company_id", how="left").select(
        "company_id", name=pl.coalesce("own", "name")
    )


def score_rows(
    raw: pl.DataFrame,
    model: PdModel,
    known: pl.DataFrame,
    peers: pl.DataFrame,
    compared: PeerRanks,
    options: Score,
    name: str,
    progress: Callable[[float], None] = lambda share: None,
    *,
    currency: str | None = None,
    units: float | None = None,
) -> ScoredFile:
    """Score each company's latest statement among the rows, in its latest version, in whatever order the rows are.

    raw: from `quiebra.sources.table.read_statements`. known: the panel's companies, for sectors missing in the rows. peers: the
    feature table to rank among. compared: the companies that reasons compare with. progress: receives the share done. currency:
    of the panel; units: ingest.table.units. name: of the file, in messages. PanelError if no row can be used.
    """
    numbered = [column for column in ("row",) if column in raw.columns]
    schema = statement_schema(OWN_FEATURES)
    statements = conform_to_schema(raw, schema).with_columns(
        raw[column] for column in (*ATTACHED_COLUMNS, *numbered, "rule") if column in raw.columns
    )
    ratios = is_ratio_table(statements, OWN_FEATURES)
    own = statements["currency"].drop_nulls().value_counts().sort("count", "currency")["currency"]
    kept, aside = split_quarantine(statements, pl.DataFrame(schema=EVENT_SCHEMA), own[-1] if len(own) else None, ratios=ratios)
    counts = aside["rule"].value_counts().sort("rule").iter_rows()
    left_out = [
        LocalisedMessage("{n} row left out: {rule}", {"n": n, "rule": RULE_MEANINGS[rule]}, "{n} rows left out: {rule}")
        for rule, n in counts
    ]
    if kept.is_empty():
        doubtful = unit_doubts(statements, units)
        raise PanelError("{name}: no row can be scored. {list}", name=name, list=[*left_out, *doubtful])
    usable, blanked = blank_negatives(kept.sort(VERSION_KEYS))
    warnings = [
        LocalisedMessage(
            "{n} negative value of {item} taken as missing",
            {"n": n, "item": LocalisedMessage(ITEM_LABELS[item])},
            "{n} negative values of {item} taken as missing",
        )
        for item, n in blanked.items()
    ]
    warnings += file_doubts(statements, usable, peers, dt.date.fromisoformat(model.card["as_of"]), currency, units)
    warnings += version_doubts(kept, aside)
    versions = usable.unique("company_id", keep="last", maintain_order=True).select(*VERSION_KEYS, "period_end", *numbered)
    latest = usable.select(*schema).join(versions.select(VERSION_KEYS), on=VERSION_KEYS, how="semi", maintain_order="left")
    features = feature_table(usable.select(*schema), _with_sectors(usable, known), peers, versions.select(VERSION_KEYS))
    progress(0.2)
    blind = int((model.blind_share(features) > BLIND_SHARE).sum())
    if blind:
        warnings.append(
            LocalisedMessage(
                "companies that lack over {share} % of what the model learnt from: {n} of {all} (changes need the years before; "
                "market ratios the market value); do not trust their PDs",
                {"n": blind, "all": features.height, "share": round(100 * BLIND_SHARE)},
            )
        )
    table = _table(model, features, compared, latest, options, progress)
    return ScoredFile(table, left_out, warnings, aside.select(*numbered, "rule"), versions)


def _table(
    model: PdModel,
    features: pl.DataFrame,
    compared: PeerRanks,
    latest: pl.DataFrame,
    options: Score,
    progress: Callable[[float], None],
) -> pl.DataFrame:
    """Return the scores with the reasons in words, riskiest first. latest: the statements behind the features."""
    pieces = []
    for start in range(0, features.height, COMPANIES_PER_BATCH):
        part = features.slice(start, COMPANIES_PER_BATCH)
        words = reasons_in_words(reasons(model, part, options.reasons, compared, latest))
        pieces.append(score_statements(model, part, options).join(words, on="company_id", how="left"))
        progress(0.2 + 0.8 * min(1.0, (start + COMPANIES_PER_BATCH) / features.height))
    altman = [column for score in ALTMAN_SCORES for column in (score, f"{score}_zone")]
    pds = ["pd_12m", "pd_12m_low", "pd_12m_high", *PD_COLUMNS[1:]]
    columns = ["company_id", "fiscal_year", *pds, "rating", "watch", "scorer", *altman, *REASON_COLUMNS]
    table = pl.concat(pieces).select(columns)
    numbers = pl.selectors.float().round(6)
    return table.sort("pd_12m", "company_id", descending=[True, False]).with_columns(numbers)


def file_doubts(
    statements: pl.DataFrame,
    usable: pl.DataFrame,
    peers: pl.DataFrame,
    as_of: dt.date,
    currency: str | None,
    units: float | None,
) -> list[LocalisedMessage]:
    """Return doubts about a file of statements as a whole: its unit, currency, items and dates.

    statements: all rows; usable: those kept. as_of: of the run that made the model.
    """
    said = known_company_doubts(usable, peers, units) if units is not None else []
    said = said or unit_doubts(statements, units)
    own = usable["currency"][0]
    if currency is not None and own != currency:
        values = {"own": own, "currency": currency}
        said.append(
            LocalisedMessage("amounts are in {own}, and the model learnt from amounts in {currency}: sizes are not alike", values)
        )
    return [*said, *item_doubts(usable, {}), *company_doubts(usable), *period_doubts(usable), *date_doubts(usable, as_of)]


def _with_sectors(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return each company's sector: from its latest statement that has one, else from the panel."""
    given = rows.group_by("company_id", maintain_order=True).agg(pl.col("sector").drop_nulls().last())
    both = given.join(known.select("company_id", panel_sector="sector"), on="company_id", how="left")
    return both.select("company_id", sector=pl.coalesce("sector", "panel_sector"))
