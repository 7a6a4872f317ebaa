"""Mid-ranks within a window that moves on through time, counted in one pass by a Fenwick tree that numba compiles.

Source: P. M. Fenwick (1994), A new data structure for cumulative frequency tables, Software: Practice and Experience 24, 327-336.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

RankingPass = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, np.ndarray, np.ndarray, np.ndarray], None]


@cache
def compiled_pass() -> RankingPass | None:
    """Return the pass that `mid_rank_shares` takes, compiled once a process; None where numba cannot be imported.

    Nothing is kept on disk: that would save some 0.2 s, and need a folder that can be written to.
    """
    try:
        from numba import njit
    except (ImportError, OSError):  # the latter where llvmlite is there without its library
        return None
    compiled: RankingPass = njit(_pass)
    return compiled


def is_compiled() -> bool:
    """Return whether this process has compiled the pass."""
    return compiled_pass.cache_info().currsize > 0


def mid_rank_shares(
    run: RankingPass, peers: np.ndarray, asked: np.ndarray, starts: np.ndarray, ends: np.ndarray, least: int
) -> np.ndarray:
    """Return the mid-rank of each value asked among the peers of its window: the share of them that is below, and half of that
    which is equal.

    run: what `compiled_pass` gave. peers: one value a statement, in order of publication. asked: one value a row. starts, ends:
    each row's window, as positions among the peers, without the end; neither ever goes back from one row to the next. A share is
    between 0 and 1, the same double as from counting the peers one by one. A value that is not finite is missing: it is no peer,
    and its share is NaN, as is that among fewer peers than ``least``, which is 1 or more. ValueError where a window goes beyond
    the peers: compiled code would read other memory.
    """
    if max(starts.max(initial=0), ends.max(initial=0)) > len(peers):
        raise ValueError(f"a window goes beyond the {len(peers)} peers")
    peer_codes, asked_codes, highest = _dense_codes(peers, asked)
    tree, equal = (np.zeros(highest + 1, dtype=np.int32) for _ in range(2))
    shares = np.full(len(asked), np.nan)
    run(peer_codes, asked_codes, starts, ends, least, tree, equal, shares)
    return shares


def _dense_codes(peers: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return a code for each value, the same for equal ones and higher for higher ones, from 1 up, 0 for the missing; and the
    highest code there is."""
    peers, asked = (np.where(np.isfinite(values), values, np.inf) for values in (peers, asked))  # NumPy sorts NaN far slower
    among_itself = np.array_equal(peers, asked)
    values = peers if among_itself else np.concatenate([peers, asked])
    order = np.argsort(values)[: np.count_nonzero(values < np.inf)]
    ordered = values[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    codes = np.zeros(len(values), dtype=np.int32)
    codes[order] = np.cumsum(new, dtype=np.int32)
    return codes[: len(peers)], codes[len(values) - len(asked) :], int(new.sum())


def _pass(
    peers: np.ndarray,
    asked: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    least: int,
    tree: np.ndarray,
    equal: np.ndarray,
    shares: np.ndarray,
) -> None:
    """Write the shares, from codes. tree, equal: zeros, one a code, that come to hold how many peers of the window have a code up
    to that one, as a Fenwick tree, and how many have that very code."""
    known = entered = left = 0
    for row in range(len(asked)):
        while entered < ends[row] or left < starts[row]:
            if entered < ends[row]:
                code, step = peers[entered], 1
                entered += 1
            else:
                code, step = peers[left], -1
                left += 1
            if code > 0:
                known += step
                equal[code] += step
                while code < len(tree):
                    tree[code] += step
                    code += code & -code
        code = asked[row]
        if code > 0 and known >= least:
            below_and_upto = -equal[code]
            while code > 0:
                below_and_upto += 2 * tree[code]
                code &= code - 1
            shares[row] = below_and_upto / 2 / known
