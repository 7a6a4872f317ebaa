"""Position among peers: the rank of a company's figures among the statements published in the year up to its own."""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.features.feature import Feature

RANKED = (
    "log_assets", "log_revenue", "liabilities_to_assets", "net_income_to_assets", "ebitda_to_assets",
    "retained_earnings_to_assets",
    "working_capital_to_assets", "liquid_to_current_liabilities", "ebitda_to_liabilities", "asset_turnover", "ohlson_o",
    "log_revenue_change1", "log_assets_change1", "net_income_to_assets_change1", "net_income_to_assets_mean3",
    "liabilities_to_assets_change1", "log_market_value", "market_leverage", "net_income_to_market_assets",
    "market_value_to_revenue", "log_market_value_change1", "market_value_off_peak", "distance_to_default",
)  # fmt: skip
"""Features whose rank among all companies is one as well."""
RANKED_IN_SECTOR = ("liabilities_to_assets", "ebitda_to_assets", "net_income_to_assets_mean3", "log_assets", "market_leverage")
"""Features whose rank among companies of the same sector is one as well."""
MIN_PEERS = 20
FEW = 12
"""Rows of one date up to which their places are counted one by one."""
WINDOW = np.timedelta64(365, "D")
WHY = "the level moves with the year and the market; the place among peers does not"
SOURCE = "Relative size and position; Shumway (2001), Chava and Jarrow (2004)"


def ranks(by_name: dict[str, Feature]) -> tuple[Feature, ...]:
    """Return the rank features of the given ones."""
    return (
        *(_rank(by_name[n], "rank", "all") for n in RANKED),
        *(_rank(by_name[n], "sector_rank", "its sector") for n in RANKED_IN_SECTOR),
    )


def _rank(feature: Feature, prefix: str, whom: str) -> Feature:
    return Feature(
        name=f"{prefix}_{feature.name}",
        label=f"{feature.label}, rank among {'all' if whom == 'all' else 'its sector'}",
        concept=feature.concept,
        unit="share",
        formula=f"share of {whom} below in {feature.name}, among statements published in the year up to this one",
        why=WHY,
        source=SOURCE,
        expr=pl.col(f"{prefix}_{feature.name}"),
        sign=feature.sign,
    )


def with_ranks(table: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """Add ``rank_NAME`` and ``sector_rank_NAME``, between 0 and 1 (ties share their middle).

    table: available_at, sector and the ranked features. reference: the same columns of the peers; the table itself when a whole
    panel is built. Peers of a row are the reference's statements published by its available_at and within a year of the last of
    those. Fewer than 20 peers, or a missing value, gives a missing rank; where a sector is unknown or too small, the rank
    among all stands in for that in the sector.
    """
    everyone = table.with_columns(_ranks(table, reference, RANKED, "rank"))
    sectors = [
        _ranks(table, peers, RANKED_IN_SECTOR, "sector_rank", pl.col("sector") == name)
        for (name,), peers in reference.filter(pl.col("sector").is_not_null()).group_by("sector", maintain_order=True)
    ]
    found = {f"sector_rank_{name}": [frame[f"sector_rank_{name}"] for frame in sectors] for name in RANKED_IN_SECTOR}
    return everyone.with_columns(
        pl.coalesce([*found[f"sector_rank_{name}"], f"rank_{name}"]).alias(f"sector_rank_{name}") for name in RANKED_IN_SECTOR
    )


def _ranks(
    table: pl.DataFrame, reference: pl.DataFrame, names: tuple[str, ...], prefix: str, rows: pl.Expr | None = None
) -> pl.DataFrame:
    wanted = np.arange(table.height)
    if rows is not None:
        wanted = np.flatnonzero(table.select(rows.fill_null(False)).to_series().to_numpy())
    result = np.full((table.height, len(names)), np.nan)
    result[wanted] = _positions(_matrix(table, names)[wanted], _days(table)[wanted], _matrix(reference, names), _days(reference))
    return pl.DataFrame(result, schema=[f"{prefix}_{name}" for name in names]).fill_nan(None)


def _matrix(table: pl.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    return table.select(pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in names).to_numpy()


def _days(table: pl.DataFrame) -> np.ndarray:
    return table["available_at"].to_numpy().astype("datetime64[D]")


def _counted(asked: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Return the mid-rank share of a few rows among peers (features × peers); a comparison with a missing value is false."""
    each = np.ones(peers.shape[1], dtype=np.float32)  # sums of ones are exact up to 16 million
    count = np.isfinite(peers) @ each
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.array([((peers < row) @ each + (peers <= row) @ each).astype(float) / 2 / count for row in asked[..., None]])
    share[~np.isfinite(asked) | (count < MIN_PEERS)] = np.nan
    return share


def _positions(values: np.ndarray, dates: np.ndarray, peers: np.ndarray, published: np.ndarray) -> np.ndarray:
    """Return the mid-rank share of each value among the peers of its date; rows × features."""
    order = np.argsort(published, kind="stable")
    peers, published = peers[order], published[order]
    upright = np.ascontiguousarray(peers.T)
    result = np.full(values.shape, np.nan)
    for date in np.unique(dates):
        end = np.searchsorted(published, date, "right")
        if end == 0:
            continue
        start = np.searchsorted(published, published[end - 1] - WINDOW, "right")
        rows = np.flatnonzero(dates == date)
        if len(rows) <= FEW:  # counting is quicker than sorting
            result[rows] = _counted(values[rows], upright[:, start:end])
            continue
        block = np.sort(peers[start:end], axis=0)
        for column, count in enumerate(np.isfinite(block).sum(axis=0)):
            if count >= MIN_PEERS:
                known, asked = block[:count, column], values[rows, column]
                middle = (np.searchsorted(known, asked, "left") + np.searchsorted(known, asked, "right")) / 2
                result[rows, column] = np.where(np.isfinite(asked), middle / count, np.nan)
    return result
