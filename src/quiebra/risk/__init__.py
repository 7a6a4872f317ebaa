"""From PDs to decisions: grades, migration, scenarios, shocks, portfolio losses and finished runs."""

from quiebra.risk.finished_run import FinishedRun, read_run_record, write_run
from quiebra.risk.portfolio import (
    first_sentences,
    pds_by_group,
    pds_by_year,
    reasons_in_words,
    scores_in_force,
    top_movers,
    watch_list,
)
from quiebra.risk.rating import grade_of_pd, is_on_watch, migration, yearly_migration
from quiebra.risk.scoring import add_grades, current_statements, of_sources, refuse_no_company, score_statements

__all__ = [
    "FinishedRun",
    "add_grades",
    "current_statements",
    "first_sentences",
    "grade_of_pd",
    "is_on_watch",
    "migration",
    "of_sources",
    "pds_by_group",
    "pds_by_year",
    "read_run_record",
    "reasons_in_words",
    "refuse_no_company",
    "score_statements",
    "scores_in_force",
    "top_movers",
    "watch_list",
    "write_run",
    "yearly_migration",
]
