"""Position among peers: the rank of a company's figures among the statements published in the year up to its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
        history=feature.history,
    )


class Peers:
    """The statements that others are ranked among, as a feature table. keep: hold on to what was counted for each date, for who
    ranks the same statements many times over, as under one shock after the other; that takes memory, so few dates only."""

    def __init__(self, reference: pl.DataFrame, *, keep: bool = False) -> None:
        self.everyone = _Published(reference, RANKED, keep)
        known = reference.filter(pl.col("sector").is_not_null())
        self.sectors = {
            name: _Published(rows, RANKED_IN_SECTOR, keep) for (name,), rows in known.group_by("sector", maintain_order=True)
        }


def with_ranks(table: pl.DataFrame, peers: Peers) -> pl.DataFrame:
    """Add ``rank_NAME`` and ``sector_rank_NAME``, between 0 and 1 (ties share their middle).

    table: available_at, sector and the ranked features. Peers of a row are those statements published by its available_at and
    within a year of the last of those. Fewer than 20 peers, or a missing value, gives a missing rank; where a sector is unknown
    or too small, the rank among all stands in for that in the sector.
    """
    days, values = _days(table), _matrix(table, RANKED)
    among_all = peers.everyone.positions(values, days)
    at = [RANKED.index(name) for name in RANKED_IN_SECTOR]
    values, in_sector = values[:, at], among_all[:, at]
    for name, own in peers.sectors.items():
        rows = np.flatnonzero((table["sector"] == name).fill_null(False).to_numpy())
        found = own.positions(values[rows], days[rows])
        in_sector[rows] = np.where(np.isfinite(found), found, in_sector[rows])
    names = [*(f"rank_{name}" for name in RANKED), *(f"sector_rank_{name}" for name in RANKED_IN_SECTOR)]
    return table.with_columns(pl.DataFrame(np.column_stack([among_all, in_sector]), schema=names).fill_nan(None))


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
    share[:, count < MIN_PEERS] = np.nan
    return share


class _Published:
    """Some features of statements, in the order in which they came out."""

    def __init__(self, rows: pl.DataFrame, names: tuple[str, ...], keep: bool) -> None:
        order = np.argsort(_days(rows), kind="stable")
        self.names, self.published, self.values = names, _days(rows)[order], _matrix(rows, names)[order]
        self.upright = np.ascontiguousarray(self.values.T)
        self.kept = _Kept(self.values) if keep else None

    def positions(self, values: np.ndarray, dates: np.ndarray) -> np.ndarray:
        """Return the mid-rank share of each value among the statements of its date; rows × features."""
        if self.kept is not None:
            result = self.kept.shares(values, self._windows(dates))
        else:
            result = np.full(values.shape, np.nan)
            for rows, start, end in self._windows(dates):
                if len(rows) <= FEW:  # counting is quicker than sorting
                    result[rows] = _counted(values[rows], self.upright[:, start:end])
                else:
                    result[rows] = _sorted(values[rows], self.values[start:end])
        result[~np.isfinite(values)] = np.nan
        return result

    def _windows(self, dates: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield the rows of each date, and where its statements begin and end; dates without any are left out."""
        for date in np.unique(dates):
            end = int(np.searchsorted(self.published, date, "right"))
            if end:
                start = int(np.searchsorted(self.published, self.published[end - 1] - WINDOW, "right"))
                yield np.flatnonzero(dates == date), start, end


def _sorted(asked: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Return the mid-rank share of many rows among peers."""
    share, block = np.full(asked.shape, np.nan), np.sort(peers, axis=0)
    for column, count in enumerate(np.isfinite(block).sum(axis=0)):
        if count >= MIN_PEERS:
            known = block[:count, column]
            left, right = (np.searchsorted(known, asked[:, column], side) for side in ("left", "right"))
            share[:, column] = (left + right) / 2 / count
    return share


class _Kept:
    """How many statements of each date are below each value that any statement has: counted once, then looked up."""

    def __init__(self, values: np.ndarray) -> None:
        self.order = np.argsort(values, axis=0)
        self.all = np.sort(values.T, axis=1)  # features × rows; the missing come last
        self.known = np.isfinite(values).sum(axis=0)
        self.counts: dict[tuple[int, int], np.ndarray] = {}

    def shares(self, asked: np.ndarray, windows: Iterable[tuple[np.ndarray, int, int]]) -> np.ndarray:
        """Return the mid-rank share of each value asked among the statements of its window: rows, start and end."""
        below, upto = self._places(asked)
        counted, of, features = np.zeros(asked.shape), np.zeros(asked.shape), np.arange(len(self.known))
        for rows, start, end in windows:
            counts = self._counts(start, end)
            of[rows] = counts[self.known, features]
            counted[rows] = counts[below[rows], features]
            counted[rows] += counts[upto[rows], features]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(of >= MIN_PEERS, counted / 2 / of, np.nan)

    def _places(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many of all values are below each asked, and how many below or equal."""
        below = np.zeros(asked.shape, dtype=np.intp)
        upto = below.copy()
        for n in range(asked.shape[1] if self.all.size else 0):
            known, order = self.all[n], np.argsort(asked[:, n])  # in order, a search goes on from where the last one ended
            own = asked[order, n]
            found = np.searchsorted(known, own, "left")
            below[order, n] = upto[order, n] = found
            ties = known[np.minimum(found, len(known) - 1)] == own
            upto[order[ties], n] = np.searchsorted(known, own[ties], "right")
        return below, upto

    def _counts(self, start: int, end: int) -> np.ndarray:
        """Return how many of the least values, from none to all, came out from ``start`` to ``end``."""
        if (start, end) not in self.counts:
            inside = (self.order >= start) & (self.order < end)
            self.counts[start, end] = np.zeros((len(inside) + 1, inside.shape[1]), dtype=np.min_scalar_type(len(inside)))
            np.cumsum(inside, axis=0, out=self.counts[start, end][1:])
        return self.counts[start, end]
