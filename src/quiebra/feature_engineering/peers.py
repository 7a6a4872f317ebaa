"""Position among peers: the rank of a company's figures among the statements published in the year up to its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import polars as pl

from quiebra.feature_engineering.feature import Feature
from quiebra.feature_engineering.fenwick import RankingPass, compiled_pass, mid_rank_shares
from quiebra.feature_engineering.matrix import to_columns, to_matrix

RANKED = (
    "log_assets",
    "log_revenue",
    "liabilities_to_assets",
    "net_income_to_assets",
    "ebitda_to_assets",
    "retained_earnings_to_assets",
    "working_capital_to_assets",
    "liquid_to_current_liabilities",
    "ebitda_to_liabilities",
    "asset_turnover",
    "ohlson_o",
    "log_revenue_change1",
    "log_assets_change1",
    "net_income_to_assets_change1",
    "net_income_to_assets_mean3",
    "liabilities_to_assets_change1",
    "log_market_value",
    "market_leverage",
    "net_income_to_market_assets",
    "market_value_to_revenue",
    "log_market_value_change1",
    "market_value_off_peak",
    "distance_to_default",
)
"""Features whose rank among all companies is one as well."""
RANKED_IN_SECTOR = ("liabilities_to_assets", "ebitda_to_assets", "net_income_to_assets_mean3", "log_assets", "market_leverage")
"""Features whose rank among companies of the same sector is one as well."""
MIN_PEERS = 20
COUNT_UP_TO_ROWS = 12
"""Rows of one date up to which their places are counted one by one; what is kept of a date costs as much as that."""
COMPILE_FROM_COMPARISONS = 25_000_000
"""Comparisons of a row with a peer that take as long as to import numba and compile a pass over all dates: 0.5 to 1 s, measured
at 20 to 40 ns for all features. The demo, which has half as many, is quicker without."""
COMPARISONS_PER_STATEMENT = 20
"""Comparisons that take as long as one more statement in that pass: 1.3 to 1.8 µs for all features, at 50 to 90 ns."""
KEPT_BYTES = 256_000_000
"""Most that is kept of the dates of one set of peers."""
PEER_WINDOW = np.timedelta64(365, "D")
_RANK_NAMES = (*(f"rank_{name}" for name in RANKED), *(f"sector_rank_{name}" for name in RANKED_IN_SECTOR))
WHY = "the level moves with the year and the market; the place among peers does not"
SOURCE = "Relative size and position; Shumway (2001), Chava and Jarrow (2004)"


def rank_features(by_name: dict[str, Feature]) -> tuple[Feature, ...]:
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
        known = reference.select("available_at", "sector", *RANKED_IN_SECTOR).drop_nulls("sector")
        self.sectors = {
            name: _Published(rows, RANKED_IN_SECTOR, keep) for (name,), rows in known.group_by("sector", maintain_order=True)
        }


def add_ranks(table: pl.DataFrame, peers: Peers) -> pl.DataFrame:
    """Add ``rank_NAME`` and ``sector_rank_NAME``, between 0 and 1 (ties share their middle).

    table: available_at, sector and the ranked features. Peers of a row are those statements published by its available_at and
    within a year of the last of those. Fewer than 20 peers, or a missing value, gives a missing rank; where a sector is unknown
    or too small, the rank among all stands in for that in the sector.
    """
    days, values = _days(table), to_matrix(table, RANKED)
    windows = peers.everyone.windows(days)
    run = compiled_pass() if peers.everyone.kept is None and windows.worth_a_pass() else None
    among_all = peers.everyone.positions(values, windows, run)
    at = [RANKED.index(name) for name in RANKED_IN_SECTOR]
    values, in_sector = values.T[at].T, among_all.T[at].T
    sectors = table["sector"].to_numpy()
    for name in peers.sectors.keys() & set(sectors):
        rows, own = np.flatnonzero(sectors == name), peers.sectors[name]
        found = own.positions(values[rows], own.windows(days[rows]), run)
        in_sector[rows] = np.where(np.isfinite(found), found, in_sector[rows])
    return table.with_columns(to_columns(np.column_stack([among_all, in_sector]), _RANK_NAMES))


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


class _Windows(NamedTuple):
    """The rows of each date that has peers, earliest first, and where these begin and end among the published."""

    rows: list[np.ndarray]
    starts: np.ndarray
    ends: np.ndarray

    def worth_a_pass(self) -> bool:
        """Whether one pass over all dates is quicker than each for itself, which compares every row with every peer of its date;
        to sort a date's peers takes about as long as to compare `COUNT_UP_TO_ROWS` rows."""
        if not self.rows:
            return False
        counts = np.array([len(rows) for rows in self.rows])
        compared = (self.ends - self.starts) @ np.minimum(counts, COUNT_UP_TO_ROWS)
        return bool(
            compared > COMPILE_FROM_COMPARISONS + COMPARISONS_PER_STATEMENT * (self.ends[-1] - self.starts[0] + counts.sum())
        )


