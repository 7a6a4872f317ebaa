"""From the files that the stages wrote to what is published."""

from __future__ import annotations

import polars as pl

from quiebra.errors import WorkspaceError
from quiebra.files import read_table
from quiebra.models.term import COLUMNS
from quiebra.panel import read_panel_table, read_source
from quiebra.provenance import git_revision
from quiebra.registry import in_charge
from quiebra.risk import read_run, reasons_in_words
from quiebra.store.publish import Publication
from quiebra.store.register import register_rows
from quiebra.workspace import Workspace

SHARED = [
    "company_id",
    "fiscal_year",
    *COLUMNS,
    "pd_12m_low",
    "pd_12m_high",
    "scorer",
    "rating",
    "watch",
    "altman_z",
    "altman_z1983",
    "altman_z1995",
]


def publication(workspace: Workspace) -> Publication:
    """Read a finished run: panel, scores with reasons, the register of models. WorkspaceError where a file is missing, or where
    another model was put in charge after the scores were made."""
    run = read_run(workspace)
    if in_charge(workspace).model_sha256 != run["model_sha256"]:
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
    """Today's scores, dated at the run's as-of date, and the out-of-time scores, dated when their statements came out."""
    words = reasons_in_words(read_table(workspace.scores / "reasons.parquet"))
    today = read_table(workspace.scores / "scores.parquet").join(words, on="company_id", how="left", maintain_order="left")
    past = read_table(workspace.scores / "history.parquet")
    chances = {f"pd_{name}": 1 / (1 + (-pl.col(f"log_odds_{name}")).exp()) for name in ("model", "altman")}
    return pl.concat([
        today.select(*SHARED, "reasons", kind=pl.lit("current"), score_date=pl.lit(as_of).str.to_date(), **chances),
        past.select(*SHARED, pl.lit(None, pl.String).alias("reasons"), kind=pl.lit("history"), score_date=pl.col("available_at"),
                    **chances),
    ])  # fmt: skip
