"""Pictures: each function takes figures and gives a chart; none of them computes a number."""

from quiebra.plots.data import missing_by_year, rows_by_year
from quiebra.plots.model import auc_by_year, importance, observed_against_predicted
from quiebra.plots.portfolio import migration_map, pd_over_time, rating_distribution, sector_bars
from quiebra.plots.search import parallel_coordinates, search_history, search_importance
from quiebra.plots.theme import show

__all__ = [
    "auc_by_year",
    "importance",
    "migration_map",
    "missing_by_year",
    "observed_against_predicted",
    "parallel_coordinates",
    "pd_over_time",
    "rating_distribution",
    "rows_by_year",
    "search_history",
    "search_importance",
    "sector_bars",
    "show",
]
