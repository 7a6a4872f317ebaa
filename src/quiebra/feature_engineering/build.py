"""Build the feature table of a whole panel in one vectorised pass."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import polars as pl

from quiebra.canonical import STATEMENT_SCHEMA, OwnColumn
from quiebra.errors import ParamsError
from quiebra.feature_engineering.altman import ALTMAN_SCORES, altman_scores, altman_zone
from quiebra.feature_engineering.changes import HELPER_AMOUNTS, change_features, lagged_values, years_published
from quiebra.feature_engineering.feature import Feature
from quiebra.feature_engineering.market import MARKET_FEATURES, distance_to_default
from quiebra.feature_engineering.own import OWN_FEATURES, own_feature
from quiebra.feature_engineering.peers import Peers, add_ranks, rank_features
from quiebra.feature_engineering.ratios import RATIO_FEATURES
from quiebra.items import ITEM_NAMES, VERSION_KEYS


def _by_name(*groups: tuple[Feature, ...]) -> dict[str, Feature]:
    return {feature.name: feature for group in groups for feature in group}


_STATIC = (*RATIO_FEATURES, *MARKET_FEATURES)
_CHANGES = change_features(_by_name(_STATIC))
_DISTANCE = distance_to_default()
_RANKS = rank_features(_by_name(_STATIC, _CHANGES, _DISTANCE))
FEATURES: tuple[Feature, ...] = (*_STATIC, *_CHANGES, *_DISTANCE, *_RANKS)
"""Features that are computed from a statement's items."""
FEATURES_BY_NAME: dict[str, Feature] = _by_name(FEATURES)
"""All features of the panel at hand: `FEATURES`, and those that `use_own_features` adds."""
KEYS = ("company_id", "fiscal_year", "period_end", "available_at")


def _expressions(features: Iterable[Feature]) -> dict[str, pl.Expr]:
    return {feature.name: feature.expr.alias(feature.name) for feature in features}


_HELPER_EXPRS = [amount.alias(name) for name, amount in HELPER_AMOUNTS.items()]
_STATIC_EXPRS = list(_expressions(_STATIC).values())
_CHANGE_STEPS = [_expressions(group) for group in (_CHANGES, *((feature,) for feature in _DISTANCE))]
"""What is computed from columns that the step before has made: the distance uses the volatility."""
_YEARS_PUBLISHED = years_published().alias("years_published_raw")

AGE_FEATURES = ("years_published",)
"""Features that count years; they drift as the panel grows older."""


def use_own_features(columns: Iterable[OwnColumn]) -> None:
    """Make the own columns of a panel (`SourceInfo.own_columns`) its features, beside those that are computed, in this process.

    Those of another panel are no features any more. Raise ParamsError where a name is that of something else.
    """
    made = {column.name: own_feature(column) for column in columns}
    for name in OWN_FEATURES:
        del FEATURES_BY_NAME[name]
    OWN_FEATURES.clear()
    if taken := sorted(made.keys() & {*FEATURES_BY_NAME, *ALTMAN_SCORES, *STATEMENT_SCHEMA}):
        raise ParamsError("ingest.table.features: there is a column '{name}' already: choose another name", name=taken[0])
    OWN_FEATURES.update(made)
    FEATURES_BY_NAME.update(made)


def feature_lookback() -> dict[str, int]:
    """Return feature → years before its own statement that it uses, directly or through another feature; 0 for none."""
    found: dict[str, int] = {}
    for feature in FEATURES_BY_NAME.values():
        ranked = feature.name.removeprefix("sector_").removeprefix("rank_")
        roots = [ranked] if ranked != feature.name else feature.expr.meta.root_names()
        parted = [(root, lag) for root, _, lag in (root.partition("_lag") for root in roots)]
        found[feature.name] = max((max(int(lag or 0), found.get(root, 0)) for root, lag in parted), default=0)
    return found


def market_features() -> frozenset[str]:
    """Return the names of the features that need a market value, directly or through another feature."""
    found: set[str] = {"market_value"}
    for feature in FEATURES:
        roots = {root.partition("_lag")[0] for root in feature.expr.meta.root_names()}
        if roots & found or feature.name.removeprefix("sector_").removeprefix("rank_") in found:
            found.add(feature.name)
    return frozenset(found - {"market_value"})


