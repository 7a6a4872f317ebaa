"""Back-test of alert rules: history replayed month by month with the data known at the time, judged on actual failures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl

from quiebra.alerts.measures import company_measures, earlier_scores
from quiebra.alerts.rules import EXISTING_ALERT_SCHEMA, AlertChange, compare_hits, find_hits
from quiebra.canonical import earliest_day, earliest_year, latest_day, median_value
from quiebra.params.operations import BackTest, Rule
from quiebra.risk.portfolio import scores_in_force
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.comparison import Bootstrap, round_figure

DAYS_PER_YEAR = 365.25
MAX_YEARS_TO_FAILURE = 1.0
"""Years: a failure counts if its company's last evaluation was at most this long before it."""
CURVE_BUDGETS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.125, 0.15, 0.20, 0.25, 0.30)
"""Shares of companies under alert at which the trade-off curve is computed."""


@dataclass(frozen=True)
class ReplayData:
    """Data of the replay.

    scores: out-of-time scores with period_end, one row per firm-year, as given at the statement's publication; events: company_id
    and event_date; companies: company_id and sector; grades: the rating scale; max_age_months: a statement's maximum age.
    """

    scores: pl.DataFrame
    events: pl.DataFrame
    companies: pl.DataFrame
    grades: Mapping[str, float]
    max_age_months: int


def evaluation_dates(past: ReplayData, first: int, last: int) -> list[dt.date]:
    """Return the evaluation dates: the ends of the months in which statements of fiscal years ``first`` to ``last`` were
    published."""
    dates = past.scores.filter(pl.col("fiscal_year").is_between(first, last))["available_at"]
    return sorted(set(dates.dt.month_end().to_list()))


def scores_at(past: ReplayData, as_of: dt.date) -> pl.DataFrame:
    """Return the scores in force on a date; see `quiebra.risk.portfolio.scores_in_force`."""
    return scores_in_force(past.scores, past.events, as_of, past.max_age_months)


MeasuresByDate = list[tuple[dt.date, pl.DataFrame]]


def measures_by_date(past: ReplayData, dates: list[dt.date]) -> MeasuresByDate:
    """Return every company's measures at each evaluation date; see `quiebra.alerts.measures.company_measures`.

    Each evaluation uses only statements published and failures that happened by its date.
    """
    found_ = []
    for as_of in dates:
        now = scores_at(past, as_of)
        history = past.scores.filter(pl.col("available_at") <= as_of)
        found_.append((as_of, company_measures(now, earlier_scores(history, now), past.companies, past.grades, as_of)))
    return found_


def replay_rules(evaluations: MeasuresByDate, rules: Mapping[str, Rule], grades: Mapping[str, float]) -> pl.DataFrame:
    """Return as_of, company_id, rule, raised_on: a row per alert open at each evaluation; companies without one have a null rule.

    Rules on companies alone raise, keep and close alerts: the replay has no people who acknowledge or close them.
    """
    alerts = pl.DataFrame(schema={**EXISTING_ALERT_SCHEMA, "raised_on": pl.Date})
    seen = []
    for as_of, measures in evaluations:
        hits = find_hits(rules, grades, {"company": measures})
        step = compare_hits(hits, alerts.select(list(EXISTING_ALERT_SCHEMA)), rules, as_of)
        alerts = _after(alerts, step, as_of)
        live = alerts.filter(pl.col("state") == "open").select("rule", "raised_on", company_id="subject")
        seen.append(measures.select(pl.lit(as_of).alias("as_of"), "company_id").join(live, on="company_id", how="left"))
    return pl.concat(seen).sort("as_of", "company_id", "rule")


def _after(alerts: pl.DataFrame, step: AlertChange, as_of: dt.date) -> pl.DataFrame:
    raised, over = step.raised, pl.col("alert_id").is_in(step.closed["alert_id"].implode())
    seen = step.kept.select("alert_id", now="cause")
    alerts = alerts.join(seen, on="alert_id", how="left", maintain_order="left")
    alerts = alerts.with_columns(seen_cause=pl.coalesce("now", "seen_cause")).drop("now")
    alerts = alerts.with_columns(
        state=pl.when(over).then(pl.lit("closed")).otherwise("state"),
        closed_on=pl.when(over).then(pl.lit(as_of)).otherwise("closed_on"),
    )
    new = raised.select(
        pl.format("{}|{}|{}", "rule", "subject", "cause").alias("alert_id"),
        "rule",
        "subject",
        "cause",
        pl.col("cause").alias("seen_cause"),
        pl.lit("open").alias("state"),
        pl.lit(None, pl.Date).alias("closed_on"),
        pl.lit(as_of).alias("raised_on"),
    )
    return pl.concat([alerts, new])


