"""Charts of given figures; none of them computes results."""

from quiebra.plots.company import effect_bars, pd_ahead_and_behind
from quiebra.plots.comparison import compared_scores
from quiebra.plots.data import missing_by_year, rows_by_year
from quiebra.plots.explanation import beeswarm, dependence, waterfall
from quiebra.plots.model import auc_by_year, expected_and_observed, importance, observed_against_predicted
from quiebra.plots.portfolio import migration_map, pd_over_time, rating_distribution, sector_bars
from quiebra.plots.search import parallel_coordinates, search_history, search_importance
from quiebra.plots.stress import loss_quantiles, scenario_terms, tornado_bars
from quiebra.plots.theme import SvgPicture, to_svg
from quiebra.plots.validation import alert_trade_off, auc_by_group, cap_curves, concepts_by_year, drift_bars, grade_calibration

__all__ = [
    "SvgPicture",
    "alert_trade_off",
    "auc_by_group",
    "auc_by_year",
    "beeswarm",
    "cap_curves",
    "compared_scores",
    "concepts_by_year",
    "dependence",
    "drift_bars",
    "effect_bars",
    "expected_and_observed",
    "grade_calibration",
    "importance",
    "loss_quantiles",
    "migration_map",
    "missing_by_year",
    "observed_against_predicted",
    "parallel_coordinates",
    "pd_ahead_and_behind",
    "pd_over_time",
    "rating_distribution",
    "rows_by_year",
    "scenario_terms",
    "search_history",
    "search_importance",
    "sector_bars",
    "to_svg",
    "tornado_bars",
    "waterfall",
]
