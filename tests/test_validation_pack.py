"""The validation pack: profiles and migration by hand, challengers that see no future, choices that are compared fairly."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, default_params
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from quiebra.feature_engineering import FEATURES_BY_NAME, feature_table
from quiebra.models import ModelChain
from quiebra.models.importance import concept_shares, importance_shift
from quiebra.panels import Panel, label_outcomes
from quiebra.params import validate_params
from quiebra.risk import add_grades, yearly_migration
from quiebra.validation.challengers import compare_challengers, walk_challengers
from quiebra.validation.comparison import Bootstrap, ResampledScore, add_year_rank, judge_score
from quiebra.validation.details import blend_weights, figures_by_groups, figures_by_horizon, stability_figures
from quiebra.validation.discrimination import accuracy_ratio, cap_curve, size_group
from quiebra.validation.metrics import RankedOutcomes, score_figures
from quiebra.validation.sensitivity import compare_choices

PARAMS = validate_params(default_params(**SMALL))
HOW = Bootstrap(30, 0.95, 1)
KEYS = ["company_id", "fiscal_year"]


@pytest.fixture(scope="module")
def labels(small_panel: Panel) -> pl.DataFrame:
    return label_outcomes(small_panel.statements, small_panel.events)


@pytest.fixture(scope="module")
def table(small_panel: Panel) -> pl.DataFrame:
    return feature_table(small_panel.statements, small_panel.companies)


@pytest.fixture(scope="module")
def years(small_panel: Panel) -> list[int]:
    last = small_panel.info.outcomes_through
    return list(range(last - 2, last + 1))


@pytest.fixture(scope="module")
def judged(small_chain: ModelChain, labels: pl.DataFrame, years: list[int]) -> pl.DataFrame:
    return small_chain.history.filter(pl.col("fiscal_year").is_in(years)).join(labels.select(*KEYS, "failed"), on=KEYS)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=4, max_size=60))
def test_ks_agrees_with_scipy(rows: list[tuple[int, int]]) -> None:
    failed, pd = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    assume(0 < failed.sum() < len(failed))
    expected = ks_2samp(pd[failed == 1], pd[failed == 0], method="asymp").statistic
    assert score_figures(failed, pd / 10)["ks"] == pytest.approx(expected)


def test_the_profile_by_hand() -> None:
    profile = cap_curve(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1]))
    assert profile.rows() == [(0.0, 0.0), (0.25, 0.5), (0.75, 1.0), (1.0, 1.0)]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=4, max_size=40))
def test_the_area_of_the_profile_is_the_accuracy_ratio(rows: list[tuple[int, int]]) -> None:
    """Engelmann, Hayden and Tasche (2003): AR = area under the profile beyond chance, over that of a perfect ranking."""
    failed, pd = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    assume(0 < failed.sum() < len(failed))
    profile = cap_curve(failed, pd, points=10_000)
    area = np.trapezoid(profile["failures"], profile["companies"]) - 0.5
    assert area / ((1 - failed.mean()) / 2) == pytest.approx(accuracy_ratio(score_figures(failed, pd)["auc"]), abs=1e-9)


def test_sizes_are_thirds_of_a_year() -> None:
    rows = pl.DataFrame({"fiscal_year": [2020] * 6 + [2021] * 3, "total_assets": [1.0, 2, 3, 4, 5, 6, 100, 200, 300]})
    assert rows.select(size_group()).to_series().to_list() == ["small"] * 2 + ["middle"] * 2 + ["large"] * 2 + [
        "small",
        "middle",
        "large",
    ]


def test_groups_cover_all_that_is_judged(judged: pl.DataFrame, small_panel: Panel) -> None:
    found = figures_by_groups(judged, small_panel.statements, small_panel.companies, HOW)
    for name in ("by_size", "by_sector"):
        assert sum(group["rows"] for group in found[name]) == judged.height
        assert sum(group["events"] for group in found[name]) == judged["failed"].sum()
    assert [group["group"] for group in found["by_size"]] == ["small", "middle", "large"]
    assert found["cap"]["blend"]["failures"][-1] == 1


@pytest.mark.parametrize("embargo", [0, 1])
def test_challengers_see_no_future(embargo: int, table: pl.DataFrame, years: list[int], small_panel: Panel) -> None:
    """Without what happened after a year's end its scores are the same; without what happened before they are not."""
    p = small_panel
    settings = {"first_year": p.info.first_label_year, "embargo": embargo, "labels": PARAMS.labels, "years": years[:1]}
    first = walk_challengers(table, p.statements, p.events, **settings)
    end = dt.date(years[0], 12, 31)
    again = walk_challengers(table, p.statements, p.events.filter(pl.col("event_date") <= end), **settings)
    assert first.equals(again)
    before = walk_challengers(
        table, p.statements, p.events.filter(pl.col("event_date") <= dt.date(years[0] - 2, 12, 31)), **settings
    )
    assert not first.equals(before)


