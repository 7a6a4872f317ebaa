"""From a PD to a decision: rating grades, migration between them, and the scored portfolio."""

from quiebra.risk.portfolio import by_group, by_year, first_sentences, movers, reasons_in_words, standing_at, watch_list
from quiebra.risk.rating import grade, migration, on_watch, yearly_migration
from quiebra.risk.runs import FinishedRun, read_run, write_run
from quiebra.risk.scoring import current_statements, score_statements, with_grades

__all__ = [
    "FinishedRun",
    "by_group",
    "by_year",
    "current_statements",
    "first_sentences",
    "grade",
    "migration",
    "movers",
    "on_watch",
    "read_run",
    "reasons_in_words",
    "score_statements",
    "standing_at",
    "watch_list",
    "with_grades",
    "write_run",
    "yearly_migration",
]