class _Published:
    """Some features of statements, in the order in which they came out."""

    def __init__(self, rows: pl.DataFrame, names: tuple[str, ...], keep: bool) -> None:
        order = np.argsort(_days(rows), kind="stable")
        self.published = _days(rows)[order]
        self.upright = np.take(to_matrix(rows, names).T, order, axis=1)
        self.values = self.upright.T
        self.kept = _Kept(self.values) if keep else None

    def windows(self, dates: np.ndarray) -> _Windows:
        """Return the windows of rows by their dates; rows before any statement, or without a date, are in none."""
        order = np.argsort(dates, kind="stable")
        ordered = dates[order]
        days = np.unique(ordered)
        ends = np.searchsorted(self.published, days, "right")
        some = (ends > 0) & ~np.isnat(days)
        days, ends = days[some], ends[some]
        starts = np.searchsorted(self.published, self.published[ends - 1] - PEER_WINDOW, "right")
        firsts, lasts = (np.searchsorted(ordered, days, side) for side in ("left", "right"))
        return _Windows([order[first:last] for first, last in zip(firsts, lasts, strict=True)], starts, ends)

    def positions(self, values: np.ndarray, windows: _Windows, run: RankingPass | None) -> np.ndarray:
        """Return the mid-rank share of each value among the statements of its window; rows × features. run: to rank all dates in
        one pass; None: each for itself."""
        if self.kept is not None:
            result = self._by_kept_counts(values, windows, self.kept)
        elif run is not None and not np.isneginf(self.values).any():  # sorting and counting take minus infinity for a value
            result = self._in_one_pass(values, windows, run)
        else:
            result = np.full(values.shape, np.nan)
            for rows, start, end in zip(*windows, strict=True):
                if len(rows) <= COUNT_UP_TO_ROWS:  # counting is quicker than sorting
                    result[rows] = _counted(values[rows], self.upright[:, start:end])
                else:
                    result[rows] = _sorted(values[rows], self.values[start:end])
        result[~np.isfinite(values)] = np.nan
        return result

    def _by_kept_counts(self, values: np.ndarray, windows: _Windows, kept: _Kept) -> np.ndarray:
        """Return the shares from what is kept of each date; the rows of a date that few have asked for are counted."""
        result, looked_up = np.full(values.shape, np.nan), []
        for rows, start, end in zip(*windows, strict=True):
            if kept.is_worth_counting(start, end, len(rows)):
                looked_up.append((rows, start, end))
            else:
                result[rows] = _counted(values[rows], self.upright[:, start:end])
        if looked_up:
            rows = np.concatenate([rows for rows, _, _ in looked_up])
            result[rows] = kept.shares(values, looked_up)[rows]
        return result

    def _in_one_pass(self, values: np.ndarray, windows: _Windows, run: RankingPass) -> np.ndarray:
        result = np.full(values.shape, np.nan, order="F")
        if windows.rows:
            rows, counts = np.concatenate(windows.rows), [len(own) for own in windows.rows]
            first, last = windows.starts[0], windows.ends[-1]
            starts, ends = (np.repeat(at - first, counts) for at in (windows.starts, windows.ends))
            for peers, asked, shares in zip(self.upright[:, first:last], values.T, result.T, strict=True):
                shares[rows] = mid_rank_shares(run, peers, asked[rows], starts, ends, MIN_PEERS)
        return result


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
    """How many statements of each date are below each value that any statement has: counted once, then looked up. The dates that
    were not asked for the longest are counted again once all take more than `KEPT_BYTES`."""

    def __init__(self, values: np.ndarray) -> None:
        self.order = np.argsort(values, axis=0)
        self.all = np.sort(values.T, axis=1)  # features × rows; the missing come last
        self.known = np.isfinite(values).sum(axis=0)
        self.counts: dict[tuple[int, int], np.ndarray] = {}
        self.bytes = 0
        self.asked: defaultdict[tuple[int, int], int] = defaultdict(int)

    def is_worth_counting(self, start: int, end: int, rows: int) -> bool:
        """Return whether a date is kept, or more rows have asked for it, these among them, than are counted one by one."""
        if (start, end) in self.counts:
            return True
        self.asked[start, end] += rows
        return self.asked[start, end] > COUNT_UP_TO_ROWS

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
        counts = self.counts.pop((start, end), None)
        if counts is None:
            inside = (self.order >= start) & (self.order < end)
            counts = np.zeros((len(inside) + 1, inside.shape[1]), dtype=np.min_scalar_type(len(inside)))
            np.cumsum(inside, axis=0, out=counts[1:])
            self.bytes += counts.nbytes
            while self.counts and self.bytes > KEPT_BYTES:
                oldest = next(iter(self.counts))
                self.bytes -= self.counts.pop(oldest).nbytes
                self.asked[oldest] = 0
        self.counts[start, end] = counts  # the last asked for is the last
        return counts
