"""Alerts: rules that say what is wrong with them, one alert a cause, states and their history, analysts' decisions."""

from __future__ import annotations

import datetime as dt
import threading
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import command, default_params
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, text

from quiebra import store
from quiebra.alerts import analyst_decisions, evaluation
from quiebra.alerts import lifecycle as states
from quiebra.alerts.descriptions import (
    MEASURE_LABELS,
    alert_in_figures,
    format_measure,
    overdue_reviews,
    unknown_sector_sentences,
)
from quiebra.alerts.measures import company_measures, earlier_scores, model_measures, portfolio_measures
from quiebra.alerts.rules import EXISTING_ALERT_SCHEMA, HIT_SCHEMA, compare_hits, find_hits, unknown_sectors
from quiebra.errors import AlertError, ParamsError
from quiebra.params import Params, validate_params
from quiebra.params.operations import MEASURE_FLOORS, MEASURE_KINDS, Rule
from quiebra.pipeline.reproduce import result_summary
from quiebra.reports.risk_report import risk_report
from quiebra.risk import FinishedRun
from quiebra.services import decisions
from quiebra.services.finished_run import FinishedRunView
from quiebra.store import tables
from quiebra.store.run_files import read_publication
from quiebra.text.words import Words, escape_markup
from quiebra.validation.monitoring import Light, monitoring_lights
from quiebra.workspace import Workspace

GRADES = {"A": 0.01, "B": 0.05, "C": 0.2, "D": 1.0}
DAY = dt.date(2020, 6, 30)
RUN = states.EvaluatedRun("aaaaaaaaaaaa", "demo", DAY)


def rule(measure: str = "pd_12m", high: float | str = 0.1, low: float | str = 0.07, **more) -> Rule:
    return Rule.model_validate({"measure": measure, "raise": high, "clear": low, **more})


def scores(**pds: float) -> pl.DataFrame:
    """Scores of one year: company → one-year PD; later years fail at the same hazard."""
    rows = [
        {
            "company_id": name,
            "fiscal_year": 2019,
            "available_at": dt.date(2020, 4, 30),
            "period_end": dt.date(2019, 12, 31),
            **{f"pd_{12 * n}m": pd if n == 1 else 1 - (1 - pd) ** n for n in range(1, 6)},
            "rating": next(g for g, bound in GRADES.items() if pd <= bound),
            **{
                f"{z}{end}": value
                for z in ("altman_z", "altman_z1983", "altman_z1995")
                for end, value in (("", 1.0), ("_zone", "grey"))
            },
        }
        for name, pd in pds.items()
    ]
    return pl.DataFrame(rows)


def companies(*names: str, sector: str | None = "C") -> pl.DataFrame:
    return pl.DataFrame(
        {"company_id": list(names), "sector": [sector] * len(names)}, schema={"company_id": pl.String, "sector": pl.String}
    )


def measures(now: pl.DataFrame, before: pl.DataFrame | None = None) -> pl.DataFrame:
    before = now.clear() if before is None else before
    return company_measures(now, before, companies(*now["company_id"]), GRADES, DAY)


# What a rule looks at


def test_measures_say_what_their_words_say() -> None:
    before = scores(x=0.02, y=0.3).with_columns(fiscal_year=pl.lit(2018), altman_z_zone=pl.lit("safe"))
    table = measures(scores(x=0.06, y=0.3, new=0.001), before)
    x, y, new = table.rows(named=True)
    assert x["pd_rise"] == pytest.approx(0.04)
    assert x["pd_times"] == pytest.approx(3.0)
    assert (x["grade"], x["notches"], x["zone"]) == (2, 1, 1)
    assert (y["notches"], y["pd_times"]) == (0, pytest.approx(1.0))
    assert (new["pd_rise"], new["notches"], new["zone"]) == (None, None, None)
    assert [row["riskiest"] for row in (x, y, new)] == pytest.approx([1 / 3, 2 / 3, 0])
    assert x["inversion"] == pytest.approx(1.0)  # the same hazard in every year
    assert x["statement_months"] == pytest.approx(6, abs=0.1)
    assert x["cause"] == "2019 2020-04-30"


def test_peers_are_of_the_sector_where_it_has_ten_companies() -> None:
    pds = {f"c{i}": 0.01 * (i + 1) for i in range(10)}
    many = measures(scores(**pds))
    assert many["peers"].to_list() == pytest.approx([p / 0.055 for p in pds.values()])
    few = company_measures(
        scores(**pds), scores(**pds).clear(), pl.concat([companies("c0", sector="Z"), companies(*list(pds)[1:])]), GRADES, DAY
    )
    assert few["peers"][0] == pytest.approx(0.01 / 0.055)  # alone in its sector: against all


