"""Scoring a person's file of statements with the model that is in charge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from quiebra.banners import banners
from quiebra.canonical import EVENTS, STATEMENTS, conform
from quiebra.errors import PanelError, Said
from quiebra.features import feature_table
from quiebra.features.altman import SCORES
from quiebra.files import read_table
from quiebra.models import PdModel, reasons
from quiebra.models.term import COLUMNS
from quiebra.panel import read_panel_table
from quiebra.panel.quarantine import RULES, blank_negatives, quarantine
from quiebra.params import Score, load
from quiebra.registry import in_charge, kept
from quiebra.risk import reasons_in_words, score_statements
from quiebra.risk.subject import BLIND
from quiebra.sources.table import statements_from
from quiebra.workspace import Workspace

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
    """Score each company's latest statement in the file with the model in charge; columns, units and currency as
    ``ingest.table`` says.

    Rows that break a quality rule are left out with a warning. Raises SourceError (the file), PanelError (no row can be used)
    and WorkspaceError (no model in charge yet).
    """
    params = load(workspace)
    charge = in_charge(workspace)
    model = kept(workspace, charge.model_id).load()
    companies = read_panel_table(workspace.panel, "companies")
    peers = read_table(workspace.features / "features.parquet")
    rows, notes = statements_from(path, params.ingest.table)
    scored = score_rows(rows, model, companies, peers, params.score, path.name)
    marks = [Said("{heading}: {text}", {"heading": heading, "text": said}) for heading, said in banners(charge.as_record())]
    return replace(scored, warnings=[*marks, *notes, *scored.warnings])


def score_rows(
    raw: pl.DataFrame, model: PdModel, known: pl.DataFrame, peers: pl.DataFrame, options: Score, name: str,
    progress: Callable[[float], None] = lambda share: None,
) -> Scored:  # fmt: skip
    """Score each company's latest statement among the rows; see `quiebra.sources.table.statements_from`.

    known: the panel's companies, for sectors that the rows lack. peers: the feature table to rank among. ``progress`` is told the
    share done. PanelError where no row can be used; ``name`` is what its message calls the file.
    """
    extra = [column for column in ("row",) if column in raw.columns]
    statements = conform(raw, STATEMENTS).with_columns(raw[column] for column in extra)
    companies = _with_sectors(raw, known)
    kept, aside = quarantine(statements, pl.DataFrame(schema=EVENTS))
    aside = aside.select(*extra, "rule")
    meanings = {rule.name: Said(rule.meaning) for rule in RULES}
    counts = aside["rule"].value_counts().sort("rule").iter_rows()
    left_out = [Said("{n} row(s) left out: {rule}", {"n": n, "rule": meanings[rule]}) for rule, n in counts]
    if kept.is_empty():
        raise PanelError("{name}: no row can be scored. {list}", name=name, list=left_out)
    usable, blanked = blank_negatives(kept)
    warnings = [Said("{n} negative value(s) of {item} taken as missing", {"n": n, "item": item}) for item, n in blanked.items()]
    latest = usable.sort("company_id", "fiscal_year", "available_at").unique("company_id", keep="last", maintain_order=True)
    features = feature_table(usable, companies, peers, latest.select("company_id", "fiscal_year", "available_at"))
    progress(0.2)
    blind = int((model.blind_share(features) > BLIND).sum())
    if blind:
        warnings.append(
            Said(
                "{n} of {all} companies lack over {share} % of what the model learnt from (changes need the years before; "
                "market ratios the market value): do not trust their PD",
                {"n": blind, "all": features.height, "share": round(100 * BLIND)},
            )
        )
    pieces = []
    for start in range(0, features.height, PIECE):
        part = features.slice(start, PIECE)
        words = reasons_in_words(reasons(model, part, options.reasons))
        pieces.append(score_statements(model, part, options).join(words, on="company_id", how="left"))
        progress(0.2 + 0.8 * min(1.0, (start + PIECE) / features.height))
    altman = [column for score in SCORES for column in (score, f"{score}_zone")]
    pds = ["pd_12m", "pd_12m_low", "pd_12m_high", *COLUMNS[1:]]
    columns = ["company_id", "fiscal_year", *pds, "rating", "watch", "scorer", *altman, "reason_codes", "reasons", "reasons_es"]
    table = pl.concat(pieces).select(columns)
    numbers = pl.selectors.float().round(6)
    return Scored(table.sort("pd_12m", "company_id", descending=[True, False]).with_columns(numbers), left_out, warnings, aside)


def _with_sectors(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return each company's sector: as the file says, or else as the panel knows it."""
    given = rows.select("company_id", "sector").unique("company_id", keep="last", maintain_order=True)
    both = given.join(known.select("company_id", panel_sector="sector"), on="company_id", how="left")
    return both.select("company_id", sector=pl.coalesce("sector", "panel_sector"))
