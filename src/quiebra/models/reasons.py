"""Reasons: the concepts that raise or lower a company's risk most, as codes, words and effects."""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.features import FEATURES_BY_NAME
from quiebra.features.altman import SCORES, score_used
from quiebra.features.spanish import label
from quiebra.models.pd_model import PdModel

ALTMAN_CONCEPT = "altman"
ALTMAN_WORDS = {"altman_z": "Altman Z", "altman_z1983": "Altman Z′", "altman_z1995": "Altman Z″"}


def concepts() -> dict[str, list[str]]:
    """Return concept → the features that belong to it, and ``altman`` for the blended score."""
    groups: dict[str, list[str]] = {}
    for feature in FEATURES_BY_NAME.values():
        groups.setdefault(feature.concept, []).append(feature.name)
    return {**groups, ALTMAN_CONCEPT: ["altman"]}


def reasons(model: PdModel, table: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return, for each row, the ``count`` concepts that raise its risk most, strongest first.

    table: features with company_id and fiscal_year. Columns: company_id, fiscal_year, rank, code (such as LEVERAGE_UP),
    concept, feature (the concept's strongest), value, typical (training median), effect (log-odds), odds_factor, text, text_es.
    A row whose concepts all lower its risk has the mildest of them, with codes ending in _DOWN.
    """
    parts, _ = model.explain(table)
    groups = concepts()
    # numpy adds in one order; polars' sums across columns differ in the last digit from run to run
    totals = np.column_stack([parts.select(names).to_numpy().sum(axis=1) for names in groups.values()])
    order = np.argsort(-totals, axis=1, kind="stable")[:, :count]
    names = list(groups)
    records = []
    values = table.with_columns(used=score_used(market=True)).select(*FEATURES_BY_NAME, *SCORES, "used").to_dicts()
    pieces = {name: parts.select(members).to_numpy() for name, members in groups.items()}
    for row, (company, year) in enumerate(table.select("company_id", "fiscal_year").iter_rows()):
        for rank, index in enumerate(order[row], start=1):
            concept, effect = names[index], float(totals[row, index])
            strongest = int(np.argmax(pieces[concept][row] * (1 if effect > 0 else -1)))
            feature = groups[concept][strongest]
            if concept == ALTMAN_CONCEPT:
                feature = values[row]["used"] or "altman_z1995"
            value, typical = values[row][feature], model.typical.get(feature)
            records.append(
                {
                    "company_id": company, "fiscal_year": year, "rank": rank,
                    "code": f"{concept.upper()}_{'UP' if effect > 0 else 'DOWN'}", "concept": concept, "feature": feature,
                    "value": value, "typical": typical, "effect": effect, "odds_factor": float(np.exp(effect)),
                    "text": _words(feature, value, typical), "text_es": _words_es(feature, value, typical),
                }
            )  # fmt: skip
    return pl.DataFrame(records, schema=REASONS)


REASONS = {
    "company_id": pl.String, "fiscal_year": pl.Int32, "rank": pl.Int32, "code": pl.String, "concept": pl.String,
    "feature": pl.String, "value": pl.Float64, "typical": pl.Float64, "effect": pl.Float64, "odds_factor": pl.Float64,
    "text": pl.String, "text_es": pl.String,
}  # fmt: skip


def _words(feature: str, value: float | None, typical: float | None) -> str:
    words = ALTMAN_WORDS.get(feature) or FEATURES_BY_NAME[feature].label
    if value is None:
        return f"{words} not available"
    return f"{words} {value:.3g}" + (f" (typical {typical:.3g})" if typical is not None else "")


def _words_es(feature: str, value: float | None, typical: float | None) -> str:
    if value is None:
        return f"{label(feature)} no disponible"
    return f"{label(feature)} {_coma(value)}" + (f" (habitual {_coma(typical)})" if typical is not None else "")


def _coma(value: float) -> str:
    return f"{value:.3g}".replace(".", ",")
