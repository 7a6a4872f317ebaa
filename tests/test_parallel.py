"""Fits at the same time: in order, few at once, the same result however many threads; and how far a stage has come."""

import threading
import time
from pathlib import Path

import pytest
from conftest import walk_on
from hypothesis import given
from hypothesis import strategies as st

from quiebra.models.parallel import map_in_threads
from quiebra.panels import Panel
from quiebra.params import Params
from quiebra.progress import PROGRESS_FILE, report_progress, show_progress


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4))
def test_results_come_in_order(items: list[int], threads: int) -> None:
    assert list(map_in_threads(lambda n: (time.sleep(abs(n) % 3 / 1000), n * 2)[1], items, threads)) == [n * 2 for n in items]


def test_no_more_run_at_once_than_asked_and_few_results_wait() -> None:
    running, most, started = 0, 0, 0
    lock = threading.Lock()

    def work(item: int) -> int:
        nonlocal running, most, started
        with lock:
            running, started = running + 1, started + 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return item

    results = map_in_threads(work, range(100), 3)
    assert [next(results) for _ in range(5)] == list(range(5))
    time.sleep(0.2)
    assert started <= 5 + 6
    results.close()  # type: ignore[attr-defined]  # a generator
    assert most <= 3
    assert started < 100


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_at_its_turn(threads: int) -> None:
    results = map_in_threads(lambda n: 1 // n, [1, 1, 0, 1], threads)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.slow
def test_a_model_is_the_same_whatever_the_threads(small_panel: Panel, params: Params) -> None:
    def walked(threads: int) -> tuple[bytes, ...]:
        run = params.run.model_copy(update={"threads": threads})
        train = params.train.model_copy(update={"trees": 20, "later_trees": 10, "min_years": 2})
        chain = walk_on(small_panel, params.model_copy(update={"run": run, "train": train}))
        trees = [scorer.near.save_raw("json") for scorer in chain.model.scorers.values()]
        return (chain.history.write_ipc(None).getvalue(), *map(bytes, trees))

    assert walked(1) == walked(2) == walked(3)


def test_progress_is_said_where_somebody_waits_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROGRESS_FILE, raising=False)
    report_progress("nobody waits")
    monkeypatch.setattr("quiebra.progress.PRINT_SECONDS", 0.0)
    with show_progress("3 of 11, train", tmp_path, announce=True):
        report_progress("year 2019 of 2024")
        time.sleep(0.6)
    report_progress("nobody waits any more")
    assert capsys.readouterr().err == "3 of 11, train\n3 of 11, train: year 2019 of 2024\n"
    with show_progress("train", tmp_path / "elsewhere", announce=False):
        time.sleep(0.3)
    assert capsys.readouterr().err == ""
