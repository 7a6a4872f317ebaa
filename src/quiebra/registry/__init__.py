"""The register of models: every one is kept by its content, one is in charge, and any other can take over."""

from quiebra.registry.charge import InCharge, in_charge, promote, roll_back
from quiebra.registry.comparison import against, waiting
from quiebra.registry.kept import Kept, kept
from quiebra.registry.state import CHALLENGER, CHAMPION, RETIRED, challenger, entries, previous

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RETIRED",
    "InCharge",
    "Kept",
    "against",
    "challenger",
    "entries",
    "in_charge",
    "kept",
    "previous",
    "promote",
    "roll_back",
    "waiting",
]