def test_a_challenger_without_one_of_its_ratios_is_left_out(
    table: pl.DataFrame, small_panel: Panel, years: list[int], judged: pl.DataFrame
) -> None:
    bare = table.with_columns(pl.lit(None, pl.Float64).alias("market_value_to_liabilities"))
    others = walk_challengers(
        bare, small_panel.statements, small_panel.events, years=years, first_year=2012, embargo=1, labels=PARAMS.labels
    )
    assert "logistic, Altman's five refitted" not in compare_challengers(judged, others, HOW)["figures"]


def test_the_contest_is_on_the_same_rows(judged: pl.DataFrame, table: pl.DataFrame, small_panel: Panel, years: list[int]) -> None:
    others = walk_challengers(
        table, small_panel.statements, small_panel.events, years=years, first_year=2012, embargo=1, labels=PARAMS.labels
    )
    found = compare_challengers(judged, others, HOW)
    assert {f["rows"] for f in found["figures"].values()} == {found["rows"]}
    for name, gap in found["blend minus"].items():
        difference = found["figures"]["blend"]["auc"] - found["figures"][name]["auc"]
        assert gap["auc"] == pytest.approx(difference, abs=2e-6)


def test_a_score_does_not_differ_from_itself(judged: pl.DataFrame) -> None:
    gap = ResampledScore.resample(judged, "pd_12m", HOW).judge_against(ResampledScore.resample(judged, "pd_12m", HOW))
    assert gap["auc"] == 0 and gap["interval"]["auc"] == [0, 0]
    one_year = judged.drop("fiscal_year")
    assert judge_score(one_year, "pd_12m", HOW)["auc"] == pytest.approx(
        RankedOutcomes.rank(judged["failed"].to_numpy(), judged["pd_12m"].to_numpy()).figures()["auc"], abs=1e-6
    )


def test_scores_of_each_years_own_model_are_compared_within_the_year() -> None:
    """As yearly links of Altman's score do: each year ranks without fault, and the year without failures has the higher PDs."""
    rows = pl.DataFrame(
        {
            "company_id": [f"{y}{i}" for y in (2015, 2016) for i in range(100)],
            "fiscal_year": [2015] * 100 + [2016] * 100,
            "failed": [0] * 98 + [1] * 2 + [0] * 99 + [1],
            "pd_12m": [*(np.arange(100) / 1000), *(0.5 + np.arange(100) / 1000)],
        }
    )
    found = judge_score(rows, "pd_12m", HOW)
    assert (found["auc"], found["ks"], found["top_decile_capture"]) == pytest.approx((1.0, 1.0, 1.0), abs=0.006)
    assert score_figures(rows["failed"].to_numpy(), rows["pd_12m"].to_numpy())["auc"] < 0.7, "pooled, it would look poor"
    assert found["pd_over_observed"] == pytest.approx(rows["pd_12m"].sum() / 3), "levels are those of all years"
    some = add_year_rank(rows, "pd_12m").filter(pl.col("fiscal_year") == 2015).head(99)
    assert some["pd_12m_place"].to_list() == pytest.approx([(i + 0.5) / 100 for i in range(99)]), (
        "a group keeps its places among all"
    )


def test_blend_weights_have_intervals_between_nothing_and_all(
    small_chain: ModelChain, labels: pl.DataFrame, small_panel: Panel
) -> None:
    found = blend_weights(small_chain.history, labels, small_panel.info.outcomes_through, 0.7, HOW)
    assert set(found) <= {"market", "accounting"}
    nothing = blend_weights(
        small_chain.history, labels.with_columns(failed=pl.lit(0, pl.Int8)), small_panel.info.outcomes_through, None, HOW
    )
    assert all(w["weight"] is None and w["interval"] == [None, None] for w in nothing.values()), "no failure, no weight"
    for weight in found.values():
        low, high = weight["interval"]
        assert 0 <= low <= high <= 1 and 0 <= weight["weight"] <= 1
        assert weight["in_params"] == 0.7


