"""Data contract of the panel: schema checks, quarantine, quality report, labels and horizons."""

from quiebra.panels.contract import Panel, build_panel
from quiebra.panels.data_sets import are_other_companies
from quiebra.panels.files import read_panel_table, read_source, write_panel
from quiebra.panels.horizons import known_outcomes, outcome_horizons
from quiebra.panels.labels import label_outcomes
from quiebra.panels.schemas import validate_panel

__all__ = [
    "Panel",
    "are_other_companies",
    "build_panel",
    "known_outcomes",
    "label_outcomes",
    "outcome_horizons",
    "read_panel_table",
    "read_source",
    "validate_panel",
    "write_panel",
]
