"""The direction of shocks: for no company does what is bad lower a PD, nor what is good raise one, on either panel."""

from dataclasses import asdict, fields
from itertools import product

import numpy as np
import polars as pl
import pytest
from conftest import AMERICAN, default_params, made_once, walk_on
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logit

from quiebra.feature_engineering import FEATURES, FEATURES_BY_NAME, feature_table
from quiebra.models import ModelChain
from quiebra.models.term import PD_COLUMNS
from quiebra.panels import Panel, build_panel
from quiebra.params import validate_params
from quiebra.risk import current_statements
from quiebra.risk.directions import RISK_SIGNS
from quiebra.risk.scored_company import ScoredCompany
from quiebra.risk.shocks import ADVERSE_SIGNS, Shock, ShockEngine, levers_without_item, missing_shock_items, smallest_changes
from quiebra.services import company
from quiebra.services.company import halving_sentences
from quiebra.sources import american
from quiebra.text.words import LANGUAGES, Words

QUICK = validate_params(default_params(train={"trees": 40, "later_trees": 20, "min_years": 8}))
SIZES = {
    "revenue": (0.05, 0.2, 0.6),
    "rates": (0.01, 0.1),
    "margin": (0.02, 0.15),
    "leverage": (0.05, 0.3),
    "market_value": (0.2, 0.9),
}
HELD_BACK = ("volatility", "years_published", "loss_years", "mean3", "worst3", "off_peak")


def engine_of(panel: Panel, chain: ModelChain) -> ShockEngine:
    peers = feature_table(panel.statements, panel.companies)
    current = current_statements(peers, panel.events, panel.info.as_of, 24)
    return ShockEngine(chain.model, panel.statements, panel.companies, peers, current, QUICK.score)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["demo", "american"])
def engine(request: pytest.FixtureRequest) -> ShockEngine:
    if request.param == "demo":
        return engine_of(request.getfixturevalue("panel"), request.getfixturevalue("chain"))
    if not AMERICAN.exists():
        pytest.skip("the American panel is not on this machine")
    shared = request.getfixturevalue("shared")
    own = made_once(shared, "american_panel", lambda: build_panel(american.load(AMERICAN)))
    quick = QUICK.model_copy(update={"train": QUICK.train.model_copy(update={"min_years": 13})})
    return engine_of(own, made_once(shared, "quick_american_chain", lambda: walk_on(own, quick)))


def log_odds(table: pl.DataFrame) -> np.ndarray:
    return logit(table.sort("company_id").select(PD_COLUMNS).to_numpy())


@pytest.mark.parametrize("lever", [f.name for f in fields(Shock)])
def test_no_pd_of_any_company_moves_against_a_shock(engine: ShockEngine, lever: str) -> None:
    now = log_odds(engine.shocked_scores({"none": Shock()}))
    some_moved = False
    for size, way in product(SIZES[lever], (1, -1)):
        moved = log_odds(engine.shocked_scores({"x": Shock(**{lever: way * size})})) - now
        worse = way * ADVERSE_SIGNS[lever]
        assert (worse * moved >= -1e-9).all(), f"{lever} {way * size:+g}: {worse * moved.min():.4f} the wrong way"
        some_moved |= bool((np.abs(moved) > 0.01).mean() > 0.02)
    assert some_moved, "a shock that moves nobody is none"


@given(st.fixed_dictionaries({name: st.floats(-0.5, 0.5) for name in ADVERSE_SIGNS}))
@example({"revenue": 0.25, "rates": 0.0, "margin": 0.0, "leverage": 2e-311, "market_value": 0.0})
@settings(max_examples=6, deadline=None)
def test_what_is_good_never_makes_a_mixed_shock_worse_nor_what_is_bad_better(
    engine: ShockEngine, sizes: dict[str, float]
) -> None:
    bad = {name: size for name, size in sizes.items() if size * ADVERSE_SIGNS[name] > 0}
    good = {name: size for name, size in sizes.items() if size * ADVERSE_SIGNS[name] < 0}
    found = engine.shocked_scores({"both": Shock(**sizes), "bad": Shock(**bad), "none": Shock(), "good": Shock(**good)})
    both, worse, now, better = (log_odds(found.filter(pl.col("shock") == name)) for name in ("both", "bad", "none", "good"))
    assert (both <= worse + 1e-9).all() and (worse >= now - 1e-9).all() and (better <= now + 1e-9).all()


