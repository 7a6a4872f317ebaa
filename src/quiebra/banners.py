"""What every page, mail and answer must carry where its model is not in charge, or failed a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quiebra.errors import Said

NO_CHAMPION = "NO CHAMPION"
GATE_FAILED = "GATE FAILED"
PAST_DATE = "PAST DATE"
EXPERIMENT = "EXPERIMENT"


def banners(charge: Mapping[str, Any]) -> list[tuple[str, Said]]:
    """Return a heading and a sentence for each thing that a reader must know of the model behind the figures; mostly none.

    charge: standing and failed, as `InCharge` and a run's record hold them; a record from before there was a choice says nothing.
    """
    found = []
    if charge.get("standing") == "experiment":
        text = "These figures come from a model that is not in charge. Nothing of this run was published."
        found.append((EXPERIMENT, Said(text)))
    elif charge.get("standing") == "none":
        text = "No model has been put in charge: these figures come from the one that was trained last."
        found.append((NO_CHAMPION, Said(text)))
    elif charge.get("standing") == "past":
        text = "The model in charge was made after this date: these figures come from a model that was trained for it."
        found.append((PAST_DATE, Said(text)))
    if failed := charge.get("failed"):
        text = "The model behind these figures is not to be relied on: it failed {tests}."
        found.append((GATE_FAILED, Said(text, {"tests": [Said(test) for test in failed]})))
    return found
