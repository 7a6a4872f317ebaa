"""Formats of known exports of statements: what ``ingest.table.preset`` stands for.

Made from the programs' documentation and from exports as they are described there, not from the programs themselves.
"""

from __future__ import annotations

from typing import Any

COMPUSTAT_DELETIONS = {
    **dict.fromkeys(("01", "1", "04", "4", "06", "6"), "merger"),
    **dict.fromkeys(("02", "2"), "bankruptcy"),
    **dict.fromkeys(("03", "3"), "liquidation"),
    **dict.fromkeys(("05", "5", "07", "7", "08", "8", "09", "9", "10"), "other"),
}
"""Codes of the column ``dlrsn``: why a company left the database."""
PRESETS: dict[str, dict[str, Any]] = {
    "sabi": {"layout": "wide", "units": 0.001, "currency": "EUR", "filing_lag_days": 210},
    "orbis": {"layout": "wide", "units": 0.001, "filing_lag_days": 180},
    "compustat": {"units": 1.0, "currency": "USD", "filing_lag_days": 90, "statuses": COMPUSTAT_DELETIONS},
    "pgc": {"layout": "lines", "units": 0.000001, "currency": "EUR", "filing_lag_days": 210, "negative_expenses": True},
    "kaggle_american": {"units": 1.0, "currency": "USD", "filing_lag_days": 120},
}
"""Preset → options of `quiebra.params.Table`. Accounts are filed in Spain within seven months of the year's end."""
FALLBACKS: dict[str, Any] = {
    "layout": "long",
    "negative_expenses": False,
    "statuses": {},
    "units": 1.0,
    "currency": "USD",
    "filing_lag_days": 120,
}
"""Options where neither params nor the preset give one."""


def with_preset(section: dict[str, Any]) -> dict[str, Any]:
    """Return a section ``ingest.table`` with the options that it leaves empty taken from its preset, else from `FALLBACKS`."""
    preset = section.get("preset")
    chosen = {**FALLBACKS, **(PRESETS.get(preset, {}) if isinstance(preset, str) else {})}
    filled = {**section, **{name: value for name, value in chosen.items() if section.get(name) in (None, {})}}
    given = section.get("statuses")
    return {**filled, "statuses": {**chosen["statuses"], **given}} if isinstance(given, dict) else filled
