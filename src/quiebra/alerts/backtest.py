"""Alerts judged on failures that happened: history replayed month by month, with what could be known in each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from quiebra.alerts.measures import company_measures, earlier
from quiebra.alerts.rules import ALERTS, Change, change, found
from quiebra.params.operations import BackTest, Rule
from quiebra.risk.portfolio import standing_at
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.judging import Resampling, rounded

DAYS = 365.25
NEXT = 1.0
"""Years: a failure counts where its company was last evaluated at most so long before it."""
CURVE = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.125, 0.15, 0.20, 0.25, 0.30)
"""Shares of companies under alert at which the trade-off is shown."""


@dataclass(frozen=True)
class Past:
    """What is replayed. scores: out-of-time scores with period_end, one row a firm-year as given when its statement came out;
    events: company_id and event_date; companies: company_id and sector; grades: the rating scale; max_age_months: of a
    statement."""

    scores: pl.DataFrame
    events: pl.DataFrame
    companies: pl.DataFrame
    grades: Mapping[str, float]
    max_age_months: int


def rounds(past: Past, first: int, last: int) -> list[dt.date]:
    """Return the ends of the months in which statements of fiscal years ``first`` to ``last`` came out: one evaluation each."""
    dates = past.scores.filter(pl.col("fiscal_year").is_between(first, last))["available_at"]
    return sorted(set(dates.dt.month_end().to_list()))


def portfolio(past: Past, as_of: dt.date) -> pl.DataFrame:
    """Return the scores that stood on a date; see `quiebra.risk.portfolio.standing_at`."""
    return standing_at(past.scores, past.events, as_of, past.max_age_months)


Measured = list[tuple[dt.date, pl.DataFrame]]


def measured(past: Past, dates: list[dt.date]) -> Measured:
    """Return the measures of every company at each evaluation; see `quiebra.alerts.measures.company_measures`.

    Each evaluation sees only statements published and failures that happened by its date.
    """
    found_ = []
    for as_of in dates:
        now = portfolio(past, as_of)
        history = past.scores.filter(pl.col("available_at") <= as_of)
        found_.append((as_of, company_measures(now, earlier(history, now), past.companies, past.grades, as_of)))
    return found_


def replay(evaluations: Measured, rules: Mapping[str, Rule], grades: Mapping[str, float]) -> pl.DataFrame:
    """Return as_of, company_id, rule, raised_on for every company and evaluation under alert, and rows without a rule for the
    others.

    Alerts are raised, kept and closed by rules on companies alone, as nobody acknowledges or closes one.
    """
    alerts = pl.DataFrame(schema={**ALERTS, "raised_on": pl.Date})
    seen = []
    for as_of, measures in evaluations:
        hits = found(rules, grades, {"company": measures})
        step = change(hits, alerts.select(list(ALERTS)), rules, as_of)
        alerts = _after(alerts, step, as_of)
        live = alerts.filter(pl.col("state") == "open").select("rule", "raised_on", company_id="subject")
        seen.append(measures.select(pl.lit(as_of).alias("as_of"), "company_id").join(live, on="company_id", how="left"))
    return pl.concat(seen).sort("as_of", "company_id", "rule")


def _after(alerts: pl.DataFrame, step: Change, as_of: dt.date) -> pl.DataFrame:
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


def judge(
    seen: pl.DataFrame,
    events: pl.DataFrame,
    rules: list[str],
    first: dt.date,
    options: BackTest,
    how: Resampling | None,
) -> dict[str, Any]:
    """Return how well alerts of some rules, together, did from ``first`` on, with intervals from resampling whole companies, if
    wanted.

    seen: from `replay`; evaluations before ``first`` count only as having seen a failure coming. A failure counts where its
    company was evaluated within a year before it. Figures:

    - under_alert: share of companies under alert, mean over evaluations. raised_a_year: alerts raised a year, as a share of
      companies.
    - recall: share of failures whose company was under alert at an evaluation within ``horizon_years`` before. recall_last: at
      the last evaluation before. lead_years: median time from the first of those evaluations to the failure.
    - precision: share of alerts whose company failed within the horizon, among those raised a horizon or more before the last
      evaluation. false_alarms_a_year: the others of them, a year of raising them. Missing where none is that old.
    - cost: missed failures times ``miss_cost`` and wrong alerts, a hundred companies and year.
    """
    table = _judged(seen, events, rules, first, options.horizon_years)
    dates = seen.filter(pl.col("as_of") >= first).select("as_of", known=_known(seen["as_of"].max(), options.horizon_years))
    evaluations, years = _span(dates["as_of"])
    known_evaluations, known_years = _span(dates.filter("known")["as_of"])
    counts = {name: table[name].to_numpy().astype(float) for name in COUNTS}

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
        **{name: rounded(value) for name, value in found_.items()},
        "failures": int(counts["failures"].sum()),
        "seen_coming": int(counts["coming"].sum()),
        "alerts": int(counts["raised"].sum()),
        "evaluations": evaluations,
        "lead_years": _median(table["lead"]),
        "interval": {name: [rounded(low), rounded(high)] for name, (low, high) in spans.items()},
    }


def _span(dates: pl.Series) -> tuple[int, float]:
    """Return how many evaluations there are, and the years that they stand for."""
    if dates.is_empty():
        return 0, 0.0
    return dates.n_unique(), (dates.max() - dates.min()).days / DAYS + 1  # type: ignore[operator]


def _median(values: pl.Series) -> float | None:
    middle = values.drop_nulls().median()
    return None if middle is None else rounded(float(middle))  # type: ignore[arg-type]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


COUNTS = ("rows", "alerted", "raised", "known_rows", "known", "right", "failures", "caught", "coming")


def _known(last: dt.date, horizon: int) -> pl.Expr:
    """Whether it is known by the last evaluation if an alert of an evaluation was right: the horizon is over, however it ended.
    Young alerts whose company has failed already do not count either: the others of their age can only turn out wrong later."""
    return pl.col("as_of").dt.offset_by(f"{horizon}y") <= last


def _judged(seen: pl.DataFrame, events: pl.DataFrame, rules: list[str], first: dt.date, horizon: int) -> pl.DataFrame:
    """Return one row a company: in how many evaluations it was, and under alert; its alerts, and what became of it."""
    mine = pl.col("rule").is_in(rules).fill_null(False)
    spots = seen.group_by("as_of", "company_id").agg(
        live=mine.any(), new=((pl.col("raised_on") == pl.col("as_of")) & mine).sum()
    )
    spots = spots.join(events.select("company_id", "event_date"), on="company_id", how="left").sort("company_id", "as_of")
    ahead = (pl.col("event_date") - pl.col("as_of")).dt.total_days() / DAYS
    within = (ahead <= horizon).fill_null(False)
    known = _known(seen["as_of"].max(), horizon)
    spots = spots.with_columns(ahead=ahead, within=within, known=known, counts=pl.col("as_of") >= first)
    near, counts = pl.col("within") & pl.col("live"), pl.col("counts")
    failed = ((pl.col("ahead").last() <= NEXT) & counts.last()).fill_null(False)
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


def back_test(
    past: Past, rules: Mapping[str, Rule], first_year: int, last_year: int, options: BackTest, how: Resampling
) -> dict[str, Any]:
    """Return the judgement of alerts on fiscal years ``first_year`` to ``last_year`` as plain JSON values.

    by_rule: every rule on companies as it is in params (see `judge`), and ``any`` of them. budgets: for each share of companies
    under alert how alerts on the riskiest such share did, and thresholds that keep it: riskiest, which always does, and pd_12m,
    which does for the companies of the last evaluation. curve: the same for shares from 1 to 30 %, without intervals.
    Evaluations start with the first out-of-time scores, so that alerts of earlier years stand when judging begins.
    """
    dates = rounds(past, int(past.scores["fiscal_year"].min()), last_year)  # type: ignore[arg-type]
    first = rounds(past, first_year, last_year)[0]
    evaluations = measured(past, dates)
    # whom a portfolio or an analysts' list held in the past is not known: rules on those are judged on all companies
    of_companies = {n: rule.model_copy(update={"companies": "all"}) for n, rule in rules.items() if rule.kind == "company"}
    shares = {share: f"riskiest {share}" for share in sorted({*options.budgets, *CURVE})}
    seen = replay(evaluations, {**of_companies, **{name: _riskiest(share) for share, name in shares.items()}}, past.grades)
    pds = evaluations[-1][1]["pd_12m"]

    def judged(names: list[str], how: Resampling | None = how) -> dict[str, Any]:
        return judge(seen, past.events, names, first, options, how)

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
                "riskiest": rounded(1 - budget),
                "pd_12m": rounded(float(pds.quantile(1 - budget))),  # type: ignore[arg-type]
                **judged([shares[budget]]),
            }
            for budget in options.budgets
        ],
        "curve": [{"budget": share, **judged([shares[share]], how=None)} for share in CURVE],
    }
