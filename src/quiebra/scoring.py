"""Scoring a person's file of statements with the trained model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quiebra.canonical import EVENTS, STATEMENTS, conform
from quiebra.errors import PanelError, Said
from quiebra.features import Standing, feature_table
from quiebra.features.altman import SCORES
from quiebra.files import read_table
from quiebra.items import ITEMS
from quiebra.models import PdModel, reasons
from quiebra.models.term import COLUMNS
from quiebra.panel import read_panel_table
from quiebra.panel.quarantine import RULES, blank_negatives, quarantine
from quiebra.params import Score, load
from quiebra.risk import current_statements, reasons_in_words, score_statements
from quiebra.risk.subject import BLIND
from quiebra.sources.table import statements_from
from quiebra.workspace import Workspace

IN_WORDS = ["reason_codes", "reasons", "reasons_es", "strengths", "strengths_es", "gaps", "gaps_es"]
LABELS = {item.name: item.label for item in ITEMS}
PIECE = 5000
"""Companies scored at a time, so that progress can be told."""


@dataclass(frozen=True)
class Scored:
    """table: one row a company, riskiest first. left_out: how many rows could not be used, and why; aside: those (row, rule).
    warnings: what else a reader should know."""

    table: pl.DataFrame
    left_out: list[Said]
    warnings: list[Said]
    aside: pl.DataFrame


def score_file(workspace: Workspace, path: Path) -> Scored:
    """Score each company's latest statement in the file; columns, units and currency as ``ingest.table`` says.

    Rows that break a quality rule are left out with a warning. Raises SourceError (the file), PanelError (no row can be used)
    and WorkspaceError (no trained model yet).
    """
    params = load(workspace)
    model = PdModel.load(workspace.models)
    companies = read_panel_table(workspace.panel, "companies")
    peers = read_table(workspace.features / "features.parquet")
    events, as_of = read_panel_table(workspace.panel, "events"), dt.date.fromisoformat(model.card["as_of"])
    compared = Standing(current_statements(peers, events, as_of, params.score.max_age_months))
    raw = statements_from(path, params.ingest.table)
    return score_rows(raw, model, companies, peers, compared, params.score, path.name)


def score_rows(
    raw: pl.DataFrame, model: PdModel, known: pl.DataFrame, peers: pl.DataFrame, compared: Standing, options: Score,
    name: str,
    progress: Callable[[float], None] = lambda share: None,
) -> Scored:  # fmt: skip
    """Score each company's latest statement among the rows; see `quiebra.sources.table.statements_from`.

    known: the panel's companies, for sectors that the rows lack. peers: the feature table to rank among. compared: the companies
    that reasons compare with. ``progress`` is told the share done. PanelError where no row can be used; ``name`` is what
    its message calls the file.
    """
    extra = [column for column in ("row",) if column in raw.columns]
    statements = conform(raw, STATEMENTS).with_columns(raw[column] for column in extra)
    companies = _with_sectors(raw, known)
    kept, aside = quarantine(statements, pl.DataFrame(schema=EVENTS))
    aside = aside.select(*extra, "rule")
    meanings = {rule.name: Said(rule.meaning) for rule in RULES}
    counts = aside["rule"].value_counts().sort("rule").iter_rows()
    left_out = [
        Said("{n} row left out: {rule}", {"n": n, "rule": meanings[rule]}, "{n} rows left out: {rule}") for rule, n in counts
    ]
    if kept.is_empty():
        raise PanelError("{name}: no row can be scored. {list}", name=name, list=left_out)
    usable, blanked = blank_negatives(kept)
    warnings = [
        Said(
            "{n} negative value of {item} taken as missing", {"n": n, "item": Said(LABELS[item])},
            "{n} negative values of {item} taken as missing",
        )
        for item, n in blanked.items()
    ]  # fmt: skip
    latest = usable.sort("company_id", "fiscal_year", "available_at").unique("company_id", keep="last", maintain_order=True)
    features = feature_table(usable, companies, peers, latest.select("company_id", "fiscal_year", "available_at"))
    progress(0.2)
    blind = int((model.blind_share(features) > BLIND).sum())
    if blind:
        warnings.append(
            Said(
                "{n} of {all} companies lacks over {share} % of what the model learnt from (changes need the years before; "
                "market ratios the market value): do not trust its PD",
                {"n": blind, "all": features.height, "share": round(100 * BLIND)},
                "{n} of {all} companies lack over {share} % of what the model learnt from (changes need the years before; "
                "market ratios the market value): do not trust their PD",
            )
        )
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
    return Scored(table.sort("pd_12m", "company_id", descending=[True, False]).with_columns(numbers), left_out, warnings, aside)


def _with_sectors(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return each company's sector: as the file says, or else as the panel knows it."""
    given = rows.select("company_id", "sector").unique("company_id", keep="last", maintain_order=True)
    both = given.join(known.select("company_id", panel_sector="sector"), on="company_id", how="left")
    return both.select("company_id", sector=pl.coalesce("sector", "panel_sector"))
