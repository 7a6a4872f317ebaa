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
    pieces = [parts.select(members).to_numpy() for members in groups.values()]
    totals = np.column_stack([piece.sum(axis=1) for piece in pieces])
    order = np.argsort(-totals, axis=1, kind="stable")[:, :count]
    effect = np.take_along_axis(totals, order, axis=1)
    most, least = (np.column_stack([find(piece, axis=1) for piece in pieces]) for find in (np.argmax, np.argmin))
    strongest = np.where(effect > 0, np.take_along_axis(most, order, axis=1), np.take_along_axis(least, order, axis=1))
    first = np.cumsum([0, *(len(members) for members in groups.values())])[:-1]
    found = pl.DataFrame(
        {
            "row": np.repeat(np.arange(table.height), order.shape[1]), "place": np.tile(np.arange(order.shape[1]), table.height),
            "concept": np.array(list(groups))[order].ravel(), "effect": effect.ravel(),
            "feature": np.array([name for members in groups.values() for name in members])[first[order] + strongest].ravel(),
        }
    )  # fmt: skip
    used = table.select(score_used(market=True)).to_series().fill_null("altman_z1995")[found["row"]]
    found = found.with_columns(feature=pl.when(pl.col("concept") == ALTMAN_CONCEPT).then(used).otherwise("feature"))
    columns = {name: place for place, name in enumerate((*FEATURES_BY_NAME, *SCORES))}
    values = table.select(*columns).cast(pl.Float64).to_numpy()
    at = found["feature"].replace_strict(columns).to_numpy()
    typical = np.array([np.nan if (value := model.typical.get(name)) is None else value for name in columns])
    found = found.with_columns(
        table["company_id"][found["row"]], table["fiscal_year"][found["row"]],
        rank=pl.col("place") + 1,
        code=pl.col("concept").str.to_uppercase() + pl.when(pl.col("effect") > 0).then(pl.lit("_UP")).otherwise(pl.lit("_DOWN")),
        value=pl.Series(values[found["row"], at]).fill_nan(None), typical=pl.Series(typical[at]).fill_nan(None),
        odds_factor=pl.Series(np.exp(effect.ravel())),
    )  # fmt: skip
    said = [found[name].to_list() for name in ("feature", "value", "typical")]
    texts = {"text": map(_words, *said), "text_es": map(_words_es, *said)}
    return found.with_columns(pl.Series(name, list(words), dtype=pl.String) for name, words in texts.items()).select(
        pl.col(name).cast(kind) for name, kind in REASONS.items()
    )


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