def test_the_earlier_score_is_the_latest_before_and_not_too_old() -> None:
    history = pl.concat(
        [scores(x=p, y=p).with_columns(fiscal_year=pl.lit(year)) for year, p in ((2015, 0.5), (2017, 0.1), (2018, 0.2))]
    )
    now = scores(x=0.3)
    assert earlier_scores(history, now).select("company_id", "pd_12m").rows() == [("x", 0.2)]
    assert earlier_scores(history.filter(pl.col("fiscal_year") < 2017), now).is_empty()


def test_measures_of_portfolio_and_model() -> None:
    losses = {"exposure": 200.0, "expected_loss": 4.0, "expected_shortfall": 20.0, "hhi": {"sector": 0.3}}
    row = portfolio_measures(losses, pl.DataFrame({"company_id": ["x", "y"], "exposure": [150.0, 50.0]}), DAY).row(0, named=True)
    assert (row["expected_loss"], row["shortfall"], row["largest_share"], row["sector_hhi"]) == (0.02, 0.1, 0.75, 0.3)
    assert row["cause"] == "2020-06"
    findings = pl.DataFrame(
        {
            "measure": ["score_psi", "auc_shortfall", "auc_shortfall", *["feature_csi"] * 4, "features_alarmed"],
            "subject": ["scores"] * 3 + [*"wxyz"] + ["scores"],
            "fiscal_year": [2019, 2017, 2018, *[2019] * 5],
            "status": ["watch", "alarm", "unknown", "alarm", "watch", "ok", "unknown", "alarm"],
        }
    )
    assert model_measures(findings).rows() == [
        ("auc_shortfall", "2018", None),
        ("features_alarmed", "2019", 2.0),
        ("score_psi", "2019", 1.0),
    ]
    assert monitoring_lights(findings) == [
        Light("score_psi", "watch", 1, 1, 2019),
        Light("auc_shortfall", "unknown", 0, 1, 2018),
        Light("features_alarmed", "alarm", 1, 3, 2019),
    ]


def test_every_measure_has_words_in_both_languages() -> None:
    assert set(MEASURE_LABELS) == set(MEASURE_KINDS)
    for name in MEASURE_LABELS:
        for language in ("en", "es"):
            assert format_measure(name, 1.0, Words(language), list(GRADES))
    alert = {"rule": "high PD", "measure": "pd_12m", "value": 0.123, "threshold": 0.1}
    assert alert_in_figures(alert, Words("en"), list(GRADES)) == "high PD: one-year PD 12.3\u00a0% (from 10.0\u00a0% on)"
    assert alert_in_figures(alert, Words("es"), list(GRADES)) == "PD alta: PD a un año 12,3\u00a0% (desde 10,0\u00a0%)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measure": "pd_12n"}, ["alerts.rules.r", "pd_12n", "pd_12m"]),
        ({"raise": -0.1, "clear": -0.2}, ["alerts.rules.r", "raise must be above 0", "-0.1"]),
        ({"measure": "pd_times", "raise": 0.5, "clear": 0.4}, ["alerts.rules.r", "above 1"]),
        ({"clear": 0.2}, ["alerts.rules.r", "clear must lie above"]),
        ({"raise": 1.5}, ["alerts.rules.r", "1 at most"]),
        ({"measure": "grade", "raise": "CCD", "clear": "B"}, ["alerts.rules.r", "CCD", "did you mean"]),
        ({"measure": "riskiest", "raise": 1.0, "clear": 0.9}, ["alerts.rules.r", "no company could ever reach it"]),
        ({"measure": "zone", "raise": 3.0, "clear": 1.0}, ["alerts.rules.r", "2 at most"]),
        ({"clear": 0.0}, ["alerts.rules.r", "clear must lie above 0"]),  # it would never close
        ({"raise": float("inf")}, ["alerts.rules.r"]),
        ({"sectors": []}, ["alerts.rules.r.sectors"]),
        ({"severity": "urgent"}, ["alerts.rules.r.severity", "urgent"]),
        ({"threshold": 0.2}, ["alerts.rules.r.threshold", "unknown"]),
        ({"measure": "expected_loss", "companies": "portfolio"}, ["alerts.rules.r", "for rules on companies"]),
        ({"cool_down_days": -1}, ["alerts.rules.r.cool_down_days"]),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_name(changes: dict, words: list[str]) -> None:
    content = default_params()
    content["alerts"]["rules"] = {"r": {"measure": "pd_12m", "raise": 0.1, "clear": 0.07, **changes}}
    with pytest.raises(ParamsError) as refused:
        validate_params(content)
    for word in words:
        assert word in str(refused.value)


# What rules find


def test_who_breaks_a_rule_and_who_is_only_near_it() -> None:
    table = {"company": measures(scores(high=0.2, edge=0.1, near=0.08, low=0.05))}
    hits = find_hits({"r": rule()}, GRADES, table)
    assert hits.schema == HIT_SCHEMA
    assert hits.select("subject", "broken").rows() == [("edge", True), ("high", True), ("near", False)]


