"""Reasons for a score: the concepts that raise a company's risk most, those that lower it most, and missing data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import polars as pl

from quiebra.feature_engineering import FEATURES_BY_NAME, OWN_FEATURES, PeerRanks, feature_inputs
from quiebra.feature_engineering.altman import ALTMAN_SCORES, altman_score_used
from quiebra.feature_engineering.peer_rank import PEER_PLACES
from quiebra.feature_engineering.sentences import (
    History,
    denominator_sentence,
    missing_sentence,
    rank_clause,
    rounded_values,
    value_clause,
)
from quiebra.items import ITEM_NAMES, VERSION_KEYS
from quiebra.models.pd_model import PdModel

ALTMAN_CONCEPT = "altman"
ALTMAN_LABELS = {"altman_z": "Altman Z", "altman_z1983": "Altman Z′", "altman_z1995": "Altman Z″"}
RAISES, LOWERS, MISSING_VALUE = "raises", "lowers", "gap"
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


def reasons(model: PdModel, table: pl.DataFrame, count: int, peers: PeerRanks, statements: pl.DataFrame) -> pl.DataFrame:
    """Return, for each row, the ``count`` concepts that raise its risk most, the ``count`` that lower it most, and missing data.

    table: features with company_id, fiscal_year, available_at and sector. peers: the companies that values are compared with.
    statements: of the panel, or at least of the rows; they tell a missing item from a ratio that does not exist.

    Columns: company_id, fiscal_year, kind (``raises``, ``lowers`` or ``gap``), rank within the kind, code (such as LEVERAGE_UP),
        concept, feature (the concept's strongest in that direction), value, typical (training median), effect (log-odds),
        odds_factor, text and text_es (sentences without a full stop).

    A concept's effect is that of known values. The effect of missing values is in the row of kind ``gap``, with code DATA_UP or
    DATA_DOWN; its text names what is missing, and it has no feature.
    """
    parts = model.explain(table)[0].select(*FEATURES_BY_NAME, "altman").to_numpy()
    values = table.select(pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in value_columns()).to_numpy()
    lacking = _lacking(table, statements)
    known = _known(values, lacking)
    effects = np.where(known, parts, 0.0)
    found = _strongest(effects, table, count)
    found = _in_words(_with_values(found, values, model, table), values, table, peers)
    found = pl.concat([found, _gaps(np.where(known, 0.0, parts), lacking, table)], how="diagonal")
    order = pl.col("kind").replace_strict({RAISES: 0, LOWERS: 1, MISSING_VALUE: 2}, return_dtype=pl.Int8)
    found = found.sort("row", order, "rank").with_columns(odds_factor=pl.col("effect").exp())
    whose = table.select("company_id", "fiscal_year")[found["row"]]
    return pl.concat([whose, found], how="horizontal").select(pl.col(name).cast(kind) for name, kind in REASON_SCHEMA.items())


def value_columns() -> tuple[str, ...]:
    """Return the features and Altman scores, in the order of the arrays here."""
    return (*FEATURES_BY_NAME, *ALTMAN_SCORES)


def _given() -> tuple[str, ...]:
    """Return what a statement may lack: its items, and own columns."""
    return (*ITEM_NAMES, *OWN_FEATURES)


def _lacking(table: pl.DataFrame, statements: pl.DataFrame) -> np.ndarray:
    """Return whether each row's statement lacks each item and own column (rows × items)."""
    items = statements.select(*VERSION_KEYS, *_given()).unique(VERSION_KEYS, keep="last", maintain_order=True)
    own = table.select(VERSION_KEYS).join(items, on=VERSION_KEYS, how="left", maintain_order="left")
    return own.select(pl.col(name).is_null() for name in _given()).to_numpy()


def _needed() -> tuple[np.ndarray, np.ndarray]:
    """Return the items that each feature is computed from (features × items), and whether it uses earlier statements."""
    return _inputs_of(tuple(FEATURES_BY_NAME), _given())


@cache
def _inputs_of(names: tuple[str, ...], given: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    made = [feature_inputs(name) for name in names]
    return np.array([[item in items for item in given] for items, _ in made]), np.array([back for _, back in made])


def _known(values: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """Return whether each feature, and the Altman score, is known for each row.

    It is known where it has a value, or where its items are present and imply that there is none, such as a ratio to debt where
    there is no debt.
    """
    needed, back = _needed()
    explained = np.array([denominator_sentence(name, "en") is not None for name in FEATURES_BY_NAME]) & ~back
    whole = lacking.astype(np.float32) @ needed.T.astype(np.float32) == 0
    known = np.isfinite(values[:, : len(FEATURES_BY_NAME)]) | (whole & explained)
    return np.column_stack([known, np.ones(len(values), dtype=bool)])


def _strongest(effects: np.ndarray, table: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the concepts that raise and lower each row's risk most: row, kind, rank, code, concept, feature and effect."""
    groups = features_by_concept()
    column = {name: at for at, name in enumerate((*FEATURES_BY_NAME, "altman"))}
    pieces = [effects[:, [column[name] for name in members]] for members in groups.values()]
    totals = np.column_stack([piece.sum(axis=1) for piece in pieces])
    found = [
        _ordered(totals, np.column_stack([np.argmax(sign * piece, axis=1) for piece in pieces]), groups, count, sign)
        for sign in (1, -1)
    ]
    used = table.select(altman_score_used(market=True)).to_series().fill_null("altman_z1995")
    both = pl.concat(found)
    return both.with_columns(feature=pl.when(pl.col("concept") == ALTMAN_CONCEPT).then(used[both["row"]]).otherwise("feature"))


def _ordered(totals: np.ndarray, most: np.ndarray, groups: dict[str, list[str]], count: int, sign: int) -> pl.DataFrame:
    order = np.argsort(-sign * totals, axis=1, kind="stable")[:, :count]
    effect = np.take_along_axis(totals, order, axis=1)
    first = np.cumsum([0, *(len(members) for members in groups.values())])[:-1]
    at = first[order] + np.take_along_axis(most, order, axis=1)
    names = np.array([name for members in groups.values() for name in members])
    kept = sign * effect >= MIN_EFFECT
    row, place = np.nonzero(kept)
    frame = pl.DataFrame(
        {
            "row": row,
            "kind": [RAISES if sign > 0 else LOWERS] * len(row),
            "rank": place + 1,
            "concept": np.array(list(groups))[order[kept]],
            "feature": names[at[kept]],
            "effect": effect[kept],
        },
        schema={
            "row": pl.Int64,
            "kind": pl.String,
            "rank": pl.Int64,
            "concept": pl.String,
            "feature": pl.String,
            "effect": pl.Float64,
        },
    )
    return frame.with_columns(code=pl.col("concept").str.to_uppercase() + ("_UP" if sign > 0 else "_DOWN"))


def _with_values(found: pl.DataFrame, values: np.ndarray, model: PdModel, table: pl.DataFrame) -> pl.DataFrame:
    at = _columns(found)
    typical = np.array([np.nan if (value := model.typical.get(name)) is None else value for name in value_columns()])
    return found.with_columns(
        value=pl.Series(values[found["row"].to_numpy(), at], dtype=pl.Float64).fill_nan(None),
        typical=pl.Series(typical[at], dtype=pl.Float64).fill_nan(None),
    )


def _columns(found: pl.DataFrame) -> np.ndarray:
    """Return the index in `value_columns` of each row's feature."""
    places = {name: at for at, name in enumerate(value_columns())}
    return found["feature"].replace_strict(places, return_dtype=pl.Int64).to_numpy()


def _in_words(found: pl.DataFrame, values: np.ndarray, table: pl.DataFrame, peers: PeerRanks) -> pl.DataFrame:
    """Add text and text_es. Equal texts are built once: figures are rounded first, and there are few places."""
    said, place = np.full(found.height, np.nan), np.zeros(found.height, dtype=np.int64)
    rows, codes = found["row"].to_numpy(), peers.codes(table["sector"])
    features, columns = _columns(found), value_columns()
    order = np.argsort(features, kind="stable")
    for at in np.split(order, np.flatnonzero(features[order][1:] != features[order][:-1]) + 1) if len(order) else ():
        name = columns[features[at[0]]]
        base = name.removeprefix("sector_").removeprefix("rank_")
        own = values[rows[at], columns.index(base)]
        said[at] = rounded_values(name, own)
        place[at] = peers.places(base, own, codes[rows[at]], in_sector=not name.startswith("rank_"))
    keyed = found.with_columns(said=pl.Series(said).fill_nan(None), place=pl.Series(place))
    keyed = keyed.with_columns(sign=pl.col("said").sign())
    first = _once(keyed, ["feature", "said"], _first)
    second = _once(
        keyed, ["feature", "place", "sign"], lambda name, at, sign, lang: rank_clause(name, PEER_PLACES[at], int(sign or 0), lang)
    )
    return found.with_columns(pl.concat_str(first[name], second[name]).alias(name) for name in TEXT_COLUMNS)


TEXT_COLUMNS = {"text": "en", "text_es": "es"}
HISTORY_CODES: tuple[History, ...] = ("whole", "some", "none")
"""How much of the earlier accounts is available, by its code."""


def _once(keyed: pl.DataFrame, keys: list[str], words: Callable[..., str]) -> pl.DataFrame:
    """Return the texts of rows (columns `TEXT_COLUMNS`), building each distinct one once."""
    unique = keyed.select(keys).unique(maintain_order=True)
    texts = {name: [words(*row, language) for row in unique.iter_rows()] for name, language in TEXT_COLUMNS.items()}
    named = unique.with_columns(pl.Series(name, list(said), dtype=pl.String) for name, said in texts.items())
    return keyed.select(keys).join(named, on=keys, how="left", nulls_equal=True, maintain_order="left").select(*TEXT_COLUMNS)


def _first(name: str, said: float | None, language: str) -> str:
    return (denominator_sentence(name, language) or "") if said is None else value_clause(name, said, language)


def _gaps(effects: np.ndarray, lacking: np.ndarray, table: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each company with missing data that matters. effects: those of missing values, zero elsewhere."""
    needed, back = _needed()
    counts = np.abs(effects[:, : len(FEATURES_BY_NAME)]) >= MIN_EFFECT
    items = (counts.astype(np.float32) @ needed.astype(np.float32) > 0) & lacking
    history = (counts & back & (lacking.astype(np.float32) @ needed.T.astype(np.float32) == 0)).any(axis=1)
    first = ~(table["years_published"].fill_null(0).to_numpy() > 0)
    history = np.where(history, np.where(first, 2, 1), 0)
    rows = np.flatnonzero(items.any(axis=1) | (history > 0))
    total = effects.sum(axis=1)[rows]
    said: dict[bytes, tuple[str, str]] = {}
    texts = []
    for row in rows:
        key = items[row].tobytes() + history[row].tobytes()
        if key not in said:
            names = [name for name, there in zip(_given(), items[row], strict=True) if there]
            said[key] = (
                missing_sentence(names, HISTORY_CODES[history[row]], "en"),
                missing_sentence(names, HISTORY_CODES[history[row]], "es"),
            )
        texts.append(said[key])
    return pl.DataFrame(
        {
            "row": rows,
            "kind": [MISSING_VALUE] * len(rows),
            "rank": np.ones(len(rows), dtype=np.int64),
            "concept": ["data"] * len(rows),
            "code": ["DATA_UP" if effect > 0 else "DATA_DOWN" for effect in total],
            "effect": total,
            "text": [en for en, _ in texts],
            "text_es": [es for _, es in texts],
        },
        schema={
            "row": pl.Int64,
            "kind": pl.String,
            "rank": pl.Int64,
            "concept": pl.String,
            "code": pl.String,
            "effect": pl.Float64,
            "text": pl.String,
            "text_es": pl.String,
        },
    )