@cache
def feature_inputs(name: str) -> tuple[frozenset[str], bool]:
    """Return the statement items, or the own column, that a feature is computed from, and whether it uses earlier statements."""
    items: set[str] = set()
    looks_back = name == "years_published"
    feature = FEATURES_BY_NAME[name]
    base = name.removeprefix("sector_").removeprefix("rank_")
    for root in [base] if base != name else feature.expr.meta.root_names():
        of, _, lag = root.partition("_lag")
        looks_back |= bool(lag)
        if of in FEATURES_BY_NAME and of != name:
            inner, before = feature_inputs(of)
            items |= inner
            looks_back |= before
        elif of in HELPER_AMOUNTS:
            items |= set(HELPER_AMOUNTS[of].meta.root_names())
        elif of in ITEM_NAMES or of in OWN_FEATURES:
            items.add(of)
    return frozenset(items), looks_back


def feature_table(
    statements: pl.DataFrame,
    companies: pl.DataFrame | None = None,
    peers: pl.DataFrame | Peers | None = None,
    only: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return one row per published statement: its keys, sector, every feature, and the Altman scores with their zones.

    statements: canonical, in millions, in any order; a restatement is a row of its own, which can use the version that it
        restates.
    companies: company_id and sector; None: sectors unknown.
    peers: the feature table that rows are ranked against; None: the statements themselves.
    only: company_id, fiscal_year and available_at of the rows to return, the others being their history; None: all.

    Every value uses only rows published by the row's available_at. A missing input makes a value null.
    Raise ValueError where ``only`` is given without ``peers``: the other rows would be missing among the peers.
    """
    if only is not None and peers is None:
        raise ValueError("rows wanted alone need peers to be ranked among")
    return finish_features(add_history(statements, companies, only), peers)


def add_history(statements: pl.DataFrame, companies: pl.DataFrame | None, only: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return statements by company, fiscal year and publication, with their sector, ratios and lagged values; arguments as in
    `feature_table`."""
    sectors = pl.DataFrame(schema={"company_id": pl.String, "sector": pl.String}) if companies is None else companies
    if "market_value_date" not in statements.columns:
        statements = statements.with_columns(market_value_date=pl.lit(None, pl.Date))
    table = statements.join(sectors.select("company_id", "sector"), on="company_id", how="left").sort(VERSION_KEYS)
    past = add_ratios(table.with_columns(_YEARS_PUBLISHED))
    if only is None:
        return past.hstack(lagged_values(past, np.arange(past.height)))
    keys = past.select(VERSION_KEYS).with_row_index("row")
    rows = keys.join(only, on=VERSION_KEYS, how="semi", maintain_order="left")["row"].to_numpy()
    return past[rows].hstack(lagged_values(past, rows))


def add_ratios(statements: pl.DataFrame) -> pl.DataFrame:
    """Return statements with the features computed from their own items, replacing any that they have."""
    own = _expressions(OWN_FEATURES.values()).values()
    return statements.with_columns(_HELPER_EXPRS).with_columns(*_STATIC_EXPRS, *own)


def finish_features(
    rows: pl.DataFrame, peers: pl.DataFrame | Peers | None = None, given: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the feature table of rows from `add_history`, in their order; peers as in `feature_table`.

    given: features of the same rows that are used as they are instead of being computed.
    """
    table, fixed = (rows, []) if given is None else (rows.with_columns(given), given.columns)
    for step in _CHANGE_STEPS:
        table = table.with_columns(expr for name, expr in step.items() if name not in fixed)
    reference = table if peers is None else peers
    table = altman_scores(add_ranks(table, reference if isinstance(reference, Peers) else Peers(reference)))
    numbers = table[[*FEATURES_BY_NAME, *ALTMAN_SCORES]].cast(pl.Float64)
    return (
        table[[*KEYS, "sector"]]
        .hstack(numbers)
        .hstack(table.select(altman_zone(name).alias(f"{name}_zone") for name in ALTMAN_SCORES))
    )
