"""Banners for pages, mails and answers whose model is not the champion or failed a gate, or whose companies are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quiebra.errors import LocalisedMessage

NO_CHAMPION = "NO CHAMPION"
GATE_FAILED = "GATE FAILED"
PAST_DATE = "PAST DATE"
EXPERIMENT = "EXPERIMENT"
SIMULATED = "SIMULATED"


def run_banners(charge: Mapping[str, Any]) -> list[tuple[str, LocalisedMessage]]:
    """Return heading and sentence of each warning about the model behind the figures, and about companies that are simulated.

    charge: standing and failed, from `quiebra.registry.champion.ScoringModel.as_record` or a run's record, which has simulated
    and data too; an old record without them gives none.
    """
    found = []
    if charge.get("standing") == "experiment":
        text = "These figures come from a model that is not in charge. Nothing of this run was published."
        found.append((EXPERIMENT, LocalisedMessage(text)))
    elif charge.get("standing") == "none":
        text = "No model has been put in charge: these figures come from the one that was trained last."
        found.append((NO_CHAMPION, LocalisedMessage(text)))
    elif charge.get("standing") == "past":
        text = "The model in charge was made after this date: these figures come from a model that was trained for it."
        found.append((PAST_DATE, LocalisedMessage(text)))
    if failed := charge.get("failed"):
        text = "The model behind these figures is not to be relied on: it failed {tests}."
        found.append((GATE_FAILED, LocalisedMessage(text, {"tests": [LocalisedMessage(test) for test in failed]})))
    if charge.get("simulated"):
        text = "These companies do not exist."
        if "+" in charge["data"]["source"]:
            text = "The model has learnt from simulated companies too: its PDs say nothing of real ones."
        found.append((SIMULATED, LocalisedMessage(text)))
    return found