def test_choices_are_judged_on_the_same_outcomes(
    table: pl.DataFrame, small_panel: Panel, years: list[int], judged: pl.DataFrame
) -> None:
    rows = compare_choices(
        judged,
        table,
        small_panel.statements,
        small_panel.events,
        years=years,
        first_year=small_panel.info.first_label_year,
        train=PARAMS.train,
        labels=PARAMS.labels,
        run=PARAMS.run,
        how=HOW,
    )
    named = {row["choice"]: row for row in rows}
    assert "difference" not in named["as in params"]
    assert {row["events"] for row in rows} == {judged["failed"].sum()}
    assert named["failures within 12 months"]["learnt_failures"] < named["as in params"]["learnt_failures"]
    assert named["embargo of 2 years"]["learnt_failures"] < named["as in params"]["learnt_failures"]
    assert "alive exits dropped" in named and "failures within 36 months" in named


def test_stability_names_what_moved(small_chain: ModelChain, table: pl.DataFrame, years: list[int]) -> None:
    moved = table.with_columns(
        cash_to_assets=pl.when(pl.col("fiscal_year") == years[-1]).then(pl.col("cash_to_assets") + 5).otherwise("cash_to_assets")
    )
    found = stability_figures(small_chain.history, moved, small_chain.importance, years, 2012, list(FEATURES_BY_NAME))
    assert found["csi"][0]["feature"] == "cash_to_assets"
    assert len(found["csi"]) == len(FEATURES_BY_NAME)
    assert [row["fiscal_year"] for row in found["psi"]] == years
    assert [row["fiscal_year"] for row in found["importance"]] == years


def test_importance_shift_by_hand() -> None:
    by_year = pl.DataFrame(
        {
            "fiscal_year": [2020] * 3 + [2021] * 3,
            "feature": ["a", "b", "c"] * 2,
            "concept": ["x", "x", "y"] * 2,
            "mean_abs": [3.0, 2.0, 1.0, 1.0, 2.0, 3.0],
        }
    )
    assert importance_shift(by_year, top=2).rows() == [(2021, pytest.approx(-1.0), 0.5)]
    shares = concept_shares(by_year)
    assert shares["share"].to_list() == pytest.approx([5 / 6, 1 / 6, 0.5, 0.5])


def test_the_chain_says_what_each_year_looked_at(small_chain: ModelChain) -> None:
    assert set(small_chain.importance["fiscal_year"]) == set(small_chain.history["fiscal_year"])
    assert (small_chain.importance.group_by("fiscal_year").agg(pl.col("mean_abs").sum())["mean_abs"] > 0).all()


def test_yearly_migration_adds_up(small_chain: ModelChain) -> None:
    history = add_grades(small_chain.history, PARAMS.score)
    scored = sorted(set(history["fiscal_year"]))
    moves = yearly_migration(history, scored[:-1], PARAMS.score.grades)
    assert moves.drop("from").sum().sum_horizontal().item() == history.filter(pl.col("fiscal_year") < scored[-1]).height
    assert moves["from"].to_list() == list(PARAMS.score.grades)
    assert yearly_migration(history, [], PARAMS.score.grades).height == len(PARAMS.score.grades)
    assert yearly_migration(history, [scored[-1]], PARAMS.score.grades).drop("from").sum().sum_horizontal().item() == 0


def test_horizons_count_failures_within_them(small_chain: ModelChain, labels: pl.DataFrame, small_panel: Panel) -> None:
    through = small_panel.info.outcomes_through
    rows = figures_by_horizon(small_chain.history, labels, through, True, HOW)
    assert [row["years"] for row in rows] == [1, 2, 3, 4, 5][: len(rows)] and len(rows) >= 4
    for row in rows:
        last = through - row["years"] + 1
        assert row["fiscal_years"].endswith(str(last)), "a later year's outcome is not known that far"
        judged = small_chain.history.filter(pl.col("fiscal_year") <= last).select(KEYS)
        failures = labels.filter(pl.col("failed") == 1).select("company_id", failure="fiscal_year")
        within = judged.join(failures, on="company_id").filter(
            (pl.col("failure") - pl.col("fiscal_year")).is_between(0, row["years"] - 1)
        )
        assert row["events"] == within.filter(pl.col("failure") <= through).height
    assert rows[0]["events"] < rows[1]["events"]
