"""Statements that another system sends: each is scored as if it came alone, and as the run itself has scored it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quiebra.errors import PanelError
from quiebra.items import ITEM_NAMES
from quiebra.models.term import PD_COLUMNS
from quiebra.services.loaded_model import LoadedModel, load_model
from quiebra.services.prediction import STATEMENT_COLUMNS, CompanyStatements, predict
from quiebra.workspace import Workspace

PLAIN = {"fiscal_year": 2022, "total_assets": 100.0, "total_liabilities": 60.0, "current_assets": 40.0, "revenue": 90.0}


@pytest.fixture(scope="module")
def loaded(finished: Path) -> LoadedModel:
    return load_model(Workspace(finished))


@pytest.fixture(scope="module")
def scores(finished: Path) -> dict[str, dict[str, Any]]:
    table = pl.read_parquet(finished / "data" / "scores" / "scores.parquet")
    return {row["company_id"]: row for row in table.iter_rows(named=True)}


def stored(loaded: LoadedModel, company_id: str, **changes: Any) -> CompanyStatements:
    """What a system would send that has all that the panel has of a company."""
    rows = loaded.statements.filter(pl.col("company_id") == company_id, pl.col("available_at") <= loaded.as_of)
    return CompanyStatements(company_id, rows.select(STATEMENT_COLUMNS).to_dicts(), **changes)


def plain(company_id: str = "new", **changes: Any) -> CompanyStatements:
    return CompanyStatements(company_id, [{**PLAIN, **changes}])


def test_what_the_run_has_scored_is_scored_the_same(loaded: LoadedModel, scores: dict[str, dict[str, Any]]) -> None:
    answers = predict(loaded, [stored(loaded, company) for company in scores])
    assert len(answers) > 100
    for answer in answers:
        assert isinstance(answer, dict)
        row = scores[answer["company_id"]]
        for name in (*PD_COLUMNS, "pd_12m_low", "pd_60m_high"):
            assert answer[name] == round(row[name], 6), (answer["company_id"], name)
        assert (answer["rating"], answer["watch"], answer["scorer"]) == (row["rating"], row["watch"], row["scorer"])
        assert answer["scored"]["fiscal_year"] == row["fiscal_year"]


def test_stored_history_is_joined_only_where_asked_for(loaded: LoadedModel, scores: dict[str, dict[str, Any]]) -> None:
    company = next(iter(scores))
    whole = stored(loaded, company)
    last = dataclasses.replace(whole, rows=whole.rows[-1:])
    alone, joined, none_sent, all_sent = predict(
        loaded,
        [
            last,
            dataclasses.replace(last, use_history=True, as_of=loaded.as_of),
            CompanyStatements(company, [], use_history=True, as_of=loaded.as_of),
            whole,
        ],
    )
    assert isinstance(alone, dict) and isinstance(joined, dict) and isinstance(none_sent, dict) and isinstance(all_sent, dict)
    assert len(alone["years_used"]) == 1
    assert joined["years_used"] == none_sent["years_used"] == all_sent["years_used"]
    assert joined["pd_12m"] == none_sent["pd_12m"] == all_sent["pd_12m"] == round(scores[company]["pd_12m"], 6)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_a_company_gets_the_same_digits_alone_and_among_others(loaded: LoadedModel, data: st.DataObject) -> None:
    amounts = st.one_of(st.none(), st.floats(-1e4, 1e6), st.sampled_from([0.0, 1e-6, 1e9]))
    row = st.fixed_dictionaries(
        {"fiscal_year": st.integers(2015, 2023), "total_assets": st.floats(1e-6, 1e8)},
        optional={name: amounts for name in ITEM_NAMES if name != "total_assets"},
    )
    sectors = st.sampled_from([None, "C Manufacturing", "no such sector"])
    ids = st.sampled_from(["a", "b", *loaded.companies["company_id"].head(3)])
    one = st.builds(
        CompanyStatements, ids, st.lists(row, min_size=1, max_size=4), sector=sectors, units=st.sampled_from([1.0, 1e-6])
    )
    asked = data.draw(st.lists(one, min_size=1, max_size=6))
    together = predict(loaded, asked)
    for company, answer in zip(asked, together, strict=True):
        (alone,) = predict(loaded, [company])
        assert str(alone) == str(answer)


def test_the_order_of_companies_and_of_years_changes_nothing(loaded: LoadedModel, scores: dict[str, dict[str, Any]]) -> None:
    asked = [stored(loaded, company) for company in list(scores)[:20]]
    mixed = [dataclasses.replace(one, rows=random.Random(1).sample(list(one.rows), len(one.rows))) for one in asked[::-1]]
    assert predict(loaded, mixed)[::-1] == predict(loaded, asked)


@pytest.mark.parametrize(
    ("company", "said"),
    [
        (plain(total_assets=None), "total_assets is missing"),
        (plain(total_assets=-5.0), "total_assets is missing, negative"),
        (plain(fiscal_year=1066), "fiscal_year is missing or not between"),
        (plain(total_assets=float("inf")), "an amount is infinite"),
        (plain(period_end=dt.date(2022, 12, 31), available_at=dt.date(2022, 1, 1)), "available_at lies before period_end"),
        (CompanyStatements("nobody", [], use_history=True), "the panel has no statement of it"),
        (dataclasses.replace(plain(), as_of=dt.date(2022, 6, 30)), "was not published by 2022-06-30"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_reason_and_the_others_are_scored(
    loaded: LoadedModel, company: CompanyStatements, said: str
) -> None:
    before, answer, after = predict(loaded, [plain("x"), company, plain("y")])
    assert isinstance(answer, PanelError) and said in str(answer) and company.company_id in str(answer)
    assert isinstance(before, dict) and isinstance(after, dict)
    assert before["pd_12m"] == after["pd_12m"]


def notes(loaded: LoadedModel, company: CompanyStatements) -> str:
    (answer,) = predict(loaded, [company])
    assert isinstance(answer, dict)
    assert all(note["es"] for note in answer["notes"])
    return "\n".join(note["en"] for note in answer["notes"])


def test_doubts_are_told_with_the_answer(loaded: LoadedModel, scores: dict[str, dict[str, Any]]) -> None:
    known = next(iter(scores))
    in_thousands = dataclasses.replace(stored(loaded, known), units=1000.0)
    assert "total assets are about 1000 times those of the panel" in notes(loaded, in_thousands)
    assert "total assets are" not in notes(loaded, stored(loaded, known))
    assert "SIMULATED" in notes(loaded, plain())
    assert "do not trust this PD" in notes(loaded, CompanyStatements("new", [{"fiscal_year": 2022, "total_assets": 5.0}]))
    assert "amounts are in USD" in notes(loaded, dataclasses.replace(plain(), currency="USD"))
    assert "no sector 'Alchemy'" in notes(loaded, dataclasses.replace(plain(), sector="Alchemy"))
    assert "current assets are above total assets" in notes(loaded, plain(current_assets=500.0))
    assert "negative value of Revenue in 2022" in notes(loaded, plain(revenue=-1.0))
    assert "more than 24 months" in notes(loaded, plain(fiscal_year=2015))


def test_units_are_millions_of_the_amounts(loaded: LoadedModel) -> None:
    ones = {name: value * 1e6 if name != "fiscal_year" else value for name, value in PLAIN.items()}
    millions, single = predict(loaded, [plain(), CompanyStatements("new", [ones], units=1e-6)])
    assert millions == single


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.integers(1, 10**9), min_size=4, max_size=4))
def test_the_same_amounts_in_another_unit_have_the_same_digits(loaded: LoadedModel, amounts: list[int]) -> None:
    """Thousands as they are, as millions with three decimals, and in ones."""
    names = [name for name in PLAIN if name != "fiscal_year"]
    as_sent = [
        CompanyStatements("new", [{"fiscal_year": 2022, **dict(zip(names, values, strict=True))}], units=units)
        for values, units in (
            ([float(each) for each in amounts], 1e-3),
            ([float(f"{each // 1000}.{each % 1000:03d}") for each in amounts], 1.0),
            ([each * 1000.0 for each in amounts], 1e-6),
        )
    ]
    thousands, millions, ones = predict(loaded, as_sent)
    assert thousands == millions == ones


def test_amounts_in_two_currencies_are_not_joined(loaded: LoadedModel) -> None:
    own = loaded.statements["company_id"][0]
    mixed, bare, same = predict(
        loaded,
        [
            dataclasses.replace(plain(own), use_history=True, currency="JPY"),
            CompanyStatements(own, [], use_history=True, currency="JPY"),
            dataclasses.replace(plain(own), use_history=True, currency=loaded.currency),
        ],
    )
    for refused in (mixed, bare):
        assert isinstance(refused, PanelError) and f"JPY are not joined with a history in {loaded.currency}" in str(refused)
    assert isinstance(same, dict) and len(same["years_used"]) > 1