def test_scope_floor_and_sector_narrow_a_rule() -> None:
    table = {"company": measures(scores(a=0.2, b=0.3, c=0.15))}
    in_portfolio = find_hits({"r": rule(companies="portfolio")}, GRADES, table, {"portfolio": {"b"}})
    assert in_portfolio["subject"].to_list() == ["b"]
    assert find_hits({"r": rule(companies="watch_list")}, GRADES, table)["subject"].to_list() == []
    assert find_hits({"r": rule(sectors=["Z"])}, GRADES, table).is_empty()
    assert find_hits({"r": rule(sectors=["C"])}, GRADES, table).height == 3
    assert find_hits({"r": rule(pd_from=0.25)}, GRADES, table)["subject"].to_list() == ["b"]
    assert find_hits({"r": rule("grade", "D", "C")}, GRADES, table).filter("broken")["subject"].to_list() == ["b"]


def test_a_sector_that_no_company_has_is_told_by_rule_with_the_nearest() -> None:
    rules = {"one": rule(sectors=["Constructon", "Mining"]), "two": rule(sectors=["Mining", "xyz"]), "all": rule()}
    unknown = unknown_sectors(rules, {"Construction", "Mining"})
    assert unknown == [
        {"rule": "one", "sector": "Constructon", "near": "Construction"},
        {"rule": "two", "sector": "xyz", "near": None},
    ]
    first, second = unknown_sector_sentences({"unknown_sectors": unknown}, Words())
    assert first == (
        "Alert rule 'one': no scored company has the sector 'Constructon' (did you mean 'Construction'?), so that the rule raises nothing there."
    )
    assert "'xyz', so that" in second
    assert unknown_sector_sentences({}, Words()) == [], "what an earlier version wrote says nothing of sectors"


def test_a_rule_on_a_sector_that_nobody_has_is_told_by_run_and_report(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = sorted({*pl.read_parquet(workspace / "data/panel/companies.parquet")["sector"].drop_nulls()})[0]
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["alerts"]["rules"]["narrow"] = {"measure": "pd_12m", "raise": 0.15, "clear": 0.10, "sectors": [known, f"{known}x"]}
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    done = command(workspace, "quiebra", "run", "alerts")
    assert done.returncode == 0, done.stderr
    said = f"Alert rule 'narrow': no scored company has the sector '{known}x' (did you mean '{known}'?), so that the rule raises nothing there."
    assert [line for line in result_summary(Workspace(workspace)) if line.startswith("alerts ")] == [f"alerts      {said}"]
    monkeypatch.chdir(workspace)
    assert risk_report().alerts().startswith(escape_markup(said))
    spanish = risk_report({"report": {"lang": "es"}}).alerts()
    assert spanish.startswith("Regla de alerta 'narrow': ninguna empresa puntuada es del sector")


def none() -> pl.DataFrame:
    return pl.DataFrame(schema=EXISTING_ALERT_SCHEMA)


def alert(
    state: str, closed_on: dt.date | None = None, cause: str = "old", subject: str = "x", seen: str = "old"
) -> pl.DataFrame:
    return pl.DataFrame([("id1", "r", subject, cause, seen, state, closed_on)], schema=EXISTING_ALERT_SCHEMA, orient="row")


def hit(value: float, cause: str = "new", broken: bool | None = None) -> pl.DataFrame:
    row = ("r", "pd_12m", "company", "x", cause, "high", value, 0.1, value >= 0.1 if broken is None else broken)
    return pl.DataFrame([row], schema=HIT_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("hits", "alerts", "raised", "kept", "closed"),
    [
        (hit(0.2), none(), 1, 0, 0),
        (hit(0.08), none(), 0, 0, 0),  # between the thresholds nothing is raised
        (hit(0.2), alert("open"), 0, 1, 0),
        (hit(0.08), alert("open"), 0, 1, 0),  # ... and what was raised stays
        (hit(0.2).clear(), alert("open"), 0, 0, 1),
        (hit(0.2).clear(), alert("acknowledged"), 0, 0, 1),
        (hit(0.2, "old"), alert("closed", DAY - dt.timedelta(days=900)), 0, 0, 0),  # its cause had one already
        (hit(0.2, "later"), alert("closed", DAY - dt.timedelta(days=900), seen="later"), 0, 0, 0),  # ... or it stood on it
        (hit(0.2), alert("closed", DAY - dt.timedelta(days=29)), 0, 0, 0),  # cooling down
        (hit(0.2), alert("closed", DAY - dt.timedelta(days=30)), 1, 0, 0),
    ],
)
def test_raised_kept_and_closed(hits: pl.DataFrame, alerts: pl.DataFrame, raised: int, kept: int, closed: int) -> None:
    step = compare_hits(hits, alerts, {"r": rule(cool_down_days=30)}, DAY)
    assert (step.raised.height, step.kept.height, step.closed.height) == (raised, kept, closed)


@given(st.lists(st.tuples(st.floats(0, 0.3), st.integers(0, 3)), min_size=1, max_size=12))
def test_whatever_happens_an_alert_is_raised_once_a_cause_and_one_stands_at_a_time(months: list[tuple[float, int]]) -> None:
    alerts, raised = none(), []
    for month, (value, cause) in enumerate(months):
        today = DAY + dt.timedelta(days=31 * month)
        hits = hit(value, str(cause)).filter(pl.col("value") >= 0.07)
        step = compare_hits(hits, alerts, {"r": rule(cool_down_days=40)}, today)
        raised += step.raised["cause"].to_list()
        over = pl.col("alert_id").is_in(step.closed["alert_id"].implode())
        alerts = alerts.with_columns(
            state=pl.when(over).then(pl.lit("closed")).otherwise("state"),
            closed_on=pl.when(over).then(pl.lit(today)).otherwise("closed_on"),
        )
        seen = pl.DataFrame(
            {"alert_id": step.kept["alert_id"], "now": step.kept["cause"]}, schema={"alert_id": pl.String, "now": pl.String}
        )
        alerts = (
            alerts.join(seen, on="alert_id", how="left").with_columns(seen_cause=pl.coalesce("now", "seen_cause")).drop("now")
        )
        new = [(f"{c}", "r", "x", c, c, "open", None) for c in step.raised["cause"]]
        alerts = pl.concat([alerts, pl.DataFrame(new, schema=EXISTING_ALERT_SCHEMA, orient="row")])
        assert alerts.filter(pl.col("state") == "open").height <= 1
        stood = {*raised, *alerts["seen_cause"]}
        if value >= 0.1 and str(cause) not in stood and alerts.filter(pl.col("state") == "open").is_empty():
            closed_at = alerts["closed_on"].max()
            assert closed_at is not None
            assert (today - closed_at).days < 40
    assert len(raised) == len(set(raised))


# States, in a real database


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, finished: Path) -> Engine:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres")(f"alerts{time.time_ns()}")
    engine = store.connect(url)
    store.upgrade_schema(engine)
    store.publish_run(engine, read_publication(Workspace(finished)))
    return engine