def judge_alerts(
    seen: pl.DataFrame,
    events: pl.DataFrame,
    rules: list[str],
    first: dt.date,
    options: BackTest,
    how: Bootstrap | None,
) -> dict[str, Any]:
    """Return the performance of alerts by ``rules`` taken together, from ``first`` on.

    seen: from `replay_rules`; evaluations before ``first`` count only towards recall and lead_years. how: bootstrap of whole
    companies for the intervals; None: no intervals. A failure counts if its company was evaluated within a year before it.
    Figures:

    - under_alert: share of companies under alert, mean over evaluations. raised_a_year: alerts raised per company and year.
    - recall: share of failures whose company was under alert at an evaluation within ``horizon_years`` before. recall_last: at
      the last evaluation before. lead_years: median time from the first of those evaluations to the failure.
    - precision: share of alerts whose company failed within the horizon, among those raised a horizon or more before the last
      evaluation; missing if none is that old. false_alarms_a_year: the other ones among those, per year.
    - cost: missed failures times ``miss_cost`` plus false alarms, per hundred companies and year.
    """
    table = _judged(seen, events, rules, first, options.horizon_years)
    dates = seen.filter(pl.col("as_of") >= first).select("as_of", known=_known(latest_day(seen["as_of"]), options.horizon_years))
    evaluations, years = _span(dates["as_of"])
    known_evaluations, known_years = _span(dates.filter("known")["as_of"])
    counts = {name: table[name].to_numpy().astype(float) for name in JUDGED_COUNTS}

    def figures(weight: np.ndarray) -> dict[str, float]:
        n = {name: float(weight @ values) for name, values in counts.items()}
        company_years = n["rows"] / evaluations * years
        known_company_years = _ratio(n["known_rows"], known_evaluations) * known_years
        missed, wrong = n["failures"] - n["coming"], n["known"] - n["right"]
        return {
            "under_alert": _ratio(n["alerted"], n["rows"]),
            "raised_a_year": _ratio(n["raised"], company_years),
            "recall": _ratio(n["coming"], n["failures"]),
            "recall_last": _ratio(n["caught"], n["failures"]),
            "precision": _ratio(n["right"], n["known"]),
            "false_alarms_a_year": _ratio(wrong, known_years),
            "cost": 100 * (_ratio(missed * options.miss_cost, company_years) + _ratio(wrong, known_company_years)),
        }

    found_ = figures(np.ones(table.height))
    spans = (
        {}
        if how is None
        else firm_bootstrap(
            table["company_id"].to_numpy(), figures, resamples=how.resamples, confidence=how.confidence, seed=how.seed
        )
    )
    return {
        **{name: round_figure(value) for name, value in found_.items()},
        "failures": int(counts["failures"].sum()),
        "seen_coming": int(counts["coming"].sum()),
        "alerts": int(counts["raised"].sum()),
        "evaluations": evaluations,
        "lead_years": _median(table["lead"]),
        "interval": {name: [round_figure(low), round_figure(high)] for name, (low, high) in spans.items()},
    }


def _span(dates: pl.Series) -> tuple[int, float]:
    """Return the number of evaluations and the years they cover."""
    if dates.is_empty():
        return 0, 0.0
    return dates.n_unique(), (latest_day(dates) - earliest_day(dates)).days / DAYS_PER_YEAR + 1


def _median(values: pl.Series) -> float | None:
    middle = median_value(values.drop_nulls())
    return None if middle is None else round_figure(float(middle))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


JUDGED_COUNTS = ("rows", "alerted", "raised", "known_rows", "known", "right", "failures", "caught", "coming")


def _known(last: dt.date, horizon: int) -> pl.Expr:
    """Return whether the horizon of an evaluation is over by the last one, so that its alerts can be judged right or wrong.

    Younger alerts are left out even if the company has failed already: those of the same age without a failure are still open, so
    that counting the failed ones alone would overstate precision.
    """
    return pl.col("as_of").dt.offset_by(f"{horizon}y") <= last


