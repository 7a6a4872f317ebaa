"""Contents of the risk report: tables and sentences from the stages' files, without new computations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra import risk
from quiebra.alerts.cases import AlertCase, group_into_cases
from quiebra.alerts.descriptions import MONITORED_LABELS, WATCH_LEVELS, unknown_sector_sentences
from quiebra.alerts.sentences import company_facts
from quiebra.canonical import mean_value, median_value
from quiebra.errors import LocalisedMessage
from quiebra.io.files import read_json
from quiebra.panels.quality import quality_warnings
from quiebra.params import stage_params
from quiebra.reports.alert_tables import open_alerts_table
from quiebra.reports.base import Report
from quiebra.reports.tables import escape_markup, format_interval, markdown_table
from quiebra.risk.directions import SHOCK_NOTE
from quiebra.risk.economy import Economy
from quiebra.risk.losses import unscored_companies_sentence
from quiebra.risk.scored_company import few_failures_sentence, own_figures_sentence, uncompared_sentence
from quiebra.text.words import translatable
from quiebra.validation.monitoring import monitoring_lights, uncompared_features
from quiebra.workspace import Workspace

QUALITY = (
    (translatable("AUC"), "auc", 3),
    (translatable("Average precision"), "average_precision", 3),
    (translatable("Failures in the riskiest tenth"), "top_decile_capture", 3),
    (translatable("Brier score"), "brier", 5),
    (translatable("Mean PD / observed"), "pd_over_observed", 2),
)
DIRECTIONS = {"better": translatable("better"), "worse": translatable("worse")}


def risk_report(overrides: Mapping[str, Any] | None = None) -> RiskReport:
    """Return the risk report of the current folder's workspace, from its latest finished stages."""
    workspace = Workspace.find()
    return RiskReport(workspace, stage_params(workspace, "report", overrides))


