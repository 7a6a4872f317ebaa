"""Reasons for a score: the concepts that raise a company's risk most, those that lower it most, and missing data."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from quiebra.feature_engineering import FEATURES_BY_NAME, OWN_FEATURES, PeerRanks, feature_inputs
from quiebra.feature_engineering.altman import ALTMAN_SCORES, altman_score_used
from quiebra.feature_engineering.matrix import to_matrix
from quiebra.feature_engineering.peer_rank import PEER_PLACES, PeerPlace, peer_places
from quiebra.feature_engineering.sentences import (
    History,
    denominator_sentence,
    feature_sentence,
    missing_sentence,
    shown_values,
    three_digits,
)
from quiebra.items import ITEM_NAMES, VERSION_KEYS
from quiebra.models.pd_model import PdModel

ALTMAN_CONCEPT = "altman"
ALTMAN_LABELS = {"altman_z": "Altman Z", "altman_z1983": "Altman Z′", "altman_z1995": "Altman Z″"}
KINDS = RAISES, LOWERS, MISSING_VALUE = "raises", "lowers", "gap"
MIN_EFFECT = 0.01
"""Smallest effect on the log-odds for a concept to be a reason, and for a missing value to be named."""
REASON_SCHEMA: dict[Any, Any] = {
    "company_id": pl.String,
    "fiscal_year": pl.Int32,
    "kind": pl.String,
    "rank": pl.Int32,
    "code": pl.String,
    "concept": pl.String,
    "feature": pl.String,
    "value": pl.Float64,
    "typical": pl.Float64,
    "effect": pl.Float64,
    "odds_factor": pl.Float64,
    "text": pl.String,
    "text_es": pl.String,
}


def features_by_concept() -> dict[str, list[str]]:
    """Return concept → its features, with ``altman`` for the blended Altman score."""
    groups: dict[str, list[str]] = {}
    for feature in FEATURES_BY_NAME.values():
        groups.setdefault(feature.concept, []).append(feature.name)
    return {**groups, ALTMAN_CONCEPT: ["altman"]}


def reasons(
    model: PdModel,
    table: pl.DataFrame,
    count: int,
    peers: PeerRanks,
    statements: pl.DataFrame,
    contributions: np.ndarray | None = None,
) -> pl.DataFrame:
    """Return, for each row, the ``count`` concepts that raise its risk most, the ``count`` that lower it most, and missing data.

    table: features with company_id, fiscal_year, available_at and sector. peers: the companies that values are compared with.
    statements: of the panel, or at least of the rows; they tell a missing item from a ratio that does not exist.
    contributions: of the rows, from `PdModel.contributions`; None: they are computed here.

    Columns: company_id, fiscal_year, kind (``raises``, ``lowers`` or ``gap``), rank within the kind, code (such as LEVERAGE_UP),
        concept, feature (the concept's strongest in that direction), value, typical (training median), effect (log-odds),
        odds_factor, text and text_es (sentences without a full stop).

    A concept's effect is that of known values. The effect of missing values is in the row of kind ``gap``, with code DATA_UP or
    DATA_DOWN; its text names what is missing, and it has no feature.
    """
    parts = model.contributions(table)[0] if contributions is None else contributions
    values, lacking = to_matrix(table, value_columns()), _lacking(table, statements)
    known = _known(values, lacking)
    found = _strongest(np.where(known, parts, 0.0), table, count)
    gaps, gap_texts = _gaps(np.where(known, 0.0, parts), lacking, table)
    texts = [*_texts(found, values, peers.codes(table["sector"]), peers), *gap_texts]
    return _as_table(_joined(found, gaps), texts, values, model, table)


class _Found(NamedTuple):
    """Reasons, one an entry of each array.

    row: of the table. kind: index of `KINDS`. rank: within the kind, from 1. concept: index of `features_by_concept`, or the
    number of these for missing data. feature: index of `value_columns`, or -1 for none. effect: on the log-odds.
    """

    row: np.ndarray
    kind: np.ndarray
    rank: np.ndarray
    concept: np.ndarray
    feature: np.ndarray
    effect: np.ndarray


def _joined(*parts: _Found) -> _Found:
    return _Found(*map(np.concatenate, zip(*parts, strict=True)))


def value_columns() -> tuple[str, ...]:
    """Return the features and Altman scores, in the order of the arrays here."""
    return (*FEATURES_BY_NAME, *ALTMAN_SCORES)


def _given() -> tuple[str, ...]:
    """Return what a statement may lack: its items, and own columns."""
    return (*ITEM_NAMES, *OWN_FEATURES)


def _lacking(table: pl.DataFrame, statements: pl.DataFrame) -> np.ndarray:
    """Return whether each row's statement lacks each item and own column (rows × items)."""
    items = statements[[*VERSION_KEYS, *_given()]].unique(VERSION_KEYS, keep="last", maintain_order=True)
    own = table[VERSION_KEYS].join(items, on=VERSION_KEYS, how="left", maintain_order="left")
    lacking: np.ndarray = np.isnan(to_matrix(own, _given()))
    return lacking


class _Inputs(NamedTuple):
    """What features are computed from.

    items: whether each feature needs each item (features × items, 0 or 1). back: whether it uses earlier statements. explained:
    whether its items can imply that there is none, as of a ratio to debt where there is no debt.
    """

    items: np.ndarray
    back: np.ndarray
    explained: np.ndarray


def _inputs() -> _Inputs:
    return _inputs_of(tuple(FEATURES_BY_NAME), _given())


@cache
def _inputs_of(names: tuple[str, ...], given: tuple[str, ...]) -> _Inputs:
    made = [feature_inputs(name) for name in names]
    items = np.array([[item in needed for item in given] for needed, _ in made], dtype=np.float32)
    back = np.array([looks_back for _, looks_back in made])
    return _Inputs(items, back, np.array([denominator_sentence(name, "en") is not None for name in names]) & ~back)


def _whole(lacking: np.ndarray) -> np.ndarray:
    """Return whether each row's statement has all the items that each feature needs (rows × features)."""
    whole: np.ndarray = lacking.astype(np.float32) @ _inputs().items.T == 0
    return whole


def _known(values: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """Return whether each feature, and the Altman score, is known for each row.

    It is known where it has a value, or where its items are present and imply that there is none, such as a ratio to debt where
    there is no debt.
    """
    known = np.isfinite(values[:, : len(FEATURES_BY_NAME)]) | (_whole(lacking) & _inputs().explained)
    return np.column_stack([known, np.ones(len(values), dtype=bool)])


def _strongest(effects: np.ndarray, table: pl.DataFrame, count: int) -> _Found:
    """Return the concepts that raise and lower each row's risk most."""
    columns = {name: at for at, name in enumerate((*FEATURES_BY_NAME, ALTMAN_CONCEPT))}
    groups = [np.array([columns[name] for name in names]) for names in features_by_concept().values()]
    pieces = [effects[:, own] for own in groups]
    totals = np.column_stack([piece.sum(axis=1) for piece in pieces])
    found = []
    for kind, sign in enumerate((1, -1)):
        most = np.column_stack([own[np.argmax(sign * piece, axis=1)] for own, piece in zip(groups, pieces, strict=True)])
        order = np.argsort(-sign * totals, axis=1, kind="stable")[:, :count]
        effect = np.take_along_axis(totals, order, axis=1)
        row, place = np.nonzero(sign * effect >= MIN_EFFECT)
        concept = order[row, place]
        found.append(_Found(row, np.full_like(row, kind), place + 1, concept, most[row, concept], effect[row, place]))
    both = _joined(*found)
    score = table.select(altman_score_used(market=True)).to_series().fill_null("altman_z1995").to_list()
    used = np.array([value_columns().index(name) for name in score], dtype=np.int64)
    return both._replace(feature=np.where(both.feature == columns[ALTMAN_CONCEPT], used[both.row], both.feature))


def _texts(found: _Found, values: np.ndarray, sectors: np.ndarray, peers: PeerRanks) -> list[tuple[str, str]]:
    """Return each reason in both languages. Equal texts are built once: figures are rounded first, and there are few places."""
    columns = value_columns()
    shown, shares = np.full(len(found.row), np.nan), np.full((3, len(found.row)), np.nan)
    order = np.argsort(found.feature, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(found.feature[order])) + 1) if len(order) else ():
        name, rows = columns[found.feature[at[0]]], found.row[at]
        base = name.removeprefix("sector_").removeprefix("rank_")
        own = values[rows, columns.index(base)]
        shown[at] = shown_values(name, own)
        shares[:, at] = peers.shares(base, own, sectors[rows], in_sector=not name.startswith("rank_"))
    said = [None if value != value else value for value in three_digits(shown).tolist()]
    keys = list(zip(found.feature.tolist(), said, peer_places(shares).tolist(), strict=True))
    texts = {
        (at, value, place): (
            _sentence(columns[at], value, PEER_PLACES[place], "en"),
            _sentence(columns[at], value, PEER_PLACES[place], "es"),
        )
        for at, value, place in dict.fromkeys(keys)
    }
    return [texts[key] for key in keys]


def _sentence(name: str, said: float | None, place: PeerPlace | None, language: str) -> str:
    return (denominator_sentence(name, language) or "") if said is None else feature_sentence(name, said, place, language)


HISTORY_CODES: tuple[History, ...] = ("whole", "some", "none")
"""How much of the earlier accounts is available, by its code."""


def _gaps(effects: np.ndarray, lacking: np.ndarray, table: pl.DataFrame) -> tuple[_Found, list[tuple[str, str]]]:
    """Return the missing data that matters, one entry a company that has any, and its texts.

    effects: those of missing values, zero elsewhere.
    """
    counts = np.abs(effects[:, : len(FEATURES_BY_NAME)]) >= MIN_EFFECT
    items = (counts.astype(np.float32) @ _inputs().items > 0) & lacking
    history = (counts & _inputs().back & _whole(lacking)).any(axis=1)
    first = ~(to_matrix(table, ["years_published"])[:, 0] > 0)
    history = np.where(history, np.where(first, 2, 1), 0)
    rows = np.flatnonzero(items.any(axis=1) | (history > 0))
    keys = [(tuple(np.flatnonzero(items[row]).tolist()), HISTORY_CODES[history[row]]) for row in rows]
    texts = {
        (lacks, past): (
            missing_sentence([_given()[at] for at in lacks], past, "en"),
            missing_sentence([_given()[at] for at in lacks], past, "es"),
        )
        for lacks, past in dict.fromkeys(keys)
    }
    kind, concept = np.full_like(rows, KINDS.index(MISSING_VALUE)), np.full_like(rows, len(features_by_concept()))
    found = _Found(rows, kind, np.ones_like(rows), concept, np.full_like(rows, -1), effects.sum(axis=1)[rows])
    return found, [texts[key] for key in keys]


def _as_table(
    found: _Found, texts: list[tuple[str, str]], values: np.ndarray, model: PdModel, table: pl.DataFrame
) -> pl.DataFrame:
    """Return reasons with the columns of `REASON_SCHEMA`, by row, kind and rank."""
    order = np.lexsort((found.rank, found.kind, found.row))
    found, texts = _Found(*(array[order] for array in found)), [texts[at] for at in order]
    concepts = [*features_by_concept(), "data"]
    codes = [f"{concept.upper()}_{way}" for concept in concepts for way in ("UP", "DOWN")]
    typical = [model.typical.get(name) for name in value_columns()]
    effect = pl.Series("effect", found.effect)
    columns = [
        *table[["company_id", "fiscal_year"]][found.row],
        pl.Series("kind", KINDS)[found.kind],
        pl.Series("rank", found.rank),
        pl.Series("code", codes)[2 * found.concept + (found.effect <= 0)],
        pl.Series("concept", concepts)[found.concept],
        pl.Series("feature", [*value_columns(), None])[found.feature],
        pl.Series("value", np.where(found.feature < 0, np.nan, values[found.row, found.feature]), nan_to_null=True),
        pl.Series("typical", [*typical, None], dtype=pl.Float64)[found.feature],
        effect,
        effect.exp().alias("odds_factor"),
        *(pl.Series(name, [text[at] for text in texts], dtype=pl.String) for at, name in enumerate(("text", "text_es"))),
    ]
    return pl.DataFrame(columns).cast(REASON_SCHEMA)