def test_the_same_run_again_changes_nothing(engine: Engine) -> None:
    first = states.update_alerts(engine, hit(0.2), {"r": rule()}, RUN)
    before = states.list_alerts(engine, closed=True)
    assert (first.raised, first.standing) == (1, 1)
    assert states.update_alerts(engine, hit(0.2), {"r": rule()}, RUN) == first
    assert states.list_alerts(engine, closed=True).equals(before)
    assert [e["action"] for e in store.audit_entries(engine)] == ["alert raised", "run published"]


def test_an_alert_goes_from_open_to_acknowledged_to_closed_and_stays_closed(engine: Engine) -> None:
    states.update_alerts(engine, hit(0.2), {"r": rule()}, RUN)
    (alert_id,) = states.list_alerts(engine)["alert_id"]
    later = dt.date(2999, 1, 1)
    with pytest.raises(AlertError, match="has passed"):
        decisions.acknowledge_alert(engine, alert_id, "ana", review_on=DAY)
    assert decisions.acknowledge_alert(engine, alert_id[:5], "ana", owner="luis", note="called", review_on=later) == alert_id
    row = states.list_alerts(engine).row(0, named=True)
    assert (row["state"], row["owner"], row["note"], row["review_on"]) == ("acknowledged", "luis", "called", later)
    with pytest.raises(AlertError, match="say why"):
        decisions.close_alert(engine, alert_id, "ana", " ")
    decisions.close_alert(engine, alert_id, "ana", "capital raised")
    with pytest.raises(AlertError, match=f"was closed on {dt.datetime.now(dt.UTC).date()} by ana"):
        decisions.acknowledge_alert(engine, alert_id, "eva")
    assert states.list_alerts(engine).is_empty()
    assert states.update_alerts(engine, hit(0.3), {"r": rule()}, RUN).standing == 0  # the same statement raises no second one
    later = states.EvaluatedRun("bbbbbbbbbbbb", "demo", DAY + dt.timedelta(days=365))
    assert states.update_alerts(engine, hit(0.3, "next"), {"r": rule()}, later).raised == 1
    assert [r["action"] for r in states.alert_history(engine, alert_id)] == ["alert raised", "alert acknowledged", "alert closed"]
    assert [r["who"] for r in states.alert_history(engine, alert_id)] == ["quiebra", "ana", "ana"]
    assert store.verify_chain(engine).faults == []


