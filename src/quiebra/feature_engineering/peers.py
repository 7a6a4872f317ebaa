"""Position among peers: the rank of a company's figures among the statements published in the year up to its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property

import numpy as np
import polars as pl

from quiebra.feature_engineering.feature import Feature
from quiebra.feature_engineering.fenwick import compiled_pass, is_compiled, mid_rank_shares
from quiebra.feature_engineering.matrix import to_columns, to_matrix
from quiebra.feature_engineering.wavelet import WaveletMatrix

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
COMPILING, BUILDING = 600_000.0, 0.26
"""Microseconds to import numba and compile the pass over all dates, and to note one value of a feature for looking up."""
ROWS_LOOKED_UP = 10_000
"""Rows that are looked up at a time, which takes some 50 MB."""
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
    """The statements that others are ranked among, as a feature table."""

    def __init__(self, reference: pl.DataFrame) -> None:
        self.everyone = _Published(reference, RANKED)
        known = reference.select("available_at", "sector", *RANKED_IN_SECTOR).drop_nulls("sector")
        by_sector = known.group_by("sector", maintain_order=True)
        self.sectors = {name: _Published(rows, RANKED_IN_SECTOR) for (name,), rows in by_sector}

    def prepare(self) -> None:
        """Derive now what ranking more than a few rows needs, and not at the first such rows."""
        for published in (self.everyone, *self.sectors.values()):
            published.matrix, published.known  # noqa: B018  prepared by being read


def add_ranks(table: pl.DataFrame, peers: Peers) -> pl.DataFrame:
    """Add ``rank_NAME`` and ``sector_rank_NAME``, between 0 and 1 (ties share their middle).

    table: available_at, sector and the ranked features. Peers of a row are those statements published by its available_at and
    within a year of the last of those. Fewer than 20 peers, or a missing value, gives a missing rank; where a sector is unknown
    or too small, the rank among all stands in for that in the sector.
    """
    days, values = _days(table), to_matrix(table, RANKED)
    among_all = peers.everyone.positions(values, days)
    at = [RANKED.index(name) for name in RANKED_IN_SECTOR]
    values, in_sector = values.T[at].T, among_all.T[at].T
    sectors = table["sector"].to_numpy()
    for name in peers.sectors.keys() & set(sectors):
        rows = np.flatnonzero(sectors == name)
        found = peers.sectors[name].positions(values[rows], days[rows])
        in_sector[rows] = np.where(np.isfinite(found), found, in_sector[rows])
    return table.with_columns(to_columns(np.column_stack([among_all, in_sector]), _RANK_NAMES))


def _days(table: pl.DataFrame) -> np.ndarray:
    return table["available_at"].to_numpy().astype("datetime64[D]")


class _Published:
    """Some features of statements, in the order in which they came out; what is not finite is missing.

    building: microseconds that building the matrix would take, less what it would have spared so far.
    """

    def __init__(self, rows: pl.DataFrame, names: tuple[str, ...]) -> None:
        order = np.argsort(_days(rows), kind="stable")
        self.published = _days(rows)[order]
        columns = np.take(to_matrix(rows, names).T, order, axis=1)
        self.columns = np.where(np.isfinite(columns), columns, np.nan)
        self.building = BUILDING * columns.size

    @cached_property
    def matrix(self) -> WaveletMatrix:
        return WaveletMatrix(self.columns)

    @cached_property
    def known(self) -> np.ndarray:
        """How many values of each feature are known up to each statement (statements + 1 × features)."""
        counts = np.zeros((self.columns.shape[1] + 1, len(self.columns)), dtype=np.int32)
        np.cumsum(np.isfinite(self.columns.T), axis=0, out=counts[1:])
        return counts

    def positions(self, values: np.ndarray, dates: np.ndarray) -> np.ndarray:
        """Return the mid-rank share of each value among the statements of its row's window; rows × features.

        There are several ways, of which the quickest for so many rows and dates is taken; all give the same doubles.
        """
        result = np.full(values.shape, np.nan, order="F")
        rows, starts, ends = self._windows(dates)
        if len(rows):
            result[rows] = self._quickest(starts, ends)(values[rows], starts, ends)
        result[~np.isfinite(values)] = np.nan
        return result

    def _quickest(self, starts: np.ndarray, ends: np.ndarray) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """Return the way that takes the fewest microseconds, as measured; the matrix is built once it would have spared as much
        as building takes."""
        features, rows, peers, dates = len(self.columns), len(ends), ends - starts, np.flatnonzero(np.diff(ends, prepend=-1))
        looking_up = 250 + 0.4 * features * rows
        costs = {
            self._counted: 15 * rows + 0.0025 * features * peers.sum(),
            self._sorted: features * (7 * len(dates) + 0.012 * peers[dates].sum() + 0.13 * rows),
            self._looked_up: looking_up + (0 if "matrix" in self.__dict__ else max(0, self.building)),
            self._in_one_pass: 1000 + 0.07 * features * (rows + ends[-1] - starts[0]) + (0 if is_compiled() else COMPILING),
        }
        quickest = min(costs, key=costs.__getitem__)
        self.building -= max(0, costs[quickest] - looking_up)
        return quickest

    def _windows(self, dates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows that have a date and statements before it, by date, and where the window of each begins and ends among
        the published."""
        order = np.argsort(dates, kind="stable")
        ends = np.searchsorted(self.published, dates[order], "right")
        some = (ends > 0) & ~np.isnat(dates[order])
        rows, ends = order[some], ends[some]
        return rows, np.searchsorted(self.published, self.published[ends - 1] - PEER_WINDOW, "right"), ends

    def _counted(self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Compare each row with each of its peers."""
        windows = zip(values, starts, ends, strict=True)
        return np.array([_share_by_counting(row, self.columns[:, start:end]) for row, start, end in windows])

    def _sorted(self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Sort the peers of each date."""
        firsts = np.flatnonzero(np.diff(ends, prepend=-1))
        return np.concatenate(
            [
                _share_by_sorting(values[first:last], self.columns[:, starts[first] : ends[first]])
                for first, last in itertools.pairwise([*firsts, len(ends)])
            ]
        )

    def _looked_up(self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Look up the counts of each row in a matrix that is built once."""
        shares = np.empty(values.shape)
        for first in range(0, len(values), ROWS_LOOKED_UP):
            rows = slice(first, first + ROWS_LOOKED_UP)
            below, upto = self.matrix.counts_below(values[rows], starts[rows], ends[rows])
            shares[rows] = _share(below + upto, self.known[ends[rows]] - self.known[starts[rows]])
        return shares

    def _in_one_pass(self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Count in one pass over all dates, where numba can be imported."""
        run = compiled_pass()
        if run is None:
            return self._looked_up(values, starts, ends)
        first, last = starts[0], ends[-1]
        shares = [
            mid_rank_shares(run, peers, asked, starts - first, ends - first, MIN_PEERS)
            for peers, asked in zip(self.columns[:, first:last], values.T, strict=True)
        ]
        return np.column_stack(shares)


def _share_by_counting(asked: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Return the mid-rank share of one row among peers (features × peers); a comparison with a missing value is false."""
    each = np.ones(peers.shape[1], dtype=np.float32)  # sums of ones are exact up to 16 million
    twice = (peers < asked[:, None]) @ each + (peers <= asked[:, None]) @ each
    return _share(twice.astype(float), np.isfinite(peers) @ each)


def _share_by_sorting(asked: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Return the mid-rank share of rows among peers (features × peers)."""
    ordered, known = np.sort(peers, axis=1), np.isfinite(peers).sum(axis=1)  # the missing come last
    twice = [
        np.searchsorted(own[:count], values, "left") + np.searchsorted(own[:count], values, "right")
        for own, count, values in zip(ordered, known, asked.T, strict=True)
    ]
    return _share(np.column_stack(twice), known)


def _share(twice: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return mid-rank shares from how many peers are below and how many are below or equal, together, and how many there are."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known >= MIN_PEERS, twice / 2 / known, np.nan)
