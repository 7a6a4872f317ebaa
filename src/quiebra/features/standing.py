"""Where a company's figures stand among its peers: shares of companies below and above, of its sector or of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from quiebra.features.peers import MIN_PEERS

MORE, LESS, AS_MOST, MIDDLE = "more", "less", "as most", "middle"
SHARES = (0.99, 0.95, 0.9, 0.8, 0.75, 2 / 3, 0.5)
"""Shares of peers that a place can be above or below."""


class Place(NamedTuple):
    """A value's place among its peers.

    side: `MORE` or `LESS` than the ``share`` of them at least (of `SHARES`), `AS_MOST` where over half have the same value, or in
    the `MIDDLE`. in_sector: whether the peers are the companies of its sector, or all.
    """

    side: str
    share: float
    in_sector: bool


PLACES: tuple[Place | None, ...] = (
    None,
    *(
        Place(side, share, in_sector)
        for in_sector in (True, False)
        for side, shares in ((MORE, SHARES), (LESS, SHARES), (AS_MOST, (1.0,)), (MIDDLE, (1.0,)))
        for share in shares
    ),
)
"""Every place that there is; the first: not known."""
_AT = {place: at for at, place in enumerate(PLACES)}
EPSILON = 1e-9


@dataclass(frozen=True)
class Standing:
    """The companies that others are compared with: one row each, with sector and features; see `latest`."""

    companies: pl.DataFrame
    _kept: dict[tuple[str, bool], _Sorted | None] = field(default_factory=dict, repr=False)

    @cached_property
    def _codes(self) -> dict[str | None, int]:
        return {sector: at for at, sector in enumerate(self.companies["sector"].drop_nulls().unique().sort().to_list())}

    def codes(self, sectors: pl.Series) -> np.ndarray:
        """Return a number for each sector; -1 where it is unknown, or none of the companies' is that one."""
        if not self._codes:
            return np.full(len(sectors), -1)
        return sectors.replace_strict(self._codes, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()

    def places(self, name: str, values: np.ndarray, codes: np.ndarray, *, in_sector: bool = True) -> np.ndarray:
        """Return, for values of a feature, their places as indices of `PLACES`: among the companies of each one's sector, or
        among all where it is unknown, has fewer than 20 with a value, or is not asked for. 0, not known, where all are fewer than
        20, or a value is missing. codes: of the sectors, see `codes`."""
        found = self._among(name, False, values, np.zeros(len(values), dtype=np.int64))
        if in_sector and self._codes:
            own = self._among(name, True, values, codes)
            found = np.where(own > 0, own, found)
        return found

    def _among(self, name: str, in_sector: bool, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        key = (name, in_sector)
        if key not in self._kept:
            self._kept[key] = self._sorted(name, in_sector)
        peers = self._kept[key]
        if peers is None:
            return np.zeros(len(values), dtype=np.int64)
        below, above, count = peers.counts(values, codes)
        known = np.isfinite(values) & (codes >= 0) & (count >= MIN_PEERS)
        return np.where(known, _place(below / np.maximum(count, 1), above / np.maximum(count, 1), in_sector), 0)

    def _sorted(self, name: str, in_sector: bool) -> _Sorted | None:
        table = self.companies.select("sector", value=pl.col(name).cast(pl.Float64).fill_nan(None)).drop_nulls("value")
        if in_sector:
            table = table.drop_nulls("sector")
            codes = table["sector"].replace_strict(self._codes, return_dtype=pl.Int64).to_numpy()
        else:
            codes = np.zeros(table.height, dtype=np.int64)
        return _Sorted(table["value"].to_numpy(), codes) if table.height else None


def latest(features: pl.DataFrame) -> pl.DataFrame:
    """Return each company's last row of a feature table."""
    rows = features.sort("company_id", "fiscal_year", "available_at")
    return rows.unique("company_id", keep="last", maintain_order=True)


class _Sorted:
    """Values of companies by group, in one ascending array of whole numbers: group and rank of the value in one."""

    def __init__(self, values: np.ndarray, codes: np.ndarray) -> None:
        self.values = np.unique(values)
        self.step = 2 * len(self.values) + 2
        self.keys = np.sort(codes * self.step + self._rank(values))

    def _rank(self, values: np.ndarray) -> np.ndarray:
        """Return odd ranks of values that are there, even ones of those between them."""
        left = np.searchsorted(self.values, values)
        there = self.values[np.minimum(left, len(self.values) - 1)] == values
        return 2 * left + there

    def counts(self, values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return how many of each one's group are below, how many above, and how many there are."""
        key = codes * self.step + self._rank(values)
        start, end = (np.searchsorted(self.keys, (codes + more) * self.step) for more in (0, 1))
        below = np.searchsorted(self.keys, key, "left") - start
        return below, end - np.searchsorted(self.keys, key, "right"), end - start


def _place(below: np.ndarray, above: np.ndarray, in_sector: bool) -> np.ndarray:
    tied = 1 - below - above > 0.5
    found = np.where(tied, _AT[Place(AS_MOST, 1.0, in_sector)], _AT[Place(MIDDLE, 1.0, in_sector)])
    for share in reversed(SHARES):
        found = np.where(below >= share - EPSILON, _AT[Place(MORE, share, in_sector)], found)
        found = np.where(above >= share - EPSILON, _AT[Place(LESS, share, in_sector)], found)
    return found
