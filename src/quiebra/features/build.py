"""The feature table of a whole panel, in one vectorised pass."""

from __future__ import annotations

from functools import cache

import polars as pl

from quiebra.features.altman import SCORES, altman_scores, zone
from quiebra.features.changes import HELPERS, changes, with_lags, years_published
from quiebra.features.feature import Feature
from quiebra.features.market import MARKET, distance_to_default
from quiebra.features.peers import Peers, ranks, with_ranks
from quiebra.features.ratios import RATIOS
from quiebra.items import ITEM_NAMES


def _by_name(*groups: tuple[Feature, ...]) -> dict[str, Feature]:
    return {feature.name: feature for group in groups for feature in group}


_STATIC = (*RATIOS, *MARKET)
_CHANGES = changes(_by_name(_STATIC))
_DISTANCE = distance_to_default()
_RANKS = ranks(_by_name(_STATIC, _CHANGES, _DISTANCE))
FEATURES: tuple[Feature, ...] = (*_STATIC, *_CHANGES, *_DISTANCE, *_RANKS)
FEATURES_BY_NAME: dict[str, Feature] = _by_name(FEATURES)
KEYS = ("company_id", "fiscal_year", "period_end", "available_at")


AGES = ("years_published",)
"""Features that count years: a panel that grows older moves them by itself."""


def years_back() -> dict[str, int]:
    """Return feature → how many years before its own statement it looks back, directly or through another feature; 0 for none."""
    found: dict[str, int] = {}
    for feature in FEATURES:
        ranked = feature.name.removeprefix("sector_").removeprefix("rank_")
        roots = [ranked] if ranked != feature.name else feature.expr.meta.root_names()
        parted = [(root, lag) for root, _, lag in (root.partition("_lag") for root in roots)]
        found[feature.name] = max((max(int(lag or 0), found.get(root, 0)) for root, lag in parted), default=0)
    return found


def market_based() -> frozenset[str]:
    """Return the names of the features that need a market value, directly or through another feature."""
    found: set[str] = {"market_value"}
    for feature in FEATURES:
        roots = {root.partition("_lag")[0] for root in feature.expr.meta.root_names()}
        if roots & found or feature.name.removeprefix("sector_").removeprefix("rank_") in found:
            found.add(feature.name)
    return frozenset(found - {"market_value"})


@cache
def needs(name: str) -> tuple[frozenset[str], bool]:
    """Return the items of a statement that a feature is made of, and whether it looks back at earlier ones."""
    items: set[str] = set()
    looks_back = name == "years_published"
    feature = FEATURES_BY_NAME[name]
    base = name.removeprefix("sector_").removeprefix("rank_")
    for root in [base] if base != name else feature.expr.meta.root_names():
        of, _, lag = root.partition("_lag")
        looks_back |= bool(lag)
        if of in FEATURES_BY_NAME and of != name:
            inner, before = needs(of)
            items |= inner
            looks_back |= before
        elif of in HELPERS:
            items |= set(HELPERS[of].meta.root_names())
        elif of in ITEM_NAMES:
            items.add(of)
    return frozenset(items), looks_back


def feature_table(
    statements: pl.DataFrame, companies: pl.DataFrame | None = None, peers: pl.DataFrame | Peers | None = None,
    only: pl.DataFrame | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Return one row a published statement: its keys, sector, every feature and the Altman scores with their zones.

    statements: canonical, in millions, any order; restatements are rows of their own and see what they restate. companies:
    company_id and sector (None: unknown). peers: a feature table to rank among; None: the statements themselves. only:
    company_id, fiscal_year and available_at of the rows wanted, where the others serve their changes alone; None: all.
    Every value uses only rows published by the row's available_at. Missing inputs give missing values. ValueError where some rows
    are wanted and no peers are given: the rest would be missing among them.
    """
    if only is not None and peers is None:
        raise ValueError("rows wanted alone need peers to be ranked among")
    return features_of(with_past(statements, companies, only), peers).sort(KEYS[0], KEYS[1], KEYS[3])


def with_past(statements: pl.DataFrame, companies: pl.DataFrame | None, only: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return statements with their sector, their ratios, and what they look back at; see `feature_table`."""
    sectors = pl.DataFrame(schema={"company_id": pl.String, "sector": pl.String}) if companies is None else companies
    table = statements.join(sectors.select("company_id", "sector"), on="company_id", how="left")
    table = table.sort("company_id", "available_at", "fiscal_year").with_columns(years_published_raw=years_published())
    past = with_ratios(table)
    wanted = past if only is None else past.join(only, on=["company_id", "fiscal_year", "available_at"], how="semi")
    return with_lags(wanted, past)


def with_ratios(statements: pl.DataFrame) -> pl.DataFrame:
    """Return statements with what follows from each one's own items; where they had it, it is worked out anew."""
    table = statements.with_columns(**HELPERS)
    return table.with_columns(feature.expr.alias(feature.name) for feature in _STATIC)


def features_of(
    rows: pl.DataFrame, peers: pl.DataFrame | Peers | None = None, given: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the feature table of rows that `with_past` gave, in their order; peers as in `feature_table`.

    given: features of the same rows that are taken as they are instead of being worked out.
    """
    table, fixed = (rows, []) if given is None else (rows.with_columns(given), given.columns)
    for group in (_CHANGES, *((feature,) for feature in _DISTANCE)):  # the distance reads the volatility
        table = table.with_columns(feature.expr.alias(feature.name) for feature in group if feature.name not in fixed)
    reference = table if peers is None else peers
    table = with_ranks(table, reference if isinstance(reference, Peers) else Peers(reference))
    return altman_scores(table).select(
        *KEYS,
        "sector",
        *(pl.col(name).cast(pl.Float64) for name in (*FEATURES_BY_NAME, *SCORES)),
        **{f"{name}_zone": zone(name) for name in SCORES},
    )  # fmt: skip
