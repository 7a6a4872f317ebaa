"""Pictures of explanations: the same figures give the same bytes, and nothing outside them is touched."""

from io import BytesIO

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from quiebra.feature_engineering import feature_table
from quiebra.models import ModelChain, feature_importance
from quiebra.panels import Panel
from quiebra.plots import beeswarm, dependence, to_svg, waterfall


@pytest.fixture(scope="module")
def some(small_panel: Panel) -> pl.DataFrame:
    table = feature_table(small_panel.statements, small_panel.companies)
    return table.filter(pl.col("fiscal_year") == table["fiscal_year"].max()).head(60)


def texts(figure: Figure) -> list[str]:
    from matplotlib.text import Text

    figure.savefig(BytesIO(), format="svg")
    return [text.get_text() for text in figure.findobj(Text)]


def test_the_strongest_features_are_shown(small_chain: ModelChain, some: pl.DataFrame) -> None:
    parts, base = small_chain.model.explain(some)
    strongest = feature_importance(small_chain.model, some)["label"].to_list()[:5]
    shown = texts(beeswarm(parts, base, some))
    assert all(label in shown for label in strongest)
    feature = next(name for name in feature_importance(small_chain.model, some)["feature"] if name in some.columns)
    assert "effect on the log-odds" in texts(dependence(parts, base, some, feature))


def test_a_companys_waterfall_ends_at_its_score(small_chain: ModelChain, some: pl.DataFrame) -> None:
    parts, base = small_chain.model.explain(some)
    score = small_chain.model.predict(some)["log_odds"][3]
    shown = "".join(texts(waterfall(parts, base, some, 3))).replace("−", "-")
    assert f"{score:.3f}".rstrip("0") in shown


def test_the_same_bytes_again_and_no_trace_in_numpys_random_numbers(small_chain: ModelChain, some: pl.DataFrame) -> None:
    parts, base = small_chain.model.explain(some)
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    one, two = (to_svg(beeswarm(parts, base, some)).data for _ in range(2))
    assert one == two
    assert np.random.random() == expected