def test_history_unsure_signs_and_the_scorer_stay_put(engine: ShockEngine) -> None:
    one = engine.rows["company_id"][7]
    shocks = {"none": Shock(), "value": Shock(market_value=0.5), "worse": Shock(-0.3, 0.03, -0.05, 0.2, -0.5)}
    found = engine.company_scores(one, shocks)
    for feature in FEATURES:
        if feature.sign == 0 or any(part in feature.name for part in HELD_BACK):
            assert found[feature.name].n_unique() == 1, feature.name
    assert found["scorer"].n_unique() == 1
    signed = pl.DataFrame({"name": list(RISK_SIGNS), "sign": list(RISK_SIGNS.values())}).filter(pl.col("sign") != 0)
    for name, sign in signed.iter_rows():
        now, better, worse = found[name].to_list()
        if now is not None:
            assert sign * better <= sign * now <= sign * worse, name


def test_a_fall_of_the_market_value_by_hand(engine: ShockEngine) -> None:
    """Liabilities over the market value of assets follow; the volatility that the fall would show does not."""
    who = engine.rows.filter(pl.col("market_value").is_not_null())["company_id"][0]
    row = engine.rows.filter(pl.col("company_id") == who)
    found = engine.company_scores(who, {"none": Shock(), "fall": Shock(market_value=-0.4)})
    liabilities, value = row["total_liabilities"][0], row["market_value"][0]
    assert found["market_leverage"].to_list() == pytest.approx(
        [liabilities / (liabilities + share * value) for share in (1, 0.6)]
    )
    assert found["market_value_volatility"].n_unique() == found["market_value_off_peak"].n_unique() == 1


def without(panel: Panel, chain: ModelChain, *items: str) -> ShockEngine:
    """The engine of a panel whose statements lack some items."""
    blank = panel.statements.with_columns(pl.lit(None, pl.Float64).alias(item) for item in items)
    peers = feature_table(blank, panel.companies)
    current = current_statements(peers, panel.events, panel.info.as_of, 24)
    return ShockEngine(chain.model, blank, panel.companies, peers, current, QUICK.score)


@pytest.mark.parametrize("words", [Words(language) for language in LANGUAGES], ids=LANGUAGES)
@pytest.mark.parametrize(
    "lacking", [("ebitda",), ("ebitda", "ebit"), ("ebitda", "ebit", "net_income"), ("revenue", "market_value")]
)
def test_no_sentence_on_halving_has_a_hole_in_it(
    small_panel: Panel, small_chain: ModelChain, lacking: tuple[str, ...], words: Words
) -> None:
    engine = without(small_panel, small_chain, *lacking)
    said = []
    for who in engine.shocked_scores({"none": Shock()}).sort("pd_12m", descending=True)["company_id"].head(6):
        subject = ScoredCompany(who, who, None, {}, 0.0, {}, [], [], [], {}, engine.before.head(0), engine)
        said += halving_sentences(subject, words)
        assert smallest_changes(engine, who).null_count().sum_horizontal().item() == 0
    assert said
    assert not [line for line in said if "–" in line or "None" in line or "nan" in line]
    shown = {
        ratio for ratio, text in company.HALVING_SENTENCES.items() if any(words(text).split(" {")[0] in line for line in said)
    }
    assert not shown & {f"{item}_to_assets" for item in lacking}
    if "revenue" in lacking:
        assert (
            words(company.UNKNOWN_LEVER_SENTENCES["margin"]) in said
            and words(company.UNKNOWN_LEVER_SENTENCES["market_value"]) in said
        )


def test_a_shock_that_no_statement_can_feel_is_said_to_be_none(small_panel: Panel, small_chain: ModelChain) -> None:
    engine = without(small_panel, small_chain, "market_value")
    assert missing_shock_items(engine, Shock(market_value=-0.4)) == ["market_value"]
    assert missing_shock_items(engine, Shock(market_value=-0.4, revenue=-0.1)) == []
    assert levers_without_item(engine, engine.rows["company_id"][0])["market_value"] == "market_value"


def test_every_lever_and_every_sign_has_a_direction() -> None:
    assert set(asdict(Shock())) == set(ADVERSE_SIGNS)
    assert all(RISK_SIGNS[name] in (0, feature.sign) for name, feature in FEATURES_BY_NAME.items())
