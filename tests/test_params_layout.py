"""params.yaml survives DVC, which reads and rewrites it for every experiment: one reading, and one line changed."""

from __future__ import annotations

import difflib
import math
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.utils.serialize import load_yaml, modify_yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from quiebra.errors import InvalidYamlError, ParamsError
from quiebra.io.safe_yaml import read_yaml
from quiebra.params import validate_params
from quiebra.services.settings import edit_params

PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")


def rewritten(folder: Path, text: str, **train: object) -> str:
    """Return a params.yaml as DVC writes it for an experiment with other values in `train`."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with modify_yaml(str(path)) as content:
        content["train"].update(train)
    return path.read_text(encoding="utf-8")


def changed(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_an_experiment_changes_one_line(tmp_path: Path) -> None:
    lines = changed(PARAMS, rewritten(tmp_path, PARAMS, trees=41))
    assert [line[0] for line in lines] == ["-", "+"]
    assert "trees: 250" in lines[0] and "trees: 41" in lines[1]


@pytest.mark.parametrize(
    "edits",
    [
        {"delivery.channels": {"team": {"kind": "slack", "severity": "medium", "quiet": ["20:00", "07:00"], "digest_above": 5}}},
        {"delivery.recipients": [{"address": "ana@example.com", "lang": "es"}, {"address": "bob@example.com"}]},
        {"delivery.timezone": "Europe/Madrid", "report.title": "yes: no - and on"},
        {
            "alerts.rules": {
                "a rule with a long name indeed": {
                    "measure": "pd_12m",
                    "raise": 0.2,
                    "clear": 0.1,
                    "pd_from": 0.04,
                    "severity": "high",
                }
            }
        },
    ],
)
def test_what_the_settings_page_writes_is_left_alone_by_dvc_and_read_as_it_was_meant(tmp_path: Path, edits: dict) -> None:
    edited = edit_params(PARAMS, edits)
    after = rewritten(tmp_path, edited, trees=41)
    assert len(changed(edited, after)) == 2
    before, now = (validate_params(read_yaml(text)).model_dump() for text in (edited, after))
    now["train"]["trees"] = before["train"]["trees"]
    assert now == before
    for name, value in edits.items():
        section, key = name.split(".")
        assert read_yaml(after)[section][key] == value


def test_a_text_that_yaml_does_not_keep_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"report\.title cannot be kept as it is typed"):
        edit_params(PARAMS, {"report.title": "one\x85two"})


def test_dvc_reads_what_we_read() -> None:
    assert read_yaml(PARAMS) == load_yaml(str(ROOT / "params.yaml"))


@given(st.text("0123456789abcdefox_+-.:eE~ynYsNtruTfalINi", max_size=8))
def test_a_value_means_the_same_to_both(scalar: str) -> None:
    try:
        theirs = YAML(typ="safe").load(f"a: {scalar}")
    except Exception:
        return
    try:
        ours = read_yaml(f"a: {scalar}")
    except InvalidYamlError:
        assert not isinstance(theirs, dict) or not isinstance(theirs["a"], float) or not math.isfinite(theirs["a"])
        return
    assert ours == theirs and type(ours["a"]) is type(theirs["a"])
