"""Monitoring: what was promised is what happens when PDs are right, a planted shift is named, and few failures raise no alarm."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, command, default_params
from sqlalchemy import text

from quiebra.errors import ParamsError
from quiebra.params import validate_params
from quiebra.store import connect
from quiebra.validation.comparison import Bootstrap
from quiebra.validation.monitoring import (
    FINDING_SCHEMA,
    estimated_performance,
    feature_drift,
    monitoring_findings,
    performance_by_year,
)

OPTIONS = validate_params(default_params(**SMALL)).monitor
HOW = Bootstrap(200, 0.9, 1)


def scored(year: int, rows: int, seed: int, level: float = -4.0) -> pl.DataFrame:
    """Rows of a year whose PDs are right, with outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    pd = 1 / (1 + np.exp(-(level + 1.3 * rng.standard_normal(rows))))
    return pl.DataFrame(
        {
            "company_id": [f"C{i:05d}" for i in range(rows)],
            "fiscal_year": pl.Series([year] * rows, dtype=pl.Int32),
            "pd_12m": pd,
            "pd_12m_high": pd * 1.0001,
            "failed": (rng.random(rows) < pd).astype(np.int8),
        }
    )


@pytest.mark.slow
def test_right_pds_do_what_they_promised() -> None:
    """The band of 90 % holds the failures and the AUC that were seen in about 90 % of years."""
    years = pl.concat([scored(1900 + y, 800, y) for y in range(60)])
    promised = estimated_performance(years, 0.9, HOW)
    seen = performance_by_year(years, years, 2000, HOW).join(promised, on="fiscal_year", suffix="_promised")
    assert 0.8 <= seen.select(pl.col("failures").is_between("failures_low", "failures_high").mean()).item() <= 1
    inside = seen.select(pl.col("auc").is_between("auc_low_promised", "auc_high_promised").mean()).item()
    assert 0.8 <= inside <= 0.99
    assert seen["auc"].mean() == pytest.approx(seen["auc_promised"].mean(), abs=0.01)


def test_performance_counts_only_known_years() -> None:
    years = pl.concat([scored(2020, 500, 1), scored(2021, 500, 2)])
    known = performance_by_year(years, years, 2020, HOW)
    assert known["fiscal_year"].to_list() == [2020]
    assert known["failures"][0] == years.filter(pl.col("fiscal_year") == 2020)["failed"].sum()
    assert known["low"][0] <= known["observed"][0] <= known["high"][0]


def found_on(history: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    promised = estimated_performance(pl.concat([history, scores]), 0.9, HOW)
    importance = pl.DataFrame(
        {
            "fiscal_year": pl.Series([2020, 2020, 2021, 2021], dtype=pl.Int32),
            "feature": ["a", "b"] * 2,
            "mean_abs": [1.0, 2.0] * 2,
        }
    )
    features = feature_drift(
        pl.DataFrame({"fiscal_year": [2020] * 50, "a": np.arange(50.0)}),
        pl.DataFrame({"fiscal_year": [2021] * 50, "a": np.arange(50.0)}),
        ["a"],
        OPTIONS,
    )
    return monitoring_findings(
        history, scores, performance_by_year(history, history, 2020, HOW), promised, importance, features, OPTIONS
    )


def test_a_model_that_is_right_raises_nothing() -> None:
    found = found_on(pl.concat([scored(y, 2000, y) for y in range(2016, 2021)]), scored(2021, 2000, 3))
    assert found.schema == pl.Schema(FINDING_SCHEMA)
    assert set(found["status"]) == {"ok"}


def test_scores_that_moved_and_pds_that_are_wrong_are_named() -> None:
    wrong = scored(2020, 4000, 5).with_columns(pd_12m=pl.col("pd_12m") / 4, pd_12m_high=pl.col("pd_12m_high") / 4)
    found = found_on(pl.concat([scored(y, 2000, y) for y in range(2017, 2020)] + [wrong]), scored(2021, 2000, 3, level=-1.0))
    status = {(m, y): s for m, y, s in found.select("measure", "fiscal_year", "status").iter_rows()}
    assert status["score_psi", 2021] == "alarm"
    assert status["pd_over_observed", 2020] == "alarm"
    assert status["pd_over_observed", 2019] == "ok"


def test_few_failures_are_no_evidence() -> None:
    few = scored(2020, 60, 11).with_columns(
        failed=pl.Series([1, 1] + [0] * 58, dtype=pl.Int8), pd_12m=pl.lit(0.01), pd_12m_high=pl.lit(0.0101)
    )
    found = found_on(few, scored(2021, 60, 3))
    row = found.filter(pl.col("measure") == "pd_over_observed").row(0, named=True)
    assert row["value"] < 0.5 and row["status"] == "ok", "2 failures of 60 where 0.6 are expected may be chance"
    none = few.with_columns(failed=pl.lit(0, pl.Int8))
    assert found_on(none, scored(2021, 60, 3)).filter(pl.col("measure") == "pd_over_observed")["status"].item() == "ok"


def test_a_feature_that_moved_is_named_first() -> None:
    rng = np.random.default_rng(0)
    before = pl.DataFrame({"fiscal_year": [2020] * 500, "steady": rng.random(500), "moved": rng.random(500)})
    now = before.with_columns(pl.col("moved") * 0.3, fiscal_year=pl.lit(2021))
    table = feature_drift(before, now, ["steady", "moved"], OPTIONS)
    assert table.select("subject", "status").rows() == [("moved", "alarm"), ("steady", "ok")]


def test_findings_are_in_the_database(finished: Path) -> None:
    wrote = pl.read_parquet(finished / "data/monitoring/findings.parquet")
    with connect(f"sqlite:///{finished / 'data/quiebra.db'}").connect() as connection:
        rows = connection.execute(text("SELECT measure, subject, fiscal_year, status FROM monitoreo ORDER BY 1, 2, 3")).all()
    assert [tuple(row) for row in rows] == wrote.select("measure", "subject", "fiscal_year", "status").sort(
        "measure", "subject", "fiscal_year"
    ).rows()
    assert "feature_csi" in set(wrote["measure"]) and "auc_shortfall" in set(wrote["measure"])


def test_thresholds_are_in_params(workspace: Path) -> None:
    with pytest.raises(ParamsError, match=r"monitor\.score_psi\.wach: unknown \(did you mean 'watch'\?\)"):
        validate_params(default_params(monitor={"score_psi": {"wach": 0.1}}))
    (workspace / "params.yaml").write_text(
        (workspace / "params.yaml")
        .read_text()
        .replace("feature_csi:\n    watch: 0.1\n    alarm: 0.25", "feature_csi:\n    watch: 0.0\n    alarm: 0.0")
    )
    done = command(workspace, "quiebra", "run", "monitor")
    assert done.returncode == 0, done.stderr
    found = pl.read_parquet(workspace / "data/monitoring/findings.parquet").filter(pl.col("measure") == "feature_csi")
    assert (found.filter(pl.col("value") > 0)["status"] == "alarm").all()
