"""Position among peers: the rank of a company's figures among the statements published in the year up to its own."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from quiebra.feature_engineering.feature import Feature
from quiebra.feature_engineering.fenwick import RankingPass, compiled_pass, mid_rank_shares
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
COUNT_UP_TO_ROWS = 12
"""Rows whose places are counted one by one: that takes as long as to look them up all at once."""
LOOKING_UP, PASSING, COMPILING = 20.0, 2.0, 1_000_000.0
"""Microseconds of looking up one row's ranks, of one row or statement in one pass over all dates, and of importing numba and
compiling that pass; measured for all features. The demo is quicker without numba."""
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
    run = compiled_pass() if is_worth_a_pass(len(values), len(peers.everyone.published)) else None
    among_all = peers.everyone.positions(values, days, run)
    at = [RANKED.index(name) for name in RANKED_IN_SECTOR]
    values, in_sector = values.T[at].T, among_all.T[at].T
    sectors = table["sector"].to_numpy()
    for name in peers.sectors.keys() & set(sectors):
        rows = np.flatnonzero(sectors == name)
        found = peers.sectors[name].positions(values[rows], days[rows], run)
        in_sector[rows] = np.where(np.isfinite(found), found, in_sector[rows])
    return table.with_columns(to_columns(np.column_stack([among_all, in_sector]), _RANK_NAMES))


def is_worth_a_pass(rows: int, statements: int) -> bool:
    """Return whether ranking rows among statements is quicker in one pass over all dates than row by row."""
    return LOOKING_UP * rows > COMPILING + PASSING * (rows + statements)


def _days(table: pl.DataFrame) -> np.ndarray:
    return table["available_at"].to_numpy().astype("datetime64[D]")


class _Published:
    """Some features of statements, in the order in which they came out; what is not finite is missing."""

    def __init__(self, rows: pl.DataFrame, names: tuple[str, ...]) -> None:
        order = np.argsort(_days(rows), kind="stable")
        self.published = _days(rows)[order]
        columns = np.take(to_matrix(rows, names).T, order, axis=1)
        self.columns = np.where(np.isfinite(columns), columns, np.nan)

    @cached_property
    def matrix(self) -> WaveletMatrix:
        return WaveletMatrix(self.columns)

    @cached_property
    def known(self) -> np.ndarray:
        """How many values of each feature are known up to each statement (statements + 1 × features)."""
        counts = np.zeros((self.columns.shape[1] + 1, len(self.columns)), dtype=np.int32)
        np.cumsum(np.isfinite(self.columns.T), axis=0, out=counts[1:])
        return counts

    def positions(self, values: np.ndarray, dates: np.ndarray, run: RankingPass | None) -> np.ndarray:
        """Return the mid-rank share of each value among the statements of its row's window; rows × features. run: to rank all
        dates in one pass; None: each row is looked up."""
        result = np.full(values.shape, np.nan, order="F")
        rows, starts, ends = self._windows(dates)
        if run is not None and len(rows):
            first, last = starts[0], ends[-1]
            for peers, asked, shares in zip(self.columns[:, first:last], values.T, result.T, strict=True):
                shares[rows] = mid_rank_shares(run, peers, asked[rows], starts - first, ends - first, MIN_PEERS)
        elif len(rows) <= COUNT_UP_TO_ROWS:
            for row, start, end in zip(rows, starts, ends, strict=True):
                result[row] = _counted(values[row], self.columns[:, start:end])
        else:
            result[rows] = self._looked_up(values[rows], starts, ends)
        result[~np.isfinite(values)] = np.nan
        return result

    def _windows(self, dates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows that have a date and statements before it, by date, and where the window of each begins and ends among
        the published."""
        order = np.argsort(dates, kind="stable")
        ends = np.searchsorted(self.published, dates[order], "right")
        some = (ends > 0) & ~np.isnat(dates[order])
        rows, ends = order[some], ends[some]
        return rows, np.searchsorted(self.published, self.published[ends - 1] - PEER_WINDOW, "right"), ends

    def _looked_up(self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        below, upto = self.matrix.counts_below(values, starts, ends)
        known = self.known[ends] - self.known[starts]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(known >= MIN_PEERS, (below + upto) / 2 / known, np.nan)


def _counted(asked: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Return the mid-rank share of one row among peers (features × peers); a comparison with a missing value is false."""
    each = np.ones(peers.shape[1], dtype=np.float32)  # sums of ones are exact up to 16 million
    known, row = np.isfinite(peers) @ each, asked[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = ((peers < row) @ each + (peers <= row) @ each).astype(float) / 2 / known
    return np.where(known >= MIN_PEERS, share, np.nan)
