"""Write the data dictionary from the code, so that both always agree."""

from __future__ import annotations

from quiebra.feature_engineering.altman import ALTMAN_ZONES
from quiebra.feature_engineering.build import FEATURES
from quiebra.feature_engineering.own import OWN_FEATURES
from quiebra.items import ITEMS

ALTMAN_ROWS = {
    "altman_z": ("1.2 X1 + 1.4 X2 + 3.3 X3 + 0.6 X4 + 0.999 X5, X4 = market value / liabilities", "Altman (1968)"),
    "altman_z1983": ("0.717 X1 + 0.847 X2 + 3.107 X3 + 0.420 X4 + 0.998 X5, X4 = book equity / liabilities", "Altman (1983)"),
    "altman_z1995": ("6.56 X1 + 3.26 X2 + 6.72 X3 + 1.05 X4, X4 = book equity / liabilities", "Altman, Hartzell and Peck (1995)"),
}


def _escaped(formula: str) -> str:
    return formula.replace("|", "\\|")


SIGN_TEXTS = {1: "+", -1: "−", 0: ""}


def data_dictionary() -> str:
    """Return the dictionary of items, features and Altman scores as a Markdown page."""
    items = [f"| `{i.name}` | {i.label} | million | {'yes' if i.signed else 'no'} |" for i in ITEMS]
    features = [
        f"| `{f.name}` | {f.label} | {f.concept} | {f.unit} | {_escaped(f.formula)} | {f.why} | {SIGN_TEXTS[f.sign]} "
        f"| {f.source} |"
        for f in (*FEATURES, *OWN_FEATURES.values())
    ]
    scores = [
        f"| `{name}` | {formula} | below {ALTMAN_ZONES[name][0]:g} | above {ALTMAN_ZONES[name][1]:g} | {source} |"
        for name, (formula, source) in ALTMAN_ROWS.items()
    ]
    return "\n".join(
        [
            "# Data dictionary",
            "",
            "Written by `quiebra dictionary` from the code; a test keeps this page equal to it.",
            "",
            "## Items of a statement",
            "",
            "A missing item stays missing; nothing is filled with zero.",
            "",
            "| item | meaning | unit | may be negative |",
            "| --- | --- | --- | --- |",
            *items,
            "",
            "## Features",
            "",
            "A ratio whose denominator is not above zero, or whose inputs are missing, is missing. Changes compare with what had",
            "been published by the row's `available_at`; ranks with the statements published in the year up to it.",
            "The sign says what the model is held to: with a higher value risk never falls (+) or never rises (−).",
            "",
            "| feature | words | concept | unit | formula | why | sign | source |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *features,
            "",
            "## Altman scores",
            "",
            "Used for a company: Z where it is listed and a manufacturer (or of unknown sector), Z′ where it is a private",
            "manufacturer, Z″ for all others and where the other score lacks an input.",
            "",
            "X1 working capital / assets, X2 retained earnings / assets, X3 EBIT / assets, X5 revenue / assets.",
            "",
            "| score | formula | distress | safe | source |",
            "| --- | --- | --- | --- | --- |",
            *scores,
            "",
        ]
    )
