"""A few kills and full disks at random moments; `benchmarks/attack_runs.py` makes hundreds."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from attack_runs import attack, fill, kill, small_disk
from attacked import FAULTS, Target, target_in


@pytest.fixture
def near() -> Iterator[Path]:
    """A folder whose path is short, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        yield Path(folder)


def faults(target: Target) -> tuple[list[str], list[int]]:
    return target.faults, [target.counts[name] for name in FAULTS]


NONE = ([], [0] * len(FAULTS))


def test_kills_at_random_moments_lose_double_block_and_leave_nothing_on_postgresql(finished: Path, near: Path, postgres) -> None:  # type: ignore[no-untyped-def]
    with target_in(near / "w", finished, postgres("attacks"), light=True, seed=11) as target:
        attack(target, kill, 3)
        assert faults(target) == NONE
        assert target.counts["kills"] >= 1


def test_kills_and_full_disks_at_random_moments_lose_double_block_and_leave_nothing(finished: Path, near: Path) -> None:
    try:
        with small_disk(near / "disk", 300) as disk, target_in(disk / "w", finished, None, light=True, seed=12) as target:
            attack(target, kill, 3)
            attack(target, fill, 3)
            assert faults(target) == NONE
            assert target.counts["kills"] >= 1
            assert target.counts["full disks"] >= 1
    except PermissionError as error:
        pytest.skip(f"no disk of its own can be had: {error}")
