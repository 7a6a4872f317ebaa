"""params.yaml: what is wrong is named, with the remedy, before anything runs."""

import datetime as dt

import pytest
from conftest import default_params

from quiebra.errors import ParamsError
from quiebra.params import stage_params, validate_params
from quiebra.workspace import Workspace


def test_the_file_in_the_repository_is_good() -> None:
    assert validate_params(default_params()).ingest.sources == ["demo"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {"tres": 10}}, ["train.tres: unknown", "did you mean 'trees'"]),
        ({"trian": {}}, ["trian: unknown", "did you mean 'train'"]),
        ({"train": {"trees": "many"}}, ["train.trees", "valid integer", "'many'"]),
        ({"train": {"trees": 0}}, ["train.trees", "greater than or equal to 1"]),
        ({"train": {"blend_weight": 1.5}}, ["train.blend_weight", "less than or equal to 1"]),
        ({"ingest": {"source": "sap"}}, ["ingest.sources", "'demo', 'american', 'edgar', 'alpha_vantage', 'yahoo' or 'table'"]),
        ({"run": {"as_of": "soon"}}, ["run.as_of", "date", "YYYY-MM-DD"]),
        ({"run": {"as_of": dt.date(2025, 6, 30)}}, ["run.as_of", "in quotes"]),
        ({"score": {"watch_from": "CCCC"}}, ["watch_from", "did you mean 'CCC'"]),
        ({"score": {"grades": {"AAA": 0.9}}}, ["score.grades", "must rise"]),
        (
            {"stress": {"shocks": {"x": {"revenue": -20.0}}}},
            ["stress.shocks.x: revenue: ", "(a share: -0.2 is a fifth less), not -20"],
        ),
        ({"stress": {"shocks": {"x": {"rates": 200.0}}}}, ["stress.shocks.x: rates: ", "(0.02 is 200 basis points), not 200"]),
        ({"stress": {"shocks": {"x": {"margin": -3.0}}}}, ["margin: must lie between -1 and 1", "-0.03 is three points less"]),
        ({"stress": {"shocks": {"x": {"market_value": -40.0}}}}, ["market_value: must lie between -1 and 1", "two fifths less"]),
        ({"stress": {"shocks": {"x": {"leverage": 10.0}}}}, ["leverage: must lie between -1 and 1", "of assets"]),
        ({"stress": {"shocks": {"x": {}}}}, ["stress.shocks.x: moves nothing: give it one of revenue"]),
        ({"stress": {"shocks": {"x": {"rates": 0.0}}}}, ["stress.shocks.x: moves nothing"]),
        (
            {"stress": {"path": [-1.0, 5.0, 0.5, 0.25, 0.0]}},
            ["stress.path.0: must lie between 0 and 2 (how much", "stress.path.1: "],
        ),
        (
            {"stress": {"scenarios": {"severe": {"years": -1e9}}}},
            ["scenarios.severe.years: must lie between -10 and 10 (standard"],
        ),
        ({"stress": {"scenarios": {"severe": {"GDP_GROWTH": 11.0}}}}, ["scenarios.severe.GDP_GROWTH: ", "not 11"]),
    ],
)
def test_faults_are_named(changes: dict, words: list[str]) -> None:
    with pytest.raises(ParamsError) as caught:
        validate_params(default_params(**changes))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_all_faults_come_at_once() -> None:
    with pytest.raises(ParamsError) as caught:
        validate_params(default_params(train={"tres": 1, "trees": "x"}, report={"status": "FINE"}))
    assert str(caught.value).count("\n") == 3


def test_missing_key_is_named() -> None:
    content = default_params()
    del content["train"]["trees"]
    with pytest.raises(ParamsError, match=r"train\.trees: missing"):
        validate_params(content)


def test_a_stage_sees_only_what_it_declares() -> None:
    params = stage_params(Workspace.find(), "score")
    assert set(params) == {"score"}
    with pytest.raises(ParamsError, match="does not declare the section 'train'"):
        _ = params.train


def test_overrides_replace_single_keys() -> None:
    params = stage_params(Workspace.find(), "train", {"train": {"trees": 7}})
    assert params.train.trees == 7
    assert params.train.max_depth == default_params()["train"]["max_depth"]