def _judged(seen: pl.DataFrame, events: pl.DataFrame, rules: list[str], first: dt.date, horizon: int) -> pl.DataFrame:
    """Return one row per company with the counts of `JUDGED_COUNTS`, and the lead time of its failure."""
    mine = pl.col("rule").is_in(rules).fill_null(False)
    spots = seen.group_by("as_of", "company_id").agg(live=mine.any(), new=((pl.col("raised_on") == pl.col("as_of")) & mine).sum())
    spots = spots.join(events.select("company_id", "event_date"), on="company_id", how="left").sort("company_id", "as_of")
    ahead = (pl.col("event_date") - pl.col("as_of")).dt.total_days() / DAYS_PER_YEAR
    within = (ahead <= horizon).fill_null(False)
    known = _known(latest_day(seen["as_of"]), horizon)
    spots = spots.with_columns(ahead=ahead, within=within, known=known, counts=pl.col("as_of") >= first)
    near, counts = pl.col("within") & pl.col("live"), pl.col("counts")
    failed = ((pl.col("ahead").last() <= MAX_YEARS_TO_FAILURE) & counts.last()).fill_null(False)
    return (
        spots.group_by("company_id", maintain_order=True)
        .agg(
            rows=counts.sum(),
            alerted=(pl.col("live") & counts).sum(),
            raised=pl.col("new").filter(counts).sum(),
            known_rows=(pl.col("known") & counts).sum(),
            known=pl.col("new").filter(pl.col("known") & counts).sum(),
            right=pl.col("new").filter(pl.col("known") & pl.col("within") & counts).sum(),
            failures=failed,
            caught=failed & pl.col("live").last(),
            coming=failed & near.any(),
            lead=pl.when(failed & near.any()).then(pl.col("ahead").filter(near).max()),
        )
        .filter(pl.col("rows") > 0)
    )


def _riskiest(share: float) -> Rule:
    return Rule.model_validate({"measure": "riskiest", "raise": 1 - share, "clear": 1 - share})


def back_test_rules(
    past: ReplayData, rules: Mapping[str, Rule], first_year: int, last_year: int, options: BackTest, how: Bootstrap
) -> dict[str, Any]:
    """Return the back-test of the rules on fiscal years ``first_year`` to ``last_year`` as plain JSON values.

    any: all rules on companies together; by_rule: each one as it is in params (see `judge_alerts`). budgets: for each share of
    companies under alert, the performance of alerts on the riskiest such share, and the thresholds that keep to it: riskiest
    (always) and pd_12m (for the companies of the last evaluation). curve: the same for shares from 1 to 30 %, without intervals.

    Evaluations start with the first out-of-time scores, so that alerts of earlier years are open when the judged period begins.
    """
    dates = evaluation_dates(past, earliest_year(past.scores["fiscal_year"]), last_year)
    first = evaluation_dates(past, first_year, last_year)[0]
    evaluations = measures_by_date(past, dates)
    # past members of the portfolio and the watch list are not known: rules on those are judged on all companies
    of_companies = {n: rule.model_copy(update={"companies": "all"}) for n, rule in rules.items() if rule.kind == "company"}
    shares = {share: f"riskiest {share}" for share in sorted({*options.budgets, *CURVE_BUDGETS})}
    seen = replay_rules(evaluations, {**of_companies, **{name: _riskiest(share) for share, name in shares.items()}}, past.grades)
    pds = evaluations[-1][1]["pd_12m"]

    def judged(names: list[str], how: Bootstrap | None = how) -> dict[str, Any]:
        return judge_alerts(seen, past.events, names, first, options, how)

    return {
        "years": f"{first_year}-{last_year}",
        "from": first.isoformat(),
        "to": dates[-1].isoformat(),
        "horizon_years": options.horizon_years,
        "miss_cost": options.miss_cost,
        "any": judged(list(of_companies)),
        "by_rule": {name: judged([name]) for name in of_companies},
        "budgets": [
            {
                "budget": budget,
                "riskiest": round_figure(1 - budget),
                "pd_12m": round_figure(float(cast("float", pds.quantile(1 - budget)))),
                **judged([shares[budget]]),
            }
            for budget in options.budgets
        ],
        "curve": [{"budget": share, **judged([shares[share]], how=None)} for share in CURVE_BUDGETS],
    }
