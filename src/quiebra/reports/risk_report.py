"""The contents of the risk report: figures read from the stages' files, put into words and rows. Nothing is computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra import risk
from quiebra.files import read_json, read_table
from quiebra.panel import label, read_panel_table
from quiebra.params import StageParams, for_stage
from quiebra.reports.pages import Report
from quiebra.reports.tables import amount, escaped, interval, percent, table
from quiebra.workspace import Workspace

QUALITY = (
    ("AUC", "auc", 3),
    ("Average precision", "average_precision", 3),
    ("Failures in the riskiest tenth", "top_decile_capture", 3),
    ("Brier score", "brier", 5),
    ("Mean PD / observed", "pd_over_observed", 2),
)


def risk_report(overrides: Mapping[str, Any] | None = None) -> RiskReport:
    """Return the report of the workspace around the current folder, from its latest finished stages."""
    workspace = Workspace.find()
    return RiskReport(workspace, for_stage(workspace, "report", overrides))


@dataclass(frozen=True)
class RiskReport(Report):
    """Everything that the report's notebook shows, by section."""

    @cached_property
    def years(self) -> pl.DataFrame:
        """PD by year from the first test year on."""
        return self.judged_years(self.params.labels.window_months)

    @cached_property
    def sectors(self) -> pl.DataFrame:
        return risk.by_group(self.scores, self.companies, "sector")

    @cached_property
    def regions(self) -> pl.DataFrame:
        return risk.by_group(self.scores, self.companies, "region")

    def grades(self) -> tuple[dict[str, int], dict[str, int]]:
        """Companies by grade, a year ago and now."""
        names = list(self.params.score.grades)
        return tuple({g: (table["rating"] == g).sum() for g in names} for table in (self.before, self.scores))  # type: ignore[return-value]

    def migration(self) -> pl.DataFrame:
        return risk.migration(self.before, self.scores, self.params.score.grades)

    def summary(self) -> str:
        """The banner and the three sentences that a hurried reader needs."""
        now, then = self.scores["pd_12m"].mean(), self.before["pd_12m"].mean()
        moved = "" if then is None else f", {'up' if now > then else 'down'} from {percent(then)} a year ago"  # type: ignore[operator]
        riskiest = risk.watch_list(self.scores, 3)["name"].to_list()
        named = f" The riskiest are {', '.join(map(escaped, riskiest))}." if riskiest else ""
        quality = self.metrics["walk_forward"]
        return "\n\n".join(
            [
                self.banners(),
                f"Of {self.scores.height:,} companies the mean one-year probability of default is **{percent(now)}**{moved}; "  # type: ignore[arg-type]
                f"**{self.scores['watch'].sum()}** are on the watch list.{named}",
                f"How sure we are: over fiscal years {quality['test_years']} the model, scoring each year from earlier years alone, "
                f"ranked a company that failed above one that did not in {percent(quality['auc'], 1)} of pairs, and the riskiest "
                f"tenth of companies held {percent(quality['top_decile_capture'], 0)} of all {quality['events']} failures.",
            ]
        )

    def glance(self) -> list[dict[str, str]]:
        tables = {"now": self.scores, "a year ago": self.before}
        rows = {
            "Companies scored": lambda t: amount(t.height),
            "Mean PD": lambda t: percent(t["pd_12m"].mean()),
            "Mean PD over five years": lambda t: percent(t["pd_60m"].mean()),
            "Median PD": lambda t: percent(t["pd_12m"].median()),
            "Failures expected within a year": lambda t: amount(t["pd_12m"].sum(), 1),
            "On the watch list": lambda t: f"{t['watch'].sum()} ({percent(t['watch'].mean(), 1)})",
        }
        return [{"": name, **{when: show(t) for when, t in tables.items()}} for name, show in rows.items()]

    def watch_list(self) -> str:
        rows = risk.watch_list(self.scores, self.params.report.watch_list)
        if rows.is_empty():
            return "No company is on the watch list."
        shown = rows.select(
            "rating", "reasons", company="name", PD="pd_12m", interval=pl.struct(low="pd_12m_low", high="pd_12m_high"), five="pd_60m"
        ).select("company", "PD", "interval", grade="rating", **{"five years": "five"}, why="reasons")
        spans = {"interval": lambda v: f"{percent(v['low'], 1)} to {percent(v['high'], 1)}", "five years": lambda v: percent(v, 1)}
        return table(shown, {"PD": percent, **spans})

    def movers(self) -> str:
        rows = risk.movers(self.history, self.scores, self.params.report.watch_list)
        if rows.is_empty():
            return "No company was scored both now and a year ago."
        rows = rows.with_columns(grade=pl.col("rating_before") + " → " + pl.col("rating"))
        rows = rows.select(company="name", grade="grade", before="pd_before", now="pd_12m", why="reasons")
        return table(rows, {"before": percent, "now": percent})

    def quality_rows(self) -> list[dict[str, str]]:
        m = self.metrics
        rows = [
            {
                "": words,
                "model and Altman blended": interval(m["walk_forward"], name, digits),
                "Altman alone": interval(m["altman_alone"], name, digits),
                "without alive exits": interval(m["without_alive_exits"], name, digits),
            }
            for words, name, digits in QUALITY
        ]
        counts = {name: f"{m[key]['rows']:,} / {m[key]['events']}" for name, key in (
            ("model and Altman blended", "walk_forward"), ("Altman alone", "altman_alone"),
            ("without alive exits", "without_alive_exits"))}  # fmt: skip
        return [*rows, {"": "Company-years / failures", **counts}]

    def data_rows(self) -> list[dict[str, Any]]:
        q = read_json(self.workspace.panel / "quality.json")
        return [
            {"what": "Rows in the source", "count": q["rows_in"]},
            {"what": "Rows kept", "count": q["rows_kept"]},
            *({"what": f"Quarantined: {rule.replace('_', ' ')}", "count": n} for rule, n in q["quarantined_by_rule"].items()),
            {"what": "Restatements among the kept", "count": q["restatements"]},
            {"what": "Amounts set to missing because negative", "count": sum(q["negatives_set_missing"].values())},
            {"what": "Statements whose totals do not add up", "count": sum(q["identities_broken"].values())},
            {"what": "Companies", "count": q["companies"]},
        ]

    def method(self) -> str:
        card, scorers = self.model_record["card"], self.model_record["scorers"]
        blend = scorers.get("market", scorers["accounting"])["blend"]
        embargo, window = card["embargo_years"], self.params.labels.window_months
        fitted = (
            f"Weight ({blend['weight']:.2f} for the model) and calibration were fitted on {blend['fitted_on']} out-of-time failures."
            if blend["fitted_on"]
            else "There were too few out-of-time failures to fit weight and calibration; the model stands as it is."
        )
        counted = {
            "survived": "Companies that left without failing count as survivors of their last year;",
            "dropped": "The last year of companies that left without failing was not learnt from;",
        }[card["params"]["labels"]["alive_exits"]]
        return (
            f"{escaped(self.source['notes'])}\n\nA company-year counts as a failure if it is the last statement before the company failed, "
            f"within {window} months of its period end. Gradient-boosted trees learnt from fiscal years {card['trained_on']} "
            f"({card['rows']:,} company-years, {card['failures']} failures), leaving {embargo} year(s) between what was learnt and "
            f"what was scored, since outcomes take time to be known. Their log-odds are blended with those of the Altman score "
            f"(Z for listed manufacturers, Z′ for private ones, Z″ for others). {fitted} Companies without a market value are scored by a model "
            f"that needs none. PDs of two to five years come from hazards of each year, so that they never fall; the interval on a PD "
            f"({self.model_record['confidence']:.0%}) covers calibration and the difference between years. Nothing was weighted or resampled, so "
            f"that PDs stay probabilities. {counted} the table of quality shows the figures without such years as well."
        )
