"""Read the stages' output files for publication."""

from __future__ import annotations

import polars as pl

from quiebra.errors import WorkspaceError
from quiebra.io.files import read_table
from quiebra.models.term import PD_COLUMNS
from quiebra.panels import read_panel_table, read_source
from quiebra.provenance import git_revision
from quiebra.registry import read_scoring_model
from quiebra.risk import read_run_record, reasons_in_words
from quiebra.store.publish import Publication
from quiebra.store.register import register_rows
from quiebra.workspace import Workspace

SHARED_SCORE_COLUMNS = [
    "company_id",
    "fiscal_year",
    *PD_COLUMNS,
    "pd_12m_low",
    "pd_12m_high",
    "scorer",
    "rating",
    "watch",
    "altman_z",
    "altman_z1983",
    "altman_z1995",
]


def read_publication(workspace: Workspace) -> Publication:
    """Return a finished run for publication: panel, scores with reasons, and model register. WorkspaceError if a file is missing,
    or if the champion changed after scoring."""
    run = read_run_record(workspace)
    if read_scoring_model(workspace).model_sha256 != run["model_sha256"]:
        raise WorkspaceError("another model was put in charge after the scores were made: run `quiebra run` to score again")
    return Publication(
        info=read_source(workspace.panel),
        companies=read_panel_table(workspace.panel, "companies"),
        statements=read_panel_table(workspace.panel, "statements"),
        macro=read_panel_table(workspace.panel, "macro"),
        scores=_scores(workspace, run["as_of"]),
        monitoring=read_table(workspace.monitoring / "findings.parquet"),
        models=register_rows(workspace, run["model_sha256"]),
        run=run,
        code_revision=git_revision(workspace.root),
    )


def _scores(workspace: Workspace, as_of: str) -> pl.DataFrame:
    """Return current scores, dated at the run's as-of date, and out-of-time scores, dated at the statements' publication."""
    words = reasons_in_words(read_table(workspace.scores / "reasons.parquet"))
    today = read_table(workspace.scores / "scores.parquet").join(words, on="company_id", how="left", maintain_order="left")
    past = read_table(workspace.scores / "history.parquet")
    chances = {f"pd_{name}": 1 / (1 + (-pl.col(f"log_odds_{name}")).exp()) for name in ("model", "altman")}
    return pl.concat(
        [
            today.select(
                *SHARED_SCORE_COLUMNS, "reasons", kind=pl.lit("current"), score_date=pl.lit(as_of).str.to_date(), **chances
            ),
            past.select(
                *SHARED_SCORE_COLUMNS,
                pl.lit(None, pl.String).alias("reasons"),
                kind=pl.lit("history"),
                score_date=pl.col("available_at"),
                **chances,
            ),
        ]
    )