@pytest.mark.parametrize(
    ("rules", "scored", "why"),
    [
        ({"r": rule()}, None, "below its threshold"),
        ({"r": rule()}, {"x"}, "below its threshold"),
        ({"r": rule()}, {"y"}, "no longer scored"),
        ({}, {"x"}, "its rule is no longer in params"),
    ],
)
def test_an_alert_closes_by_itself_and_says_why(
    engine: Engine, rules: dict[str, Rule], scored: set[str] | None, why: str
) -> None:
    states.update_alerts(engine, hit(0.2), {"r": rule()}, RUN)
    later = states.EvaluatedRun("bbbbbbbbbbbb", "demo", DAY + dt.timedelta(days=31))
    assert states.update_alerts(engine, hit(0.2).clear(), rules, later, scored).closed == 1
    row = states.list_alerts(engine, closed=True).row(0, named=True)
    assert (row["state"], row["closed_by"], row["closed_on"]) == ("closed", "quiebra", later.as_of)
    assert why in states.alert_history(engine, row["alert_id"])[-1]["reason"]


def test_an_alert_closed_by_a_change_of_its_rule_opens_again_with_it(engine: Engine) -> None:
    """Taken away or raised out of reach, then brought back: the same alert is there again, and no cool-down holds it back."""
    cooling = rule(cool_down_days=180)
    states.update_alerts(engine, hit(0.2), {"r": cooling}, RUN)
    (alert_id,) = states.list_alerts(engine)["alert_id"]
    months = [states.EvaluatedRun(f"{n:012d}", "demo", DAY + dt.timedelta(days=31 * n)) for n in range(1, 9)]
    stricter = rule(high=0.5, low=0.4, cool_down_days=180)
    for without, back in ((months[0], months[1]), (months[2], months[3])):
        rules = {} if without is months[0] else {"r": stricter}
        assert states.update_alerts(engine, hit(0.2).clear(), rules, without, {"x"}, hit(0.2)).closed == 1
        assert states.update_alerts(engine, hit(0.2), {"r": cooling}, back, {"x"}).standing == 1
        assert states.list_alerts(engine).row(0, named=True)["alert_id"] == alert_id
    assert [e["action"] for e in states.alert_history(engine, alert_id)][-2:] == ["alert closed", "alert opened again"]
    assert states.update_alerts(engine, hit(0.2).clear(), {"r": stricter}, months[4], {"x"}, hit(0.2).clear()).closed == 1, (
        "a real one"
    )
    assert states.update_alerts(engine, hit(0.2, "next"), {"r": cooling}, months[5], {"x"}).standing == 0, (
        "it cools down from there"
    )


def test_a_cool_down_counts_no_closing_by_a_change_of_rule(engine: Engine) -> None:
    states.update_alerts(engine, hit(0.2), {"r": rule(cool_down_days=180)}, RUN)
    gone, back = (states.EvaluatedRun(f"{n:012d}", "demo", DAY + dt.timedelta(days=31 * n)) for n in (1, 2))
    states.update_alerts(engine, hit(0.2).clear(), {}, gone)
    assert states.update_alerts(engine, hit(0.3, "next statement"), {"r": rule(cool_down_days=180)}, back).standing == 1


def test_alerts_do_not_go_back_in_time_and_sources_do_not_mix(engine: Engine) -> None:
    states.update_alerts(engine, hit(0.2), {"r": rule()}, RUN)
    before = states.list_alerts(engine, closed=True)
    earlier_run = states.update_alerts(
        engine, hit(0.2).clear(), {"r": rule()}, states.EvaluatedRun("b", "demo", DAY - dt.timedelta(days=1))
    )
    assert (earlier_run.raised, earlier_run.closed, earlier_run.later) == (0, 0, DAY)
    assert states.list_alerts(engine, closed=True).equals(before)
    other = states.EvaluatedRun("c", "american", DAY - dt.timedelta(days=900))
    assert states.update_alerts(engine, hit(0.2), {"r": rule()}, other).raised == 1
    assert states.list_alerts(engine, "demo").height == states.list_alerts(engine, "american").height == 1


def test_alerts_of_a_data_set_close_when_another_takes_its_place_and_come_back_with_it(engine: Engine, finished: Path) -> None:
    """Two tables one after the other have one source; the second may be of an earlier date."""
    run = read_publication(Workspace(finished)).run
    mine = {*pl.read_parquet(finished / "data/scores/scores.parquet")["company_id"]}
    first = states.EvaluatedRun(run["run_id"], "demo", DAY)
    month = hit(0.3, "2020-06").with_columns(kind=pl.lit("portfolio"), subject=pl.lit("portfolio"))
    states.update_alerts(engine, pl.concat([hit(0.2), month]), {"r": rule()}, first, mine)
    part = states.EvaluatedRun("bbbbbbbbbbbb", "demo", DAY - dt.timedelta(days=30))
    assert states.update_alerts(engine, hit(0.2).clear(), {"r": rule()}, part, {*sorted(mine)[:20]}).later == DAY, (
        "of one data set"
    )
    other = states.EvaluatedRun("cccccccccccc", "demo", DAY - dt.timedelta(days=400))
    counts = states.update_alerts(engine, month, {"r": rule()}, other, {"A", "B"})
    assert (counts.standing, counts.later) == (1, None)
    (live,) = states.list_alerts(engine).iter_rows(named=True)
    assert (live["subject"], live["raised_on"], live["raised_run"]) == ("portfolio", other.as_of, other.run_id)
    gone = states.list_alerts(engine, closed=True).filter(pl.col("subject") == "x")["alert_id"].item()
    assert states.alert_history(engine, gone)[-1]["reason"] == "the data were replaced by those of other companies"
    assert store.earlier_month_pd(engine, "demo", "2031-01-31", mine) is not None
    assert store.earlier_month_pd(engine, "demo", "2031-01-31", ["A", "B"]) is None
    states.update_alerts(engine, hit(0.2), {"r": rule()}, first, mine)
    assert states.list_alerts(engine)["alert_id"].to_list() == [gone]


