"""Reasons for a score: the concepts that raise a company's risk most, those that lower it most, and missing data."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

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
REASON_SCHEMA = {
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


class _Layout(NamedTuple):
    """What the features of the panel at hand are, by their places in arrays.

    items: whether each feature needs each item (features × items, 0 or 1). back: whether it uses earlier statements. explained:
    whether its items can imply that there is none, as of a ratio to debt where there is no debt. groups: concepts' features.
    concepts, codes, columns: names of concepts, of the codes of a rise and a fall of each, and of features; see `_Found`.
    """

    items: np.ndarray
    back: np.ndarray
    explained: np.ndarray
    groups: list[np.ndarray]
    concepts: pl.Series
    codes: pl.Series
    columns: pl.Series


def _layout() -> _Layout:
    return _layout_of(tuple(FEATURES_BY_NAME), _given())


@cache
def _layout_of(names: tuple[str, ...], given: tuple[str, ...]) -> _Layout:
    made, groups = [feature_inputs(name) for name in names], features_by_concept()
    back, places = np.array([looks_back for _, looks_back in made]), {name: at for at, name in enumerate((*names, "altman"))}
    concepts = [*groups, "data"]
    return _Layout(
        np.array([[item in needed for item in given] for needed, _ in made], dtype=np.float32),
        back,
        np.array([denominator_sentence(name, "en") is not None for name in names]) & ~back,
        [np.array([places[name] for name in members]) for members in groups.values()],
        pl.Series(concepts),
        pl.Series([f"{concept.upper()}_{way}" for concept in concepts for way in ("UP", "DOWN")]),
        pl.Series([*value_columns(), None]),
    )


def _whole(lacking: np.ndarray) -> np.ndarray:
    """Return whether each row's statement has all the items that each feature needs (rows × features)."""
    whole: np.ndarray = lacking.astype(np.float32) @ _layout().items.T == 0
    return whole


def _known(values: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """Return whether each feature, and the Altman score, is known for each row.

    It is known where it has a value, or where its items are present and imply that there is none, such as a ratio to debt where
    there is no debt.
    """
    known = np.isfinite(values[:, : len(FEATURES_BY_NAME)]) | (_whole(lacking) & _layout().explained)
    return np.column_stack([known, np.ones(len(values), dtype=bool)])


def _strongest(effects: np.ndarray, table: pl.DataFrame, count: int) -> _Found:
    """Return the concepts that raise and lower each row's risk most."""
    groups = _layout().groups
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
    used = len(FEATURES_BY_NAME) + np.array([[*ALTMAN_SCORES].index(name) for name in score], dtype=np.int64)
    return both._replace(feature=np.where(both.feature == len(FEATURES_BY_NAME), used[both.row], both.feature))


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
    items = (counts.astype(np.float32) @ _layout().items > 0) & lacking
    history = (counts & _layout().back & _whole(lacking)).any(axis=1)
    first = ~(to_matrix(table, ["years_published"])[:, 0] > 0)
    history = np.where(history, np.where(first, 2, 1), 0)
    rows = np.flatnonzero(items.any(axis=1) | (history > 0))
    patterns, which = np.unique(np.column_stack([items, history])[rows], axis=0, return_inverse=True)
    texts = [_missing(*pattern) for pattern in patterns.tolist()]
    kind, concept = np.full_like(rows, KINDS.index(MISSING_VALUE)), np.full_like(rows, len(_layout().groups))
    found = _Found(rows, kind, np.ones_like(rows), concept, np.full_like(rows, -1), effects.sum(axis=1)[rows])
    return found, [texts[at] for at in which]


def _missing(*pattern: int) -> tuple[str, str]:
    """Return in both languages which of the items are missing (0 or 1 each), and the history, by its code."""
    names = [name for name, lacks in zip(_given(), pattern[:-1], strict=True) if lacks]
    return missing_sentence(names, HISTORY_CODES[pattern[-1]], "en"), missing_sentence(names, HISTORY_CODES[pattern[-1]], "es")


def _as_table(
    found: _Found, texts: list[tuple[str, str]], values: np.ndarray, model: PdModel, table: pl.DataFrame
) -> pl.DataFrame:
    """Return reasons with the columns of `REASON_SCHEMA`, by row, kind and rank."""
    order = np.lexsort((found.rank, found.kind, found.row))
    found, texts = _Found(*(array[order] for array in found)), [texts[at] for at in order]
    layout, typical = _layout(), np.array([*map(model.typical.get, value_columns()), None], dtype=np.float64)
    effect = pl.Series(found.effect)
    columns = [
        *table[["company_id", "fiscal_year"]][found.row],
        pl.Series(KINDS)[found.kind],
        pl.Series(found.rank),
        layout.codes[2 * found.concept + (found.effect <= 0)],
        layout.concepts[found.concept],
        layout.columns[found.feature],
        pl.Series(np.where(found.feature < 0, np.nan, values[found.row, found.feature]), nan_to_null=True),
        pl.Series(typical[found.feature], nan_to_null=True),
        effect,
        effect.exp(),
        pl.Series([english for english, _ in texts], dtype=pl.String),
        pl.Series([spanish for _, spanish in texts], dtype=pl.String),
    ]
    return pl.DataFrame(columns, schema=REASON_SCHEMA)
