"""Peer ranks for sentences: shares of companies below and above a value, within the sector or among all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from quiebra.feature_engineering.peers import MIN_PEERS

MORE_THAN, LESS_THAN, SAME_AS_MOST, IN_THE_MIDDLE = "more", "less", "as most", "middle"
PEER_SHARES = (0.99, 0.95, 0.9, 0.8, 0.75, 2 / 3, 0.5)
"""Shares of peers that a `PeerPlace` can be above or below."""


class PeerPlace(NamedTuple):
    """A value's position among its peers.

    side: `MORE_THAN` or `LESS_THAN` at least ``share`` of them (one of `PEER_SHARES`), `SAME_AS_MOST` where over half have the
        same value, or `IN_THE_MIDDLE`. in_sector: the peers are the companies of its sector, else all.
    """

    side: str
    share: float
    in_sector: bool


PEER_PLACES: tuple[PeerPlace | None, ...] = (
    None,
    *(
        PeerPlace(side, share, in_sector)
        for in_sector in (True, False)
        for side, shares in ((MORE_THAN, PEER_SHARES), (LESS_THAN, PEER_SHARES), (SAME_AS_MOST, (1.0,)), (IN_THE_MIDDLE, (1.0,)))
        for share in shares
    ),
)
"""All possible places; None, the first, means unknown."""
_AT = {place: at for at, place in enumerate(PEER_PLACES)}
EPSILON = 1e-9


@dataclass(frozen=True)
class PeerRanks:
    """The companies that others are compared with, one row each with sector and features; see `latest_rows`."""

    companies: pl.DataFrame
    _kept: dict[tuple[str, bool], _Sorted | None] = field(default_factory=dict, repr=False)

    @cached_property
    def _codes(self) -> dict[str | None, int]:
        return {sector: at for at, sector in enumerate(self.companies["sector"].drop_nulls().unique().sort().to_list())}

    def codes(self, sectors: pl.Series) -> np.ndarray:
        """Return a number for each sector; -1 where it is missing, or no company has it."""
        return np.array([self._codes.get(sector, -1) for sector in sectors.to_list()], dtype=np.int64)

    def places(self, name: str, values: np.ndarray, codes: np.ndarray, *, in_sector: bool = True) -> np.ndarray:
        """Return the places of a feature's values, as indices of `PEER_PLACES`; arguments as in `shares`."""
        return peer_places(self.shares(name, values, codes, in_sector=in_sector))

    def shares(self, name: str, values: np.ndarray, codes: np.ndarray, *, in_sector: bool = True) -> np.ndarray:
        """Return the shares of peers below and above a feature's values, and whether these are of the sector (3 × values).

        Peers are the companies of the same sector; all companies where the sector is unknown, where fewer than 20 of it have a
        value, or where ``in_sector`` is false. NaN where fewer than 20 companies have a value, or the value is missing.
        codes: sectors of the values, see `codes`.
        """
        found = np.full((3, len(values)), np.nan)
        for whom in (True, False) if in_sector and self._codes else (False,):
            rest = np.flatnonzero(np.isnan(found[0]))
            if len(rest):
                found[:2, rest] = self._among(name, whom, values[rest], codes[rest] if whom else np.zeros_like(rest))
                found[2, rest] = whom
        return found

    def _among(self, name: str, in_sector: bool, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        key = (name, in_sector)
        if key not in self._kept:
            self._kept[key] = self._sorted(name, in_sector)
        peers = self._kept[key]
        if peers is None:
            return np.full((2, len(values)), np.nan)
        below, above, count = peers.counts(values, codes)
        known = np.isfinite(values) & (codes >= 0) & (count >= MIN_PEERS)
        return np.where(known, np.array([below, above]) / np.maximum(count, 1), np.nan)

    def _sorted(self, name: str, in_sector: bool) -> _Sorted | None:
        table = self.companies.select("sector", value=pl.col(name).cast(pl.Float64).fill_nan(None)).drop_nulls("value")
        if in_sector:
            table = table.drop_nulls("sector")
            codes = table["sector"].replace_strict(self._codes, return_dtype=pl.Int64).to_numpy()
        else:
            codes = np.zeros(table.height, dtype=np.int64)
        return _Sorted(table["value"].to_numpy(), codes) if table.height else None


def latest_rows(features: pl.DataFrame) -> pl.DataFrame:
    """Return each company's last row of a feature table."""
    rows = features.sort("company_id", "fiscal_year", "available_at")
    return rows.unique("company_id", keep="last", maintain_order=True)


class _Sorted:
    """Values of companies by group, as one sorted array of integers that encode group and rank."""

    def __init__(self, values: np.ndarray, codes: np.ndarray) -> None:
        self.values = np.unique(values)
        self.step = 2 * len(self.values) + 2
        self.keys = np.sort(codes * self.step + self._rank(values))

    def _rank(self, values: np.ndarray) -> np.ndarray:
        """Return odd ranks for values that occur, even ranks for values between them."""
        left = np.searchsorted(self.values, values)
        there = self.values[np.minimum(left, len(self.values) - 1)] == values
        rank: np.ndarray = 2 * left + there
        return rank

    def counts(self, values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, for each value, how many in its group are below it, how many above, and how many there are."""
        key = codes * self.step + self._rank(values)
        start, end = (np.searchsorted(self.keys, (codes + more) * self.step) for more in (0, 1))
        below = np.searchsorted(self.keys, key, "left") - start
        return below, end - np.searchsorted(self.keys, key, "right"), end - start


_STEPS = np.sort(PEER_SHARES) - EPSILON
_PLACES = np.array(
    [
        [
            [
                [_AT[PeerPlace(SAME_AS_MOST if tied else IN_THE_MIDDLE, 1.0, in_sector)] for tied in (False, True)],
                *([_AT[PeerPlace(side, share, in_sector)]] * 2 for share in sorted(PEER_SHARES)),
            ]
            for in_sector in (False, True)
        ]
        for side in (MORE_THAN, LESS_THAN)
    ]
)
"""Side, whether in the sector, step of `PEER_SHARES` that is reached, and whether most are the same → index of `PEER_PLACES`."""


def peer_places(shares: np.ndarray) -> np.ndarray:
    """Return the places, as indices of `PEER_PLACES`, of what `PeerRanks.shares` gives; 0, unknown, where that is NaN."""
    below, above, in_sector = np.nan_to_num(shares)
    more, less = np.searchsorted(_STEPS, (below, above), "right")
    tied = 1 - below - above > 0.5
    found = _PLACES[(less >= more).astype(int), in_sector.astype(int), np.maximum(more, less), tied.astype(int)]
    return np.where(np.isnan(shares[0]), 0, found)