@dataclass(frozen=True)
class RiskReport(Report):
    """Contents of the report's notebook, by section."""

    @cached_property
    def years(self) -> pl.DataFrame:
        """PDs by year, from the first test year on."""
        return self.judged_years(self.params.labels.window_months)

    @cached_property
    def sectors(self) -> pl.DataFrame:
        return self._groups("sector")

    @cached_property
    def regions(self) -> pl.DataFrame:
        return self._groups("region")

    def _groups(self, by: str) -> pl.DataFrame:
        """Return PDs by group; empty where all companies are of one, which says nothing of where the risk sits."""
        found = risk.pds_by_group(self.scores, self.companies, by)
        return found if found.height > 1 else found.clear()

    def about_groups(self) -> str:
        """Return the introduction to the pictures of sectors and regions, or that there are none."""
        if self.sectors.is_empty() and self.regions.is_empty():
            return self.words("The data name no sectors and no regions, or one only.")
        return self.words(
            "Where the risk sits: the mean PD of each group of companies, and beside it the share of them on the watch list."
        )

    @cached_property
    def why(self) -> str:
        """The column with reasons in the report's language."""
        return "reasons_es" if self.words.language == "es" else "reasons"

    @cached_property
    def graded(self) -> pl.DataFrame:
        """company_id and ``analyst``: the grade of the override in force, with its last day."""
        rows = [
            (
                o["company_id"],
                self.words("{grade} (analyst, to {date})", grade=o["rating"], date=self.words.short(o["expires_on"])),
            )
            for o in self.standing["overrides"]
        ]
        return pl.DataFrame(rows, schema={"company_id": pl.String, "analyst": pl.String}, orient="row")

    def with_analysts(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return a table of companies with the grade of an override in force appended to ``rating``."""
        both = pl.concat_str("rating", "analyst", separator=" · ", ignore_nulls=True)
        return (
            table.join(self.graded, on="company_id", how="left", maintain_order="left").with_columns(rating=both).drop("analyst")
        )

    def grades(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the number of companies by grade, a year ago and now."""
        names = list(self.params.score.grades)
        then, now = ({g: int((table["rating"] == g).sum()) for g in names} for table in (self.before, self.scores))
        return then, now

    def migration(self) -> pl.DataFrame:
        return risk.migration(self.before, self.scores, self.params.score.grades)

    # The summary: one page

    def summary(self) -> str:
        """Return the banners, and paragraphs on what changed, who is riskiest and why, how sure that is, and doubts about the
        data."""
        parts = [self.banners(), self.changed(), self.who(), self.sure()]
        if doubts := len(self.data_doubts):
            parts.append(self.words("**The data.** Doubts about them as a whole: {n}; see the section on the data.", n=doubts))
        return "\n\n".join(parts)

    def changed(self) -> str:
        words, now, then = self.words, mean_value(self.scores["pd_12m"]), mean_value(self.before["pd_12m"])
        if then is None or now is None:
            moved = ""
        else:
            up, down = translatable(", up from {pd} a year ago"), translatable(", down from {pd} a year ago")
            moved = words(up if now > then else down, pd=words.percent(then))
        both = self.before.select("company_id", before="rating").join(self.scores.select("company_id", "rating"), on="company_id")
        place = {grade: i for i, grade in enumerate(self.params.score.grades)}
        live = self.standing["alerts"]
        order = [pl.col(name).replace_strict(place, return_dtype=pl.Int64, default=None) for name in ("before", "rating")]
        worse, better = (both.filter(order[1] > order[0]).height, both.filter(order[1] < order[0]).height)
        warned = len({a["subject"] for a in live if a["kind"] == "company"})
        return " ".join(
            [
                words(
                    "**What changed.** The mean one-year probability of default (PD) of {companies} is **{pd}**{moved}: "
                    "some {failures} "
                    "to be expected within a year.",
                    pd=words.percent(now),
                    moved=moved,
                    companies=words.count("{n} company", "{n} companies", n=self.scores.height),
                    failures=words.count("{n} failure is", "{n} failures are", n=float(self.scores["pd_12m"].sum())),
                ),
                words(
                    "{worse} a worse grade than a year ago and {better} a better one.",
                    better=words.number(better),
                    worse=words.count("{n} company has", "{n} companies have", n=worse),
                ),
                words(
                    "{alerts} on {companies}, {new} of them raised by this run.",
                    alerts=words.count("{n} alert stands", "{n} alerts stand", n=len(live)),
                    companies=words.count("{n} company", "{n} companies", n=warned),
                    new=words.number(sum(a["raised_run"] == self.run["run_id"] for a in live)),
                ),
            ]
        )

    def who(self, reasons: int | None = None) -> str:
        """Return the riskiest companies with their reasons (None: all of them)."""
        words, rows = self.words, risk.watch_list(self.scores, 3)
        from_grade = self.params.score.watch_from
        head = words.count(
            "**Who.** **{n}** company is on the watch list, graded {grade} or worse.",
            "**Who.** **{n}** companies are on the watch list, graded {grade} or worse.",
            n=int(self.scores["watch"].sum()),
            grade=from_grade,
        )
        if rows.is_empty():
            return head
        lines = [
            words.markdown(
                "{name}, {grade}, PD {pd}: {why}",
                name=name,
                grade=grade,
                pd=words.percent(pd),
                why=risk.first_sentences(why, reasons) if why else words("no single reason."),
            )
            for name, grade, pd, why in self.with_analysts(rows).select("name", "rating", "pd_12m", self.why).iter_rows()
        ]
        return head + " " + words("The riskiest, and why:") + "\n\n" + "\n".join(f"- {line}" for line in lines)

    def sure(self) -> str:
        words, quality = self.words, self.metrics["walk_forward"]
        said = words(
            "**How sure.** Over fiscal years {years} the model, scoring each year from earlier years alone, ranked a "
            "company that failed "
            "above one of the same year that did not in {auc} of pairs; the riskiest tenth of each year's companies held "
            "{tenth} of all "
            "{events} failures, and mean PD was {ratio} times the rate that was observed. {health}",
            years=quality["test_years"],
            auc=words.percent(quality["auc"], 1),
            events=quality["events"],
            tenth=words.percent(quality["top_decile_capture"], 0),
            ratio=words.number(quality["pd_over_observed"], 2),
            health=self._health(),
        )
        return " ".join(filter(None, [said, own_figures_sentence(self, words), few_failures_sentence(self, words)]))

    def _health(self) -> str:
        words, failed = self.words, len(self.metrics["failed_gates"])
        shown = monitoring_lights(self.findings)
        gates = (
            words.count("{n} gate of the model failed", "{n} gates of the model failed", n=failed)
            if failed
            else words("No gate of the model failed")
        )
        alarms = words.count(
            "{n} of {all} measures of monitoring is in alarm.",
            "{n} of {all} measures of monitoring are in alarm.",
            n=sum(light.status == "alarm" for light in shown),
            all=len(shown),
        )
        return f"{gates}; {alarms}"

    def glance(self, brief: bool = False) -> str:
        """Return a table of the portfolio now and a year ago; ``brief``: only four rows, for mails."""
        words, now, then = self.words, self.scores, self.before
        shares: dict[str, Callable[[pl.DataFrame], float | None]] = {
            translatable("Mean PD"): lambda t: mean_value(t["pd_12m"]),
            translatable("Mean PD over five years"): lambda t: mean_value(t["pd_60m"]),
            translatable("On the watch list"): lambda t: mean_value(t["watch"]),
            **({} if brief else {translatable("Median PD"): lambda t: median_value(t["pd_12m"])}),
        }
        counts: dict[str, Callable[[pl.DataFrame], float]] = {
            translatable("Companies scored"): lambda t: float(t.height),
            translatable("Failures expected within a year"): lambda t: float(t["pd_12m"].sum()),
        }
        rows = [
            (
                words(name),
                words.number(show(now)),
                words.number(show(then)),
                words.signed(round(show(now)) - round(show(then)), 0),
            )
            for name, show in counts.items()
            if not brief
        ]
        for name, share_of in shares.items():
            a, b = share_of(now), share_of(then)
            change = words.points_between(b, a)
            rows.append((words(name), words.percent(a), words.percent(b), change if b is None else f"{change}\u00a0pp"))
        losses = self.losses
        share = losses["expected_loss"] / losses["exposure"]
        rows.append((words("Expected loss, of the exposure"), words.percent(share), words.number(None), words.number(None)))
        names = ("", words("now"), words("a year ago"), words("change"))
        return markdown_table([dict(zip(names, row, strict=True)) for row in rows], dict.fromkeys(names[1:], str))

    # Companies to look at

    def watch_list(self) -> str:
        rows = risk.watch_list(self.scores, self.params.report.watch_list)
        if rows.is_empty():
            return self.words("No company is on the watch list.")
        return self._companies(rows)

    def _companies(self, rows: pl.DataFrame) -> str:
        words = self.words
        shown = self.with_analysts(rows)
        named = {
            words("company"): "name",
            words("PD"): "pd_12m",
            words("interval"): "interval",
            words("grade"): "rating",
            words("five years"): "pd_60m",
            words("what raises it"): self.why,
        }
        shown = shown.with_columns(interval=pl.struct("pd_12m_low", "pd_12m_high")).select(**named)
        spans = {
            words("PD"): words.percent,
            words("five years"): lambda v: words.percent(v, 1),
            words("interval"): lambda v: words(
                "{low} to {high}", low=words.percent(v["pd_12m_low"], 1), high=words.percent(v["pd_12m_high"], 1)
            ),
        }
        return markdown_table(shown, spans)

    def watched(self) -> str:
        """Return the analysts' watch list as a table; it is independent of grades."""
        words = self.words
        if not self.standing["watched"]:
            return words("Analysts have put no company on their own list.")
        names = dict(self.companies.select("company_id", "name").iter_rows())
        scores = {row["company_id"]: row for row in self.scores.select("company_id", "pd_12m", "rating").to_dicts()}
        rows = [
            {
                words("company"): names.get(w["company_id"], w["company_id"]),
                words("level"): words(WATCH_LEVELS[w["level"]]),
                words("PD"): words.percent(scores.get(w["company_id"], {}).get("pd_12m")),
                words("grade"): scores.get(w["company_id"], {}).get("rating"),
                words("reason"): w["reason"],
                words("who"): w["who"],
                words("look again"): words.short(w["review_on"]),
            }
            for w in self.standing["watched"]
        ]
        return markdown_table(rows)

    def overrides(self) -> str:
        """Return the overrides in force as a table, and sentences on the outcomes of past ones."""
        words = self.words
        if not self.standing["overrides"] and not self.standing["outcomes"]:
            return words("No analyst's grade is in force.")
        names = dict(self.companies.select("company_id", "name").iter_rows())
        rows = [
            {
                words("company"): names.get(o["company_id"], o["company_id"]),
                words("model"): o["model_rating"],
                words("analyst"): o["rating"],
                words("reason"): o["reason"],
                words("by"): o["author"],
                words("approved by"): o["approver"],
                words("until"): words.short(o["expires_on"]),
            }
            for o in self.standing["overrides"]
        ]
        past = [
            words(
                "Overrides to a {direction} grade: {n} so far, {known} of them a year ago or more; {failures} failed, "
                "where the model "
                "promised {model} and the analysts {analysts}.",
                direction=words(DIRECTIONS[o["direction"]]),
                n=o["overrides"],
                known=o["known"],
                failures=o["failures"],
                model=words.number(o["by_model"], 1),
                analysts=words.number(o["by_analysts"], 1),
            )
            for o in self.standing["outcomes"]
        ]
        return "\n\n".join([*([markdown_table(rows)] if rows else []), *past])

    def movers(self) -> str:
        words, rows = self.words, risk.top_movers(self.before, self.scores, self.params.report.watch_list)
        if rows.is_empty():
            return words("No company was scored both now and a year ago.")
        most = pl.col(self.why).map_elements(lambda text: risk.first_sentences(text, 1), return_dtype=pl.String)
        rows = self.with_analysts(rows).with_columns(most, grade=pl.col("rating_before") + " → " + pl.col("rating"))
        named = {
            words("company"): "name",
            words("grade"): "grade",
            words("before"): "pd_before",
            words("now"): "pd_12m",
            words("what raises it most"): self.why,
        }
        return markdown_table(rows.select(**named), {words("before"): words.percent, words("now"): words.percent})

    @cached_property
    def cases(self) -> list[AlertCase]:
        """Open alerts grouped by subject, sorted by urgency."""
        return group_into_cases(self.standing["alerts"], company_facts(self), self.run["run_id"])

    def alerts(self) -> str:
        """Return the number of open alerts and a table of the most urgent cases."""
        words, found = self.words, self.cases
        names = dict(self.companies.select("company_id", "name").iter_rows())
        said = (
            open_alerts_table(found, words, names, list(self.params.score.grades), self.params.report.watch_list)
            if found
            else words("No alert stands.")
        )
        return "\n\n".join([*(escape_markup(line) for line in unknown_sector_sentences(self.standing, words)), said])

    # Stress

    @cached_property
    def economy(self) -> Economy:
        return Economy.of(self.losses["economy"])

    def about_scenarios(self) -> str:
        """Return the basis of the scenarios, or why there are none."""
        return escape_markup(self.economy.about(self.words))

    @cached_property
    def scenario_means(self) -> pl.DataFrame:
        """scenario (in words) and mean pd_12m … pd_60m, in the order of params; empty if no scenario can be shown."""
        return pl.DataFrame([{**row, "scenario": self.words(row["scenario"])} for row in self.losses["scenarios"]])

    def scenarios(self) -> str:
        words = self.words
        rows = [
            {
                words("scenario"): words(s["scenario"]),
                words("mean PD"): words.percent(s["pd_12m"]),
                words("over five years"): words.percent(s["pd_60m"], 1),
                words("on watch"): words.number(s["watch"]),
                words("expected loss, of the exposure"): self._loss(s),
            }
            for s in self.losses["scenarios"]
        ]
        return markdown_table(rows)

    def _loss(self, scenario: Mapping[str, Any]) -> str:
        """Return a scenario's expected loss, with its interval if there is one."""
        words, ends = self.words, ("expected", "low", "high")
        value, low, high = (
            None if (v := scenario[f"loss_{end}"]) is None else words.percent(v / self.losses["exposure"]) for end in ends
        )
        return str(value) if low is None else words("{value} ({low} to {high})", value=value, low=low, high=high)

    def firm_shocks(self) -> str:
        words = self.words
        means = self.shocks.group_by("shock", maintain_order=True).agg(pl.col("pd_12m").mean(), pl.col("watch").sum())
        rows = [
            {
                words("what comes over every company"): words(shock),
                words("mean PD"): words.percent(pd),
                words("on watch"): words.number(n),
            }
            for shock, pd, n in means.iter_rows()
        ]
        return markdown_table(rows)

    def about_shocks(self) -> str:
        """Return a note on how shocks change PDs, and the shocks that could not be computed."""
        words = self.words
        idle = [
            words("Not worked out, since no statement has what it moves: {shock}.", shock=words(name))
            for name in self.losses["idle_shocks"]
        ]
        return escape_markup(" ".join([words(SHOCK_NOTE), *idle]))

    def losses_in_words(self) -> str:
        words, found = self.words, self.losses
        share: Callable[[float], str] = lambda amount: words.percent(amount / found["exposure"])  # noqa: E731
        said = words(
            "In an average year {expected} of the exposure is lost; in the worst {rare} of years at least {var}, and in "
            "those on average "
            "{shortfall} (correlation of companies' assets {correlation}).",
            expected=share(found["expected_loss"]),
            rare=words.percent(1 - found["confidence"], 0),
            var=share(found["value_at_risk"]),
            shortfall=share(found["expected_shortfall"]),
            correlation=words.number(found["correlation"], 2),
        )
        return " ".join(filter(None, [said, escape_markup(unscored_companies_sentence(found, words))])).strip()

    # The model, the data, the method

    def quality_rows(self) -> str:
        words, m = self.words, self.metrics
        columns = {
            words("model and Altman blended" if m["altman_alone"]["rows"] else "model"): "walk_forward",
            words("Altman alone"): "altman_alone",
            words("without alive exits"): "without_alive_exits",
        }
        figures = {title: m[key] for title, key in columns.items() if m[key]["rows"]}
        if own := self.own_figures:
            figures[words("of {source} alone", source=own["group"])] = own
        rows = [
            {"": words(name), **{title: format_interval(found, figure, digits, words) for title, found in figures.items()}}
            for name, figure, digits in QUALITY
        ]
        counts = {title: f"{words.number(found['rows'])} / {found['events']}" for title, found in figures.items()}
        return markdown_table([*rows, {"": words("Company-years / failures"), **counts}])

    def monitored(self) -> str:
        words = self.words
        rows = [
            {
                words("measure"): words(MONITORED_LABELS[light.measure]),
                words("state"): words(light.status),
                words("off"): words("{n} of {all}", n=light.off, all=light.subjects),
            }
            for light in monitoring_lights(self.findings)
        ]
        return markdown_table(rows)

    @cached_property
    def data_quality(self) -> dict[str, Any]:
        return read_json(self.workspace.panel / "quality.json")

    @property
    def data_doubts(self) -> list[LocalisedMessage]:
        return quality_warnings(self.data_quality)

    def data_warnings(self) -> str:
        """Return doubts about the data as a whole; empty if there are none."""
        head = self.words("Doubts about the data as a whole:")
        lines = [f"- {escape_markup(self.words.say(said))}" for said in self.data_doubts]
        return "\n".join([head, "", *lines]) if lines else ""

    def not_monitored(self) -> str:
        """Return the features whose drift could not be measured; empty if there are none."""
        return escape_markup(uncompared_sentence(self.findings, self.words)) if uncompared_features(self.findings) else ""

    def data_rows(self) -> str:
        words, q = self.words, self.data_quality
        rows = [
            (words("Rows in the source"), q["rows_in"]),
            (words("Rows kept"), q["rows_kept"]),
            *((words("of them of {source}", source=name), n) for name, n in q["rows_by_source"].items() if n < q["rows_kept"]),
            *(
                (words("Quarantined: {rule}", rule=words(rule.replace("_", " "))), n)
                for rule, n in q["quarantined_by_rule"].items()
            ),
            (words("Restatements among the kept"), q["restatements"]),
            (words("Dated after the data's own date, among the kept"), q["dated_after_as_of"]),
            (words("Failed companies whose last accounts were set aside"), q["last_accounts_set_aside"]),
            (words("Amounts set to missing because negative"), sum(q["negatives_set_missing"].values())),
            (words("Statements whose totals do not add up"), q["statements_broken"]),
            (words("Companies"), q["companies"]),
        ]
        return markdown_table([{words("what"): what, words("count"): n} for what, n in rows], {words("count"): words.number})

    def method(self) -> str:
        words, card, scorers = self.words, self.model_record["card"], self.model_record["scorers"]
        blend = scorers.get("market", scorers["accounting"])["blend"]
        judged = self.metrics["altman_alone"]["rows"]
        blended = (
            words(
                "Their log-odds are blended with those of the Altman score (Z for listed manufacturers, Z′ for private ones, Z″ "
                "for others)."
            )
            if judged
            else words("No Altman score could be worked out from the data, so that nothing is blended with the model's.")
        )
        fitted = (
            words.count(
                "Weight ({weight} for the model) and calibration were fitted on {n} out-of-time failure.",
                "Weight ({weight} for the model) and calibration were fitted on {n} out-of-time failures.",
                weight=words.number(blend["weight"] if judged else 1.0, 2),
                n=blend["fitted_on"],
            )
            if blend["fitted_on"]
            else words("There were too few out-of-time failures to fit weight and calibration; the model stands as it is.")
        )
        counted = {
            "survived": words("Companies that left without failing count as survivors of their last year;"),
            "dropped": words("The last year of companies that left without failing was not learnt from;"),
        }[card["params"]["labels"]["alive_exits"]]
        return f"{escape_markup(words(self.source['notes']))}\n\n" + words(
            "A company-year counts as a failure if it is the last statement before the company failed, within {window} "
            "months of its "
            "period end. Gradient-boosted trees learnt from fiscal years {years} ({rows}, {failures}), leaving "
            "{embargo} between what was learnt and what was scored, since outcomes take time to be known. {blended} "
            "{fitted} Companies "
            "without a market value are scored by a model that needs none. PDs of two to five years come from hazards of "
            "each year, so "
            "that they never fall; the interval on a PD ({confidence}) covers calibration and the difference between "
            "years. Nothing was "
            "weighted or resampled, so that PDs stay probabilities. {counted} the table of quality shows the figures "
            "without such years "
            "as well.",
            window=self.params.labels.window_months,
            years=card["trained_on"],
            rows=words.count("{n} company-year", "{n} company-years", n=card["rows"]),
            failures=words.count("{n} failure", "{n} failures", n=card["failures"]),
            embargo=words.count("{n} year", "{n} years", n=card["embargo_years"]),
            blended=blended,
            fitted=fitted,
            counted=counted,
            confidence=words.percent(self.model_record["confidence"], 0),
        )
