"""A thousand damaged tables and params: an error meant for people or a result in which every row is counted, within memory."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from bad_tables import damaged, damaged_params, write
from conftest import default_params
from peak_memory import peak_memory

from quiebra.errors import ParamsError, QuiebraError, SourceError
from quiebra.panels import build_panel
from quiebra.params import load_params, validate_params
from quiebra.sources import table
from quiebra.workspace import Workspace

TABLES, PARAMS = 700, 300


def judge_table(seed: int, folder: Path) -> str:
    """Read one damaged table as the stage does; return ``refused`` or ``read``. An assertion fails where rows vanish."""
    chance = random.Random(seed)
    made = damaged(chance)
    path = write(made, folder, chance)
    options = validate_params(default_params(ingest={"table": {}})).ingest.table
    try:
        source = table.load(path, options)
    except SourceError as said:
        assert str(said).startswith(str(path)), (seed, str(said))
        return "refused"
    if not path.name.startswith("bytes"):  # how many rows are left there, nobody knows
        filled = sum(any(str(cell).strip() for cell in row) for row in made.rows) - ("_titles" in made.broken)
        assert source.statements.height == filled, seed
    try:
        panel = build_panel(source)
    except QuiebraError as said:
        assert "no statement is left" in str(said), (seed, str(said))
        return "refused"
    assert panel.statements.height + panel.quarantined.height == source.statements.height, seed
    assert panel.quality["rows_in"] == panel.quality["rows_kept"] + panel.quality["rows_quarantined"], seed
    return "read"


@pytest.mark.slow
def test_damaged_tables_are_read_or_refused_in_words(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:  # whose memory is that of these tables alone
        ends, kilobytes = process.submit(judge_tables, TABLES, tmp_path).result()
    assert ends.count("read") > TABLES / 10
    assert ends.count("refused") > TABLES / 10
    assert kilobytes < 1_000_000


def judge_tables(count: int, folder: Path) -> tuple[list[str], int]:
    return [judge_table(seed, folder) for seed in range(count)], peak_memory()


def test_damaged_params_are_used_or_refused_in_words() -> None:
    content, refused = default_params(), 0
    for seed in range(PARAMS):
        made = damaged_params(content, random.Random(seed))
        try:
            validate_params(made)
        except ParamsError as said:
            assert "params.yaml cannot be used" in str(said), seed
            refused += 1
    assert refused > PARAMS / 2


@pytest.mark.parametrize("text", ["", "- a", "ingest: [", "\t", "a: &a [*a]", "x" * 10])
def test_what_is_no_params_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load_params(Workspace(tmp_path))