def test_an_unknown_or_ambiguous_alert_is_named(engine: Engine) -> None:
    with pytest.raises(AlertError, match="no alert"):
        decisions.close_alert(engine, "zzzz", "ana", "because")
    many = pl.concat([hit(0.2).with_columns(subject=pl.lit(f"c{n}")) for n in range(2000)])  # two begin with the same four
    states.update_alerts(engine, many, {"r": rule()}, RUN)
    for ask in (
        lambda part: decisions.close_alert(engine, part, "ana", "because"),
        lambda part: states.alert_history(engine, part),
    ):
        with pytest.raises(AlertError, match="say which alert by its id"):
            ask("")
    firsts = [alert_id[:4] for alert_id in states.list_alerts(engine)["alert_id"]]
    shared = max(firsts, key=firsts.count)
    with pytest.raises(AlertError, match=rf"'{shared}' is the start of {firsts.count(shared)} ids"):
        decisions.close_alert(engine, shared, "ana", "because")


def test_two_that_evaluate_at_once_raise_each_alert_once(engine: Engine) -> None:
    threads = [threading.Thread(target=states.update_alerts, args=(engine, hit(0.2), {"r": rule()}, RUN)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states.list_alerts(engine, closed=True).height == 1
    assert [e["action"] for e in store.audit_entries(engine)] == ["alert raised", "run published"]
    assert store.verify_chain(engine).faults == []


def test_the_stage_raised_alerts_that_its_rules_explain(finished: Path, params: Params) -> None:
    run = FinishedRun(Workspace(finished))
    engine = store.connect(f"sqlite:///{finished / 'data' / 'quiebra.db'}")
    standing = states.list_alerts(engine)
    high = standing.filter(pl.col("rule") == "high PD")
    assert sorted(high["subject"]) == sorted(run.scores.filter(pl.col("pd_12m") >= 0.15)["company_id"])
    twentieth = standing.filter(pl.col("rule") == "riskiest twentieth")
    assert twentieth.height == pytest.approx(0.05 * run.scores.height, abs=2)
    again = evaluation.run_hits(engine, run, evaluation.resolve_rules(params.alerts, params.score), params.score).filter("broken")
    assert sorted(again.select("rule", "subject").rows()) == sorted(standing.select("rule", "subject").rows())


# Analysts


@pytest.fixture
def some(engine: Engine) -> str:
    with engine.connect() as connection:
        asked = "SELECT company_id FROM v_ultimas_predicciones WHERE rating = 'B' ORDER BY company_id"
        return connection.execute(text(asked)).scalars().first()


def test_reviews_whose_day_has_passed_are_named_the_oldest_first() -> None:
    today, far = dt.date.today(), dt.date(2999, 1, 1)
    listed = [{"company_id": f"C{n}", "review_on": day} for n, day in enumerate([DAY, today, far, "2019-03-01"])]
    alerts = [
        {"kind": "portfolio", "subject": "portfolio", "review_on": "2021-01-01"},
        {"kind": "company", "subject": "C1", "review_on": None},
    ]
    names = {"C0": "<Acme>", "C1": "Bolt"}
    assert overdue_reviews(alerts, listed, names, Words("en"), escape_markup) == (
        "Reviews that are overdue: C3 (2019-03-01), \\<Acme\\> (2020-06-30), portfolio (2021-01-01)."
    )
    many = [{"company_id": f"C{n}", "review_on": DAY} for n in range(9)]
    assert overdue_reviews([], many, {}, Words("es")).endswith("C5 (30/06/2020) y 3 más.")
    assert overdue_reviews([], listed[1:3], names, Words("en")) == ""


def test_a_watched_company_is_escalated_and_taken_off(engine: Engine, some: str) -> None:
    assert decisions.add_to_watch_list(engine, some, "ana", "lost a client") == 1
    assert decisions.add_to_watch_list(engine, some, "luis", "bank called", level=3, review_on=dt.date(2999, 1, 1)) == 3
    row = analyst_decisions.watch_list_entries(engine, "demo").row(0, named=True)
    assert (row["company_id"], row["level"], row["who"], row["review_on"]) == (some, 3, "luis", dt.date(2999, 1, 1))
    for company, reason, more, words in [
        ("nobody", "because of it", {}, "not among those scored"),
        (some, " ", {}, "say why"),
        (some, "because of it", {"level": 4}, "level must be"),
        (some, "because of it", {"review_on": dt.date(2020, 1, 1)}, "has passed"),
    ]:
        with pytest.raises(AlertError, match=words):
            decisions.add_to_watch_list(engine, company, "ana", reason, **more)
    decisions.remove_from_watch_list(engine, some, "ana", "client is back")
    assert analyst_decisions.watch_list_entries(engine, "demo").is_empty()
    with pytest.raises(AlertError, match="not on the analysts' watch list"):
        decisions.remove_from_watch_list(engine, some, "ana", "client is back")
    assert [e["action"] for e in store.audit_entries(engine)] == [
        "watch removed",
        "watch changed",
        "watch added",
        "run published",
    ]


def test_an_override_needs_another_person_and_counts_until_it_ends(engine: Engine, some: str, params: Params) -> None:
    grades = params.score.grades
    made = decisions.propose_override(engine, some, "BB", "ana", "parent guarantees", grades)
    assert analyst_decisions.list_overrides(engine, "demo").is_empty()
    for name in ("ana", " ANA "):
        with pytest.raises(AlertError, match="another person must approve"):
            decisions.approve_override(engine, made, name)
    decisions.approve_override(engine, made, "luis")
    assert analyst_decisions.list_overrides(engine, "demo").select("company_id", "model_rating", "rating").rows() == [
        (some, "B", "BB")
    ]
    with pytest.raises(AlertError, match="was approved by luis"):
        decisions.approve_override(engine, made, "eva")
    second = decisions.propose_override(engine, some, "CCC", "ana", "guarantee is weak", grades)
    decisions.approve_override(engine, second, "luis")
    assert analyst_decisions.list_overrides(engine, "demo")["override_id"].to_list() == [second]  # the former has ended
    decisions.end_override(engine, second, "eva", "back to the model")
    assert analyst_decisions.list_overrides(engine, "demo").is_empty()
    with pytest.raises(AlertError, match="ended on"):
        decisions.end_override(engine, second, "eva", "back to the model")
    assert store.verify_chain(engine).faults == []


def test_a_grade_that_is_proposed_already_waits_for_another_person(engine: Engine, some: str, params: Params) -> None:
    grades = params.score.grades
    made = decisions.propose_override(engine, some, "BB", "ana", "parent guarantees", grades)
    with pytest.raises(AlertError, match=f"already: override {made} waits"):
        decisions.propose_override(engine, some, "BB", " Ana", "clicked twice", grades)
    decisions.propose_override(engine, some, "CCC", "ana", "another grade", grades)
    decisions.propose_override(engine, some, "BB", "luis", "another person", grades)
    decisions.end_override(engine, made, "ana", "reason was wrong")
    decisions.propose_override(engine, some, "BB", "ana", "the right reason", grades)


def test_an_override_that_cannot_be_is_refused(engine: Engine, some: str, params: Params) -> None:
    grades = params.score.grades
    for company, grade, days, words in [
        (some, "BBBB", 180, "'BBBB' is not a grade: there are AAA, AA, A, BBB"),
        (some, "B", 180, "already"),
        ("nobody", "BB", 180, "not among"),
        (some, "BB", 400, "days"),
    ]:
        with pytest.raises(AlertError, match=words):
            decisions.propose_override(engine, company, grade, "ana", "because of it", grades, days=days)
    with pytest.raises(AlertError, match="there is no override 99"):
        decisions.approve_override(engine, 99, "luis")


def test_an_expired_override_no_longer_counts(engine: Engine, some: str, params: Params) -> None:
    made = decisions.propose_override(engine, some, "BB", "ana", "parent guarantees", params.score.grades)
    decisions.approve_override(engine, made, "luis")
    with engine.begin() as connection:
        connection.execute(text("UPDATE ajustes_calificacion SET expires_on = '2020-01-01'"))
    assert analyst_decisions.list_overrides(engine, "demo").is_empty()
    assert analyst_decisions.list_overrides(engine, "demo", past=True).height == 1


def test_outcomes_of_overrides_are_counted_against_both_promises() -> None:
    row = {
        "override_id": 1,
        "company_id": "x",
        "rating": "B",
        "model_rating": "C",
        "pd_12m": 0.1,
        "as_of": dt.date(2019, 1, 1),
        "reason": "r",
        "author": "a",
        "made_on": DAY,
        "expires_on": DAY,
        "approver": "b",
        "approved_on": DAY,
        "ended_on": None,
    }
    rows = [
        row,
        {**row, "company_id": "y"},
        {**row, "company_id": "z", "as_of": dt.date(2020, 1, 1)},
        {**row, "approver": None},
        {**row, "company_id": "w", "rating": "D"},
    ]
    events = pl.DataFrame({"company_id": ["x", "w"], "event_date": [dt.date(2019, 6, 1), dt.date(2025, 1, 1)]})
    table = analyst_decisions.override_outcomes(
        pl.DataFrame(rows, schema=analyst_decisions.OVERRIDE_SCHEMA), events, dt.date(2020, 2, 1), GRADES
    )
    better, worse = table.rows(named=True)
    assert (better["direction"], better["overrides"], better["known"], better["failures"]) == ("better", 3, 2, 1)
    assert better["by_model"] == pytest.approx(0.2)
    assert better["by_analysts"] == pytest.approx(2 * (0.01 * 0.05) ** 0.5)
    assert (worse["overrides"], worse["failures"]) == (1, 0)


def test_what_people_decide_reaches_the_next_report(workspace: Path) -> None:
    def said_in(name: str) -> str:
        return (workspace / "reports/build" / name).read_text(encoding="utf-8")

    scored = pl.read_parquet(workspace / "data/scores/scores.parquet").sort("pd_12m", descending=True)
    company, grade = scored["company_id"][0], scored["rating"][0]
    better = "CCC" if grade != "CCC" else "B"
    for words in (
        ["watch", "add", company, "--reason", "lost <b>its</b> client", "--who", "ana"],
        ["override", "propose", company, better, "--reason", "parent guarantees", "--who", "ana"],
        ["override", "approve", "1", "--who", "luis"],
    ):
        done = command(workspace, "quiebra", *words)
        assert done.returncode == 0, done.stderr
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stderr
    page = said_in("risk_report.html")
    assert f"{grade} · {better} (analyst, to " in page
    assert "lost &lt;b&gt;its&lt;/b&gt; client" in page
    assert "parent guarantees" in page


def scored_by(engine: Engine, *models: str) -> list[states.EvaluatedRun]:
    """Put a run by each model into the database, a month apart; a model may come again."""
    runs = [states.EvaluatedRun(f"{n:012d}", "demo", DAY + dt.timedelta(days=31 * n), model) for n, model in enumerate(models)]
    with engine.begin() as connection:
        for model in dict.fromkeys(models):
            values = {"model_id": model, "model_sha256": model, "source": "demo", "trained_on": "2019", "rows": 1, "failures": 1}
            connection.execute(insert(tables.Model), {**values, "params": {}, "metrics": {}, "card": {}})
        for run in runs:
            values = {"run_id": run.run_id, "model_id": run.model_id, "as_of": run.as_of, "source": "demo", "simulated": True}
            more = {"data_sha256": "", "code_sha256": "", "code_revision": "", "record": {}, "is_current": False}
            connection.execute(insert(tables.Run), {**values, **more, "published_at": dt.datetime(2020, 1, 1)})
    return runs


def test_alerts_that_another_model_closed_are_back_with_the_model(engine: Engine) -> None:
    """Promoted, rolled back: on the same accounts the same alerts stand, and no cool-down holds them back."""
    cooling = {"r": rule(cool_down_days=180)}
    champion, other, back, again, later = scored_by(engine, "a", "b", "a", "a", "a")
    states.update_alerts(engine, hit(0.2), cooling, champion)
    before = states.list_alerts(engine).select("alert_id", "state", "cause")
    assert states.update_alerts(engine, hit(0.2).clear(), cooling, other, {"x"}).closed == 1
    assert states.alert_history(engine, before["alert_id"][0])[-1]["reason"] == states.OTHER_MODEL
    assert states.update_alerts(engine, hit(0.2), cooling, back, {"x"}).standing == 1
    assert states.list_alerts(engine).select("alert_id", "state", "cause").equals(before)
    assert states.update_alerts(engine, hit(0.2).clear(), cooling, again, {"x"}).closed == 1, "by the same model: a real closing"
    assert states.update_alerts(engine, hit(0.2), cooling, later, {"x"}).standing == 0


def test_on_other_accounts_another_models_closing_is_over(engine: Engine) -> None:
    champion, other, back = scored_by(engine, "a", "b", "a")
    states.update_alerts(engine, hit(0.2), {"r": rule(cool_down_days=180)}, champion)
    first = states.list_alerts(engine)["alert_id"].to_list()
    states.update_alerts(engine, hit(0.2).clear(), {"r": rule(cool_down_days=180)}, other, {"x"})
    assert states.update_alerts(engine, hit(0.3, "next"), {"r": rule(cool_down_days=180)}, back, {"x"}).raised == 1
    assert states.list_alerts(engine)["alert_id"].to_list() != first


def test_every_measure_that_a_rule_may_name_has_a_value_in_a_finished_run(base: FinishedRunView) -> None:
    """One that is missing everywhere makes a rule that can never fire."""
    measures = evaluation.current_measures(base, base.params.score)
    for kind, names in MEASURE_FLOORS.items():
        assert set(names) <= set(measures[kind].columns)
        assert [name for name in names if not measures[kind][name].is_not_null().any()] == []
