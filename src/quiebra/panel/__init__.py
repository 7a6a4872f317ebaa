"""The data contract: canonical tables, schemas at the borders, quarantine, data quality, labels and their clocks."""

from quiebra.panel.contract import Panel, build
from quiebra.panel.files import read_panel_table, read_source, write_panel
from quiebra.panel.horizons import known_outcomes, outlook
from quiebra.panel.labels import label
from quiebra.panel.schemas import validate_panel

__all__ = [
    "Panel",
    "build",
    "known_outcomes",
    "label",
    "outlook",
    "read_panel_table",
    "read_source",
    "validate_panel",
    "write_panel",
]
