"""Scoring a person's file of statements with the trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quiebra.canonical import EVENTS, STATEMENTS, conform
from quiebra.errors import PanelError
from quiebra.features import feature_table
from quiebra.features.altman import SCORES
from quiebra.files import read_table
from quiebra.models import PdModel, reasons
from quiebra.models.term import COLUMNS
from quiebra.panel import read_panel_table
from quiebra.panel.quarantine import RULES, blank_negatives, quarantine
from quiebra.params import load
from quiebra.risk import reasons_in_words, score_statements
from quiebra.sources.table import statements_from
from quiebra.workspace import Workspace

BLIND = 0.4
"""Above this share missing of what the model relies on, a score comes with a warning."""


@dataclass(frozen=True)
class Scored:
    """table: one row a company, riskiest first. warnings: rows that could not be used, and why."""

    table: pl.DataFrame
    warnings: list[str]


def score_file(workspace: Workspace, path: Path) -> Scored:
    """Score each company's latest statement in the file; columns, units and currency as ``ingest.table`` says.

    Rows that break a quality rule are left out with a warning. Raises SourceError (the file), PanelError (no row can be used)
    and WorkspaceError (no trained model yet).
    """
    params = load(workspace)
    model = PdModel.load(workspace.models)
    raw = statements_from(path, params.ingest.table)
    statements = conform(raw, STATEMENTS)
    companies = _with_sectors(raw, read_panel_table(workspace.panel, "companies"))
    kept, aside = quarantine(statements, pl.DataFrame(schema=EVENTS))
    meanings = {rule.name: rule.meaning for rule in RULES}
    warnings = [f"{n} row(s) left out: {meanings[rule]}" for rule, n in aside["rule"].value_counts().sort("rule").iter_rows()]
    if kept.is_empty():
        raise PanelError(f"{path}: no row can be scored. " + "; ".join(warnings))
    usable, blanked = blank_negatives(kept)
    warnings += [f"{n} negative value(s) of {item} taken as missing" for item, n in blanked.items()]
    peers = read_table(workspace.features / "features.parquet")
    features = feature_table(usable, companies, peers).unique("company_id", keep="last", maintain_order=True)
    blind = int((model.blind_share(features) > BLIND).sum())
    if blind:
        warnings.append(
            f"{blind} of {features.height} companies lack over {BLIND:.0%} of what the model learnt from (changes need the years "
            "before; market ratios the market value): do not trust their PD"
        )
    scores = score_statements(model, features, params.score)
    words = reasons_in_words(reasons(model, features, params.score.reasons))
    altman = [column for score in SCORES for column in (score, f"{score}_zone")]
    pds = ["pd_12m", "pd_12m_low", "pd_12m_high", *COLUMNS[1:]]
    columns = ["company_id", "fiscal_year", *pds, "rating", "watch", "scorer", *altman, "reason_codes", "reasons", "reasons_es"]
    table = scores.join(words, on="company_id", how="left").select(columns)
    numbers = pl.selectors.float().round(6)
    return Scored(table.sort("pd_12m", "company_id", descending=[True, False]).with_columns(numbers), warnings)


def _with_sectors(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return each company's sector: as the file says, or else as the panel knows it."""
    given = rows.select("company_id", "sector").unique("company_id", keep="last", maintain_order=True)
    both = given.join(known.select("company_id", panel_sector="sector"), on="company_id", how="left")
    return both.select("company_id", sector=pl.coalesce("sector", "panel_sector"))
