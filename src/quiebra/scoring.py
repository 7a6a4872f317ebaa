"""Scoring a person's file of statements with the model that is in charge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from quiebra.banners import banners
from quiebra.canonical import EVENTS, STATEMENTS, conform
from quiebra.errors import PanelError, Said
from quiebra.features import Standing, feature_table
from quiebra.features.altman import SCORES
from quiebra.files import read_table
from quiebra.items import ITEMS
from quiebra.models import PdModel, reasons
from quiebra.models.term import COLUMNS
from quiebra.panel import read_panel_table, read_source
from quiebra.panel.quarantine import VERSION, blank_negatives, quarantine
from quiebra.panel.warnings import MEANINGS, about_companies, about_dates, about_items, about_periods, about_versions
from quiebra.params import Score, load
from quiebra.registry import in_charge, kept
from quiebra.risk import current_statements, reasons_in_words, score_statements
from quiebra.risk.subject import BLIND
from quiebra.sources.amounts import about_known, about_units
from quiebra.sources.table import statements_from
from quiebra.workspace import Workspace

IN_WORDS = ["reason_codes", "reasons", "reasons_es", "strengths", "strengths_es", "gaps", "gaps_es"]
LABELS = {item.name: item.label for item in ITEMS}
PIECE = 5000
"""Companies scored at a time, so that progress can be told."""
BESIDE = ("name", "sector", "exposure", "lgd")
"""What may stand beside a statement and belongs to its version."""


@dataclass(frozen=True)
class Scored:
    """table: one row a company, riskiest first. left_out: how many rows could not be used, and why; aside: those (row, rule).
    warnings: what else a reader should know. versions: the statement that each company is scored by (company_id, fiscal_year,
    available_at, period_end, and row where rows are numbered)."""

    table: pl.DataFrame
    left_out: list[Said]
    warnings: list[Said]
    aside: pl.DataFrame
    versions: pl.DataFrame


def score_file(workspace: Workspace, path: Path) -> Scored:
    """Score each company's latest statement in the file with the model in charge; columns, units and currency as
    ``ingest.table`` says.

    Rows that break a quality rule are left out with a warning. Raises SourceError (the file), PanelError (no row can be used)
    and WorkspaceError (no model in charge yet).
    """
    params = load(workspace)
    charge = in_charge(workspace)
    model = kept(workspace, charge.model_sha256).load()
    companies = read_panel_table(workspace.panel, "companies")
    peers = read_table(workspace.features / "features.parquet")
    options, learnt = params.ingest.table, read_source(workspace.panel).currency
    events, as_of = read_panel_table(workspace.panel, "events"), dt.date.fromisoformat(model.card["as_of"])
    compared = Standing(current_statements(peers, events, as_of, params.score.max_age_months))
    rows, notes = statements_from(path, options, learnt)
    scored = score_rows(rows, model, companies, peers, compared, params.score, path.name, currency=learnt, units=options.units)
    marks = [Said("{heading}: {text}", {"heading": heading, "text": said}) for heading, said in banners(charge.as_record())]
    return replace(scored, warnings=[*marks, *notes, *scored.warnings])


def score_rows(
    raw: pl.DataFrame, model: PdModel, known: pl.DataFrame, peers: pl.DataFrame, compared: Standing, options: Score, name: str,
    progress: Callable[[float], None] = lambda share: None, *, currency: str | None = None, units: float | None = None,
) -> Scored:  # fmt: skip
    """Score each company's latest statement among the rows, in its latest version, whatever the order of rows; see
    `quiebra.sources.table.statements_from`.

    known: the panel's companies, for sectors that the rows lack. peers: the feature table to rank among. compared: the companies
    that reasons compare with. ``progress`` is told the share done. currency: of the panel; units: ingest.table.units. PanelError
    where no row can be used; ``name`` is what its message calls the file.
    """
    numbered = [column for column in ("row",) if column in raw.columns]
    statements = conform(raw, STATEMENTS).with_columns(raw[column] for column in (*BESIDE, *numbered) if column in raw.columns)
    own = statements["currency"].drop_nulls().value_counts().sort("count", "currency")["currency"]
    kept, aside = quarantine(statements, pl.DataFrame(schema=EVENTS), own[-1] if len(own) else None)
    counts = aside["rule"].value_counts().sort("rule").iter_rows()
    left_out = [
        Said("{n} row left out: {rule}", {"n": n, "rule": MEANINGS[rule]}, "{n} rows left out: {rule}") for rule, n in counts
    ]
    if kept.is_empty():
        doubtful = about_units(statements, units)
        raise PanelError("{name}: no row can be scored. {list}", name=name, list=[*left_out, *doubtful])
    usable, blanked = blank_negatives(kept.sort(VERSION))
    warnings = [
        Said(
            "{n} negative value of {item} taken as missing", {"n": n, "item": Said(LABELS[item])},
            "{n} negative values of {item} taken as missing",
        )
        for item, n in blanked.items()
    ]  # fmt: skip
    warnings += doubts(statements, usable, peers, dt.date.fromisoformat(model.card["as_of"]), currency, units)
    warnings += about_versions(kept, aside)
    versions = usable.unique("company_id", keep="last", maintain_order=True).select(*VERSION, "period_end", *numbered)
    latest = usable.select(*STATEMENTS).join(versions.select(VERSION), on=VERSION, how="semi", maintain_order="left")
    features = feature_table(usable.select(*STATEMENTS), _with_sectors(usable, known), peers, versions.select(VERSION))
    progress(0.2)
    blind = int((model.blind_share(features) > BLIND).sum())
    if blind:
        warnings.append(
            Said(
                "companies that lack over {share} % of what the model learnt from: {n} of {all} (changes need the years before; "
                "market ratios the market value); do not trust their PDs",
                {"n": blind, "all": features.height, "share": round(100 * BLIND)},
            )
        )
    table = _table(model, features, compared, latest, options, progress)
    return Scored(table, left_out, warnings, aside.select(*numbered, "rule"), versions)


def _table(
    model: PdModel, features: pl.DataFrame, compared: Standing, latest: pl.DataFrame, options: Score,
    progress: Callable[[float], None],
) -> pl.DataFrame:  # fmt: skip
    """Return the scores with the reasons as words, riskiest first. latest: the statements behind the features."""
    pieces = []
    for start in range(0, features.height, PIECE):
        part = features.slice(start, PIECE)
        words = reasons_in_words(reasons(model, part, options.reasons, compared, latest))
        pieces.append(score_statements(model, part, options).join(words, on="company_id", how="left"))
        progress(0.2 + 0.8 * min(1.0, (start + PIECE) / features.height))
    altman = [column for score in SCORES for column in (score, f"{score}_zone")]
    pds = ["pd_12m", "pd_12m_low", "pd_12m_high", *COLUMNS[1:]]
    columns = ["company_id", "fiscal_year", *pds, "rating", "watch", "scorer", *altman, *IN_WORDS]
    table = pl.concat(pieces).select(columns)
    numbers = pl.selectors.float().round(6)
    return table.sort("pd_12m", "company_id", descending=[True, False]).with_columns(numbers)


def doubts(
    statements: pl.DataFrame, usable: pl.DataFrame, peers: pl.DataFrame, as_of: dt.date, currency: str | None,
    units: float | None,
) -> list[Said]:  # fmt: skip
    """Return what is doubtful about a file of statements as a whole: its unit, currency, items and dates.

    statements: all rows; usable: those kept. as_of: of the run that made the model.
    """
    said = about_known(usable, peers, units) if units is not None else []
    said = said or about_units(statements, units)
    own = usable["currency"][0]
    if currency is not None and own != currency:
        values = {"own": own, "currency": currency}
        said.append(Said("amounts are in {own}, and the model learnt from amounts in {currency}: sizes are not alike", values))
    return [*said, *about_items(usable, {}), *about_companies(usable), *about_periods(usable), *about_dates(usable, as_of)]


def _with_sectors(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return each company's sector: as its latest statement that has one says, or else as the panel knows it."""
    given = rows.group_by("company_id", maintain_order=True).agg(pl.col("sector").drop_nulls().last())
    both = given.join(known.select("company_id", panel_sector="sector"), on="company_id", how="left")
    return both.select("company_id", sector=pl.coalesce("sector", "panel_sector"))
