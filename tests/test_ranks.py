"""Ranks among peers: one pass over all dates gives each double that ranking date by date gives, and is made only where it pays."""

import datetime as dt
import hashlib
import math
import sys
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest
from conftest import ROOT, command
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quiebra.feature_engineering import peers as ranking
from quiebra.feature_engineering.fenwick import compiled_pass, mid_rank_shares
from quiebra.feature_engineering.peers import RANKED, Peers, add_ranks

FIRST_DAY = dt.date(2019, 1, 1)
USUAL = (*np.linspace(-2, 2, 9), math.nan)
HOSTILE = (0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, 1.0, math.nextafter(1.0, 2), math.nan, math.inf)
with_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not there, so there is no pass over all dates")


def statements(rng: np.random.Generator, count: int, days: int, pool: tuple[float, ...], missing: float = 0.1) -> pl.DataFrame:
    """A feature table with values from a pool, at random dates from `FIRST_DAY` on."""
    sectors = rng.choice(np.array(["A", "B", "of one", None]), count, p=[0.5, 0.3, 0.05, 0.15])
    values = np.where(rng.random((count, len(RANKED))) < missing, np.nan, rng.choice(np.array(pool), (count, len(RANKED))))
    table = pl.DataFrame(values, schema=list(RANKED)).with_columns(pl.col(RANKED[0]).fill_nan(None))
    published = FIRST_DAY + pl.Series(rng.integers(0, days, count), dtype=pl.Int64) * dt.timedelta(days=1)
    return table.with_columns(available_at=published, sector=pl.Series(sectors.tolist(), dtype=pl.String))


def each_way(table: pl.DataFrame, peers: Peers) -> set[bytes]:
    """The ranks as bytes: counted, sorted date by date, looked up, and in one pass over all dates."""
    found = set()
    for way in ("_counted", "_sorted", "_looked_up", "_in_one_pass"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranking, "ROWS_LOOKED_UP", 50)
            patch.setattr(ranking._Published, "_quickest", lambda self, starts, ends, way=way: getattr(self, way))
            found.add(as_bytes(add_ranks(table, peers)))
    return found


def as_bytes(ranked: pl.DataFrame) -> bytes:
    ranks = ranked.select(pl.col("^(sector_)?rank_.*$").fill_null(math.nan)).to_numpy()
    return ranks.tobytes(order="C")


@with_numba
def test_mid_ranks_by_hand() -> None:
    peers = np.array([1.0, 2.0, 2.0, math.nan, 4.0, math.inf])
    asked = np.array([2.0, 1.0, 3.0, 4.0, 2.0, 9.0, math.nan, 4.0])
    windows = [(0, 1), (0, 2), (0, 3), (1, 5), (2, 5), (2, 6), (2, 6), (5, 6)]
    starts, ends = np.array(windows).T
    run = compiled_pass()
    assert run is not None
    got = mid_rank_shares(run, peers, asked, starts, ends, 1)
    # among 1: above · 1 2: half of the first · 1 2 2: above · 2 2 4: two and a half · 2 4: half of the first · 2 4: above
    assert got[:6].tolist() == [1.0, 0.25, 1.0, 2.5 / 3, 0.25, 1.0]
    assert np.isnan(got[6:]).all()  # no value; and no peer with one
    few = mid_rank_shares(run, peers, asked, starts, ends, 3)
    assert np.isfinite(few).tolist() == [False, False, True, True, False, False, False, False]
    nobody = mid_rank_shares(run, peers[:0], asked[:1], starts[:1] * 0, ends[:1] * 0, 1)
    assert np.isnan(nobody).tolist() == [True]
    assert mid_rank_shares(run, peers, asked[:0], starts[:0], ends[:0], 1).tolist() == []
    with pytest.raises(ValueError, match="beyond the 5 peers"):
        mid_rank_shares(run, peers[:5], asked, starts, ends, 1)


@with_numba
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 160),
    asked=st.one_of(st.none(), st.integers(0, 90)),
    days=st.sampled_from((1, 3, 40, 365, 366, 367, 1200)),
    later=st.sampled_from((-500, -1, 0, 1, 364, 365, 366, 2000)),
    pool=st.sampled_from((USUAL, HOSTILE, (*HOSTILE, -math.inf), (0.5,), (math.nan,), (-math.inf, 1.0))),
    missing=st.sampled_from((0.0, 0.3, 0.95)),
)
@example(seed=0, count=160, asked=None, days=1, later=0, pool=(*HOSTILE, -math.inf), missing=0.0)
@example(seed=1, count=160, asked=90, days=367, later=366, pool=HOSTILE, missing=0.3)
@settings(max_examples=150, deadline=None)
def test_each_way_gives_the_same_doubles(
    seed: int, count: int, asked: int | None, days: int, later: int, pool: tuple[float, ...], missing: float
) -> None:
    """asked: rows of their own, some days later; None: the peers among themselves."""
    rng = np.random.default_rng(seed)
    peers = statements(rng, count, days, pool, missing)
    rows = peers if asked is None else statements(rng, asked, days, (*pool, *HOSTILE, -math.inf), missing)
    rows = rows if asked is None else rows.with_columns(pl.col("available_at") + dt.timedelta(days=later))
    assert len(each_way(rows.sample(fraction=1, shuffle=True, seed=seed % 1000), Peers(peers))) == 1


def test_a_row_without_a_date_has_no_ranks() -> None:
    table = statements(np.random.default_rng(0), 200, 3, USUAL)
    table = table.with_columns(pl.when(pl.int_range(200) > 0).then("available_at"))
    assert len(each_way(table, Peers(table))) == 1
    first, *others = add_ranks(table, Peers(table))["rank_log_revenue"]
    assert first is None and any(rank is not None for rank in others)


def test_the_ranks_of_the_demo_are_the_same_each_way(features: pl.DataFrame) -> None:
    table = features.sample(2000, seed=1)
    assert len(each_way(table, Peers(features))) == 1


BY_ITSELF = """
import hashlib, math, sys
sys.path.insert(0, "tests")
import numpy as np
from test_ranks import USUAL, as_bytes, ranking, statements
from quiebra.feature_engineering.fenwick import compiled_pass
from quiebra.feature_engineering.peers import Peers, add_ranks
"""


def said_by_itself(code: str) -> list[str]:
    """What a new process says, which imports nothing that it does not use."""
    done = command(ROOT, sys.executable, "-c", BY_ITSELF + code)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@with_numba
def test_without_numba_the_ranks_are_the_same() -> None:
    code = """
sys.modules["numba"] = None  # importing it fails
ranking._Published._quickest = lambda self, starts, ends: self._in_one_pass
table = statements(np.random.default_rng(5), 3000, 900, USUAL)
print(compiled_pass(), hashlib.sha256(as_bytes(add_ranks(table, Peers(table)))).hexdigest())
"""
    table = statements(np.random.default_rng(5), 3000, 900, USUAL)
    (ranks,) = each_way(table, Peers(table))
    assert said_by_itself(code) == ["None", hashlib.sha256(ranks).hexdigest()]


def test_few_rows_and_a_panel_of_the_size_of_the_demo_never_import_numba() -> None:
    """They would wait longer for it than they take."""
    code = """
table = statements(np.random.default_rng(5), 100_000, 900, USUAL)
add_ranks(table[:100], Peers(table))
add_ranks(table[:15_000], Peers(table[:15_000]))
print("numba" in sys.modules)
add_ranks(table, Peers(table))
print("numba" in sys.modules)
"""
    assert said_by_itself(code) == ["False", str(find_spec("numba") is not None)]
