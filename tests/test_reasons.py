"""Reasons as sentences: what each feature says in both languages, where a company stands among its peers, and what is not known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from faults_in_words import faults

from quiebra.canonical import EVENT_SCHEMA
from quiebra.feature_engineering import FEATURES, FEATURES_BY_NAME, PeerRanks, feature_inputs, feature_table
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.feature_engineering.peer_rank import (
    IN_THE_MIDDLE,
    LESS_THAN,
    MORE_THAN,
    PEER_PLACES,
    PEER_SHARES,
    SAME_AS_MOST,
    PeerPlace,
    latest_rows,
)
from quiebra.feature_engineering.peers import Peers
from quiebra.feature_engineering.sentences import denominator_sentence, feature_sentence, missing_sentence, rounded_values
from quiebra.items import ITEM_NAMES, VERSION_KEYS
from quiebra.models import ModelChain
from quiebra.models.reasons import MIN_EFFECT, reasons
from quiebra.panels import Panel
from quiebra.panels.quarantine import blank_negatives, split_quarantine
from quiebra.params import Params
from quiebra.risk import reasons_in_words, score_statements

NAMES = [*FEATURES_BY_NAME, *ALTMAN_SCORES]


def said(name: str, value: float, place: PeerPlace | None = None) -> tuple[str, str]:
    shown = float(rounded_values(name, np.array([value]))[0])
    return feature_sentence(name, shown, place, "en").replace("\xa0", " "), feature_sentence(name, shown, place, "es").replace(
        "\xa0", " "
    )


NINE, FEW = PeerPlace(MORE_THAN, 0.9, True), PeerPlace(LESS_THAN, 0.95, False)


@pytest.mark.parametrize(
    ("name", "value", "place", "en", "es"),
    [
        (
            "liabilities_to_assets",
            0.85,
            NINE,
            "Liabilities are 85 % of assets, more than in nine of ten companies of its sector",
            "El pasivo es el 85 % del activo, más que en nueve de cada diez empresas de su sector",
        ),
        (
            "net_income_to_assets",
            -5.1e-05,
            None,
            "Net income is −0.005 % of assets",
            "El resultado neto es el −0,005 % del activo",
        ),
        ("net_income_to_assets", -4e-09, None, "Net income is 0 % of assets", "El resultado neto es el 0 % del activo"),
        (
            "operating_expenses_to_revenue",
            45.0,
            FEW,
            "Operating expenses are 45 times revenue, less than in 19 of 20 companies",
            "Los gastos de explotación son 45 veces las ventas, menos que en 19 de cada 20 empresas",
        ),
        ("interest_coverage", -3.1, None, "EBIT is −3.1 times interest", "El EBIT es −3,1 veces los intereses"),
        ("log_assets", np.log(1234.5), None, "Assets are 1,230 million", "El activo es de 1.230 millones"),
        ("log_revenue", 0.0, None, "Revenue is 1 million", "Las ventas son de 1 millón"),
        (
            "liabilities_to_assets_change1",
            -0.0234,
            NINE,
            "The ratio of liabilities to assets fell by 2.34 points in a year, less than in nine of ten companies of its sector",
            "La ratio entre el pasivo y el activo ha bajado 2,34 puntos en un año, menos que en nueve de cada diez empresas de su sector",
        ),
        (
            "liabilities_to_assets_change2",
            0.01,
            None,
            "The ratio of liabilities to assets rose by 1 point in two years",
            "La ratio entre el pasivo y el activo ha subido 1 punto en dos años",
        ),
        (
            "log_revenue_change1",
            np.log(0.8),
            FEW,
            "Revenue fell by 20 % in a year, more than in 19 of 20 companies",
            "Las ventas han bajado un 20 % en un año, más que en 19 de cada 20 empresas",
        ),
        (
            "long_term_debt_growth",
            np.log(1e5),
            None,
            "Long-term debt grew over 1,000-fold in a year",
            "La deuda a largo plazo se ha multiplicado por más de 1.000 en un año",
        ),
        (
            "receivables_growth",
            -25.0,
            None,
            "Receivables fell by 99.9 % in a year",
            "El saldo de clientes ha bajado un 99,9 % en un año",
        ),
        (
            "market_value_off_peak",
            np.log(0.5),
            None,
            "The market value is 50 % below its peak of the last four years",
            "El valor de mercado está un 50 % por debajo de su máximo de los cuatro últimos años",
        ),
        (
            "loss_years",
            2.0,
            None,
            "It lost money in two of the last three years",
            "Tuvo pérdidas en dos de los tres últimos años",
        ),
        (
            "loss_years",
            0.0,
            PeerPlace(LESS_THAN, 0.5, True),
            "It has shown no loss in the last three years",
            "No ha tenido pérdidas en los tres últimos años",
        ),
        ("years_published", 1.0, None, "Its accounts go back 1 year", "Sus cuentas se remontan a 1 año"),
        (
            "years_published",
            5.0,
            PeerPlace(SAME_AS_MOST, 1.0, True),
            "Its accounts go back 5 years or more, as in most companies of its sector",
            "Sus cuentas se remontan a 5 años o más, como en la mayoría de las empresas de su sector",
        ),
        (
            "sector_rank_liabilities_to_assets",
            0.85,
            NINE,
            "Liabilities are 85 % of assets, more than in nine of ten companies of its sector",
            "El pasivo es el 85 % del activo, más que en nueve de cada diez empresas de su sector",
        ),
        (
            "altman_z",
            1.234,
            PeerPlace(LESS_THAN, 0.75, True),
            "The Altman Z is 1.23, lower than in three of four companies of its sector",
            "La Z de Altman es 1,23, más baja que en tres de cada cuatro empresas de su sector",
        ),
        (
            "distance_to_default",
            1.0,
            PeerPlace(IN_THE_MIDDLE, 1.0, False),
            "The distance to default is 1 standard deviation, in the middle of all companies",
            "La distancia al impago es de 1 desviación típica, en la zona media de todas las empresas",
        ),
        (
            "equity_raised",
            -0.05,
            NINE,
            "Owners took out 5 % of assets within the year, less than in nine of ten companies of its sector",
            "Los propietarios retiraron en el año el 5 % del activo, menos que en nueve de cada diez empresas de su sector",
        ),
    ],
)
def test_what_a_figure_says(name: str, value: float, place: PeerPlace | None, en: str, es: str) -> None:
    assert said(name, value, place) == (en, es)


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_reads_well_in_both_languages(name: str) -> None:
    values = [0.0, 1.0, 2.0, 3.0] if name == "loss_years" else [0.0, 1.0, -0.37, 3.2, 48.0, 1.234e-7, -2e5]
    for value in values:
        for place in PEER_PLACES:
            for language, text in zip(("en", "es"), said(name, value, place), strict=True):
                assert faults(text, language) == {}, text
                assert text[0].isupper() and not text.endswith(".") and "  " not in text and ". " not in text
                assert len(text) < 240
    english, spanish = said(name, 1.0, NINE)
    assert english != spanish
    assert (denominator_sentence(name, "en") is None) == (denominator_sentence(name, "es") is None)


def test_units_follow_from_what_a_feature_is() -> None:
    assert {f.unit for f in FEATURES} == {
        "share",
        "times",
        "points",
        "ln",
        "ln a year",
        "ln million",
        "score",
        "years",
        "months",
        "standard deviations",
    }
    assert FEATURES_BY_NAME["liabilities_to_assets"].unit == "share"
    assert FEATURES_BY_NAME["liabilities_to_assets_change1"].unit == "points"
    assert FEATURES_BY_NAME["log_assets_change1"].unit == "ln"


def test_what_a_feature_is_made_of() -> None:
    assert feature_inputs("liabilities_to_assets") == (frozenset({"total_liabilities", "total_assets"}), False)
    assert feature_inputs("net_income_to_assets_mean3") == (frozenset({"net_income", "total_assets"}), True)
    assert feature_inputs("sector_rank_log_assets") == (frozenset({"total_assets"}), False)
    assert feature_inputs("distance_to_default") == (frozenset({"market_value", "total_liabilities"}), True)
    assert all(feature_inputs(name)[0] <= set(ITEM_NAMES) for name in FEATURES_BY_NAME)
    assert all(feature_inputs(name)[0] or name == "years_published" for name in FEATURES_BY_NAME)


def test_what_is_missing_in_words() -> None:
    assert missing_sentence(["depreciation_amortization"], "whole", "en") == "Not in the statement: depreciation"
    assert missing_sentence(["depreciation_amortization"], "whole", "es") == "Falta en las cuentas: amortización"
    assert (
        missing_sentence(["inventory", "revenue"], "none", "es")
        == "Faltan en las cuentas: existencias, ventas. No hay cuentas anteriores con que comparar"
    )


# Where a company stands


def counted(peers: np.ndarray, value: float) -> PeerPlace | None:
    """The place by counting, one by one."""
    known = peers[np.isfinite(peers)]
    if len(known) < 20 or not np.isfinite(value):
        return None
    below, above = np.mean(known < value), np.mean(known > value)
    for side, share in ((MORE_THAN, below), (LESS_THAN, above)):
        for step in PEER_SHARES:
            if share >= step - 1e-9 and not (side == MORE_THAN and above >= 0.5):
                return PeerPlace(side, step, True)
    return PeerPlace(SAME_AS_MOST if 1 - below - above > 0.5 else IN_THE_MIDDLE, 1.0, True)


def test_a_place_is_that_of_counting_the_companies_of_the_sector() -> None:
    random = np.random.default_rng(4)
    sectors = [["A", "B", "C", None][at] for at in random.choice(4, 600, p=[0.5, 0.4, 0.02, 0.08])]
    values = np.round(random.normal(size=600), 1)  # many ties
    values[random.random(600) < 0.1] = np.nan
    table = pl.DataFrame({"sector": pl.Series(sectors, dtype=pl.String), "x": values}).with_columns(pl.col("x").fill_nan(None))
    asked = np.concatenate([values[:200], [-9.0, 9.0, 0.05]])
    of = pl.Series([*sectors[:200], "A", "B", "unheard of"], dtype=pl.String)
    peers = PeerRanks(table)
    found = peers.places("x", asked, peers.codes(of))
    for value, sector, at in zip(asked, of, found, strict=True):
        own = values[[sector is not None and other == sector for other in sectors]]
        wanted = counted(own, value)
        if wanted is None and (everybody := counted(values, value)) is not None:
            wanted = everybody._replace(in_sector=False)
        assert PEER_PLACES[at] == wanted, (value, sector)
    among_all = peers.places("x", asked, peers.codes(of), in_sector=False)
    assert all(place is None or not place.in_sector for place in (PEER_PLACES[at] for at in among_all))


def test_nine_of_ten_is_said_from_nine_of_ten_on() -> None:
    table = pl.DataFrame({"sector": ["A"] * 40, "x": [float(i) for i in range(40)]})
    asked = np.array([35.0, 36.0, 37.5, 38.0, 39.5, 3.5, 20.0])
    sides = [PEER_PLACES[at] for at in PeerRanks(table).places("x", asked, np.zeros(len(asked), dtype=np.int64))]
    wanted = [
        (MORE_THAN, 0.8),
        (MORE_THAN, 0.9),
        (MORE_THAN, 0.95),
        (MORE_THAN, 0.95),
        (MORE_THAN, 0.99),
        (LESS_THAN, 0.9),
        (MORE_THAN, 0.5),
    ]
    assert [(place.side, place.share) for place in sides if place] == wanted


def test_too_few_companies_are_no_peers() -> None:
    table = pl.DataFrame({"sector": ["A"] * 19, "x": [float(i) for i in range(19)]})
    assert PeerRanks(table).places("x", np.array([5.0]), np.zeros(1, dtype=np.int64)).tolist() == [0]
    nobody = table.with_columns(x=pl.lit(None, pl.Float64))
    assert PeerRanks(nobody).places("x", np.array([5.0]), np.zeros(1, dtype=np.int64)).tolist() == [0]


def test_each_company_counts_once_by_its_last_row() -> None:
    rows = pl.DataFrame(
        {"company_id": ["a", "a", "b"], "fiscal_year": [2020, 2021, 2020], "available_at": [1, 2, 1], "x": [1.0, 2.0, 3.0]}
    )
    assert latest_rows(rows)["x"].to_list() == [2.0, 3.0]


# Reasons of a model


@pytest.fixture(scope="module")
def standing(small_panel: Panel) -> PeerRanks:
    return PeerRanks(latest_rows(feature_table(small_panel.statements, small_panel.companies)))


def scored(
    chain: ModelChain, panel: Panel, standing: PeerRanks, without: str | None = None, count: int = 12
) -> tuple[pl.DataFrame, pl.DataFrame]:
    statements = panel.statements if without is None else panel.statements.with_columns(pl.lit(None, pl.Float64).alias(without))
    rows = latest_rows(feature_table(statements, panel.companies)).head(80)
    return rows, reasons(chain.model, rows, count, standing, statements)


def test_reasons_and_gaps_add_up_to_the_score(small_chain: ModelChain, small_panel: Panel, standing: PeerRanks) -> None:
    rows, why = scored(small_chain, small_panel, standing)
    parts, _ = small_chain.model.explain(rows)
    whole = dict(zip(rows["company_id"], parts.select(pl.sum_horizontal(pl.all())).to_series(), strict=True))
    for (company,), mine in why.group_by("company_id"):
        assert mine["effect"].sum() == pytest.approx(whole[company], abs=MIN_EFFECT * 12)
        assert mine.filter(pl.col("kind") == "gap").height <= 1


@pytest.mark.parametrize("item", ["retained_earnings", "inventory", "net_income"])
def test_what_the_statement_lacks_is_a_gap_and_no_reason(
    item: str, small_chain: ModelChain, small_panel: Panel, standing: PeerRanks
) -> None:
    why = scored(small_chain, small_panel, standing, without=item)[1]
    name = item.replace("_", " ")
    gaps = why.filter(pl.col("kind") == "gap")
    assert gaps.height > 20
    assert gaps["text"].str.contains(name).all() and gaps["code"].is_in(["DATA_UP", "DATA_DOWN"]).all()
    assert gaps["feature"].null_count() == gaps.height
    given = why.filter(pl.col("kind") != "gap")
    of_item = [feature for feature in FEATURES_BY_NAME if item in feature_inputs(feature)[0]]
    assert not given["feature"].is_in(of_item).any(), "what is not known is no reason"
    assert not given["text"].str.contains("(?i)not available|not in the statement").any()
    words = reasons_in_words(why)
    assert words["gaps"].drop_nulls().str.ends_with(".").all()
    assert not words["reasons"].drop_nulls().str.contains("Not in the statement").any()


def test_no_debt_is_a_fact_about_a_company_and_no_gap(small_chain: ModelChain, small_panel: Panel, standing: PeerRanks) -> None:
    none = small_panel.statements.with_columns(long_term_debt=pl.lit(0.0))
    rows = latest_rows(feature_table(none, small_panel.companies)).head(80)
    why = reasons(small_chain.model, rows, 12, standing, none)
    assert not why["text"].str.contains("Not in the statement: .*long-term debt").any()


def test_reasons_are_the_same_however_the_rows_are_cut_and_ordered(
    small_chain: ModelChain, small_panel: Panel, standing: PeerRanks
) -> None:
    rows, why = scored(small_chain, small_panel, standing, count=3)
    again = pl.concat(
        [
            reasons(small_chain.model, rows.slice(start, 30).reverse(), 3, standing, small_panel.statements)
            for start in (60, 30, 0)
        ]
    )
    keys = ["company_id", "kind", "rank"]
    assert why.sort(keys).drop("effect", "odds_factor").equals(again.sort(keys).drop("effect", "odds_factor"))


def test_the_same_words_for_the_same_company_whatever_else_is_scored(
    small_chain: ModelChain, small_panel: Panel, standing: PeerRanks
) -> None:
    rows, why = scored(small_chain, small_panel, standing, count=3)
    alone = reasons(small_chain.model, rows.head(1), 3, standing, small_panel.statements)
    assert alone["text"].to_list() == why.filter(pl.col("company_id") == rows["company_id"][0])["text"].to_list()


def test_earlier_accounts_are_missing_only_where_there_are_none(
    small_chain: ModelChain, small_panel: Panel, standing: PeerRanks
) -> None:
    rows = feature_table(small_panel.statements, small_panel.companies)
    found = reasons(small_chain.model, rows, 3, standing, small_panel.statements).filter(pl.col("kind") == "gap")
    ages = found.join(rows.select("company_id", "fiscal_year", "years_published"), on=["company_id", "fiscal_year"])
    none = pl.col("text").str.contains("No accounts of earlier years")
    assert ages.filter(none)["years_published"].fill_null(0).max() == 0
    assert ages.filter(pl.col("text").str.contains("do not suffice"))["years_published"].min() > 0


def test_a_company_scored_alone_has_the_digits_and_words_that_it_has_among_others(
    small_chain: ModelChain, small_panel: Panel, params: Params, standing: PeerRanks
) -> None:
    model, table = small_chain.model, feature_table(small_panel.statements, small_panel.companies)
    peers = Peers(table)

    def scored_of(statements: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        kept, _ = split_quarantine(statements, pl.DataFrame(schema=EVENT_SCHEMA))
        usable, _ = blank_negatives(kept.sort(VERSION_KEYS))
        latest = usable.unique("company_id", keep="last", maintain_order=True).select(VERSION_KEYS)
        rows = feature_table(usable, small_panel.companies, peers, latest)
        parts, _ = model.contributions(rows)
        why = reasons(model, rows, 4, standing, usable, parts)
        assert why.equals(reasons(model, rows, 4, standing, usable))
        numbers = pl.selectors.float().round(6)
        return score_statements(model, rows, params.score).with_columns(numbers), why.with_columns(numbers)

    chosen = small_panel.companies["company_id"].gather_every(13).to_list()
    statements = small_panel.statements.filter(pl.col("company_id").is_in(chosen))
    scores, why = scored_of(statements)
    assert scores.height == len(chosen) and scores["scorer"].n_unique() == 2
    for company in chosen:
        whose = pl.col("company_id") == company
        alone = scored_of(statements.filter(whose))
        assert alone[0].equals(scores.filter(whose)) and alone[1].equals(why.filter(whose)), company
