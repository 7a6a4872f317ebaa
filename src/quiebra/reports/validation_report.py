"""Contents of the validation report: tables and sentences from the stages' files, without new computations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.labels_es import spanish_label
from quiebra.io.files import read_json
from quiebra.params import stage_params
from quiebra.registry import challenger_in_words, comparison_in_words, waiting_challenger
from quiebra.reports.base import Report
from quiebra.reports.model_card import CARD_FIGURES, weak_points
from quiebra.reports.tables import escape_markup, format_interval, markdown_table
from quiebra.risk.scored_company import UNCOMPARED_FEATURES_NOTE, own_figures_sentence
from quiebra.text.words import translatable
from quiebra.validation.details import GROUPINGS
from quiebra.validation.discrimination import accuracy_ratio
from quiebra.workspace import Workspace

FIGURE_COLUMNS = (
    (translatable("AUC"), "auc", 3),
    (translatable("average precision"), "average_precision", 3),
    (translatable("riskiest tenth"), "top_decile_capture", 3),
    (translatable("KS"), "ks", 3),
)


def validation_report(overrides: Mapping[str, Any] | None = None) -> ValidationReport:
    """Return the validation report of the current folder's workspace, from its latest finished stages."""
    workspace = Workspace.find()
    return ValidationReport(workspace, stage_params(workspace, "validation_report", overrides))


@dataclass(frozen=True)
class ValidationReport(Report):
    """Contents of the report's notebook, by section."""

    @cached_property
    def pack(self) -> dict[str, Any]:
        return self.read(read_json, self.registered_model.validation / "pack.json")

    @cached_property
    def alerts_judged(self) -> dict[str, Any]:
        """Back-test of the alert rules; see `quiebra.alerts.backtest.back_test_rules`."""
        return self.read(read_json, self.workspace.alerts / "back_test.json")

    @cached_property
    def comparison(self) -> dict[str, Any] | None:
        """Comparison with the champion, from the publish stage; None if there was no other model."""
        found: dict[str, Any] | None = self.published["comparison"]
        return found

    def summary(self) -> str:
        """Return the banners, the verdict in a sentence, and the model's weaknesses."""
        words, verdicts = self.words, [row["verdict"] for row in self.metrics["verdict"]]
        judged = self.metrics["walk_forward"]
        head = words.count(
            "**{passed}** of {all} tests passed, {n} is on watch and {failed} failed, on {rows} of fiscal years {years} "
            "with {events}, each year scored by a model that had seen only earlier ones.",
            "**{passed}** of {all} tests passed, {n} are on watch and {failed} failed, on {rows} of fiscal years {years} "
            "with {events}, each year scored by a model that had seen only earlier ones.",
            passed=verdicts.count("pass"),
            all=len(verdicts),
            n=verdicts.count("watch"),
            failed=verdicts.count("fail"),
            rows=words.count("{n} company-year", "{n} company-years", n=judged["rows"]),
            years=judged["test_years"],
            events=words.count("{n} failure", "{n} failures", n=judged["events"]),
        )
        refused = "\n\n".join(
            words("**Not to be promoted:** {test} is {value}.", test=words(row["words"]), value=self._valued(row))
            for row in self.metrics["verdict"]
            if row["verdict"] == "fail"
        )
        weak = "\n".join(f"- {line}" for line in weak_points(self.metrics, self.calibration, self.pack, words))
        own = own_figures_sentence(self, words)
        return "\n\n".join(part for part in (self.banners(), head, own, refused, weak) if part)

    def verdict(self) -> str:
        words = self.words
        rows = [
            {
                words("test"): words(row["words"]),
                words("value"): self._valued(row),
                words("pass"): words.number(row["pass"], 2),
                words("watch"): words.number(row["watch"], 2),
                words("verdict"): words(row["verdict"]),
            }
            for row in self.metrics["verdict"]
        ]
        return markdown_table(rows)

    def _valued(self, row: dict[str, Any]) -> str:
        found = {"value": row["value"], "interval": {"value": row["interval"] or [None, None]}}
        return format_interval(found, "value", 3, self.words)

    def discrimination(self) -> str:
        """Return a table with one row per figure, including accuracy ratio and KS, and one column per score."""
        words = self.words
        columns = {
            words("all"): "walk_forward",
            words("without alive exits"): "without_alive_exits",
            words("trees alone"): "model_alone",
            words("Altman alone"): "altman_alone",
        }
        rows = [
            {
                "": words(text),
                **{title: format_interval(self.metrics[key], name, digits, words) for title, key in columns.items()},
            }
            for text, name, digits in CARD_FIGURES
        ]
        ratios = {title: words.number(accuracy_ratio(self.metrics[key].get("auc")), 3) for title, key in columns.items()}
        return markdown_table([rows[0], {"": words("accuracy ratio"), **ratios}, *rows[1:]])

    def by_year(self) -> str:
        words = self.words
        rows = [
            {words("year"): year, **self._shown(m), words("failures"): m["events"]} for year, m in self.metrics["by_year"].items()
        ]
        return markdown_table(rows)

    def _shown(self, figures: Mapping[str, Any]) -> dict[str, str]:
        return {self.words(text): format_interval(figures, name, digits, self.words) for text, name, digits in FIGURE_COLUMNS}

    def by_group(self) -> str:
        found = [group for name in GROUPINGS for group in self.pack["groups"].get(name, [])]
        words = self.words
        return markdown_table(
            [{words("companies"): words(g["group"]), **self._shown(g), words("failures"): g["events"]} for g in found]
        )

    @property
    def rate(self) -> float:
        judged = self.metrics["walk_forward"]
        return float(judged["events"] / judged["rows"])

    def grades(self) -> str:
        words = self.words
        rows = [
            {
                words("grade"): g["rating"],
                words("rows"): g["rows"],
                words("failures"): g["failures"],
                words("mean PD"): words.percent(g["mean_pd"]),
                words("observed"): words.percent(g["observed"]),
                words("from"): words.percent(g["low"]),
                words("to"): words.percent(g["high"]),
                words("inside"): words("yes") if g["inside"] else words("no"),
            }
            for g in self.calibration["by_grade"]
        ]
        return markdown_table(
            rows,
            {
                words(name): str
                for name in (translatable("mean PD"), translatable("observed"), translatable("from"), translatable("to"))
            },
        )

    def tests(self) -> str:
        words, c, parts = self.words, self.calibration, self.calibration["brier_parts"]
        n, hosmer, spiegelhalter = words.number, c["hosmer_lemeshow"], c["spiegelhalter"]
        rows = [
            (
                "Hosmer-Lemeshow",
                f"{n(hosmer['statistic'], 1)} (p {n(hosmer['p'], 3)})",
                words("whether ten groups of companies failed as often as their PDs say; a small p speaks against it"),
            ),
            (
                "Spiegelhalter",
                f"z {n(spiegelhalter['z'], 2)} (p {n(spiegelhalter['p'], 3)})",
                words("whether the Brier score is what these PDs would have, if right"),
            ),
            (words("Brier score"), n(parts["brier"], 5), words("mean squared distance of PD and outcome")),
            (words("its reliability"), n(parts["reliability"], 6), words("what wrong levels of PD add to it")),
            (words("its resolution"), n(parts["resolution"], 6), words("what telling companies apart takes off it")),
            (words("its uncertainty"), n(parts["uncertainty"], 5), words("what one and the same PD for all would have")),
        ]
        return markdown_table([{words("test"): a, words("value"): b, words("meaning"): c} for a, b, c in rows])

    def coverage(self) -> str:
        c = self.calibration
        order = {grade: place for place, grade in enumerate([row["rating"] for row in c["by_grade"]] + ["all"])}
        words, rows = self.words, pl.DataFrame(c["coverage"]).sort(pl.col("rating").replace_strict(order))
        shown = [
            {
                words("grade"): words(grade),
                words("years"): years,
                words("failures"): failures,
                words("covered"): words.percent(covered, 1),
            }
            for grade, years, failures, covered in rows.select("rating", "cells", "failures", "covered").iter_rows()
        ]
        text = words(
            "Intervals of {confidence} on PDs held in {covered} of grades and years; chance alone moves that by at least "
            "{error} (one "
            "standard error).",
            confidence=words.percent(c["interval"], 0),
            covered=words.percent(c["interval_coverage"], 1),
            error=words.percent(c["coverage_error"], 1),
        )
        return f"{text}\n\n{markdown_table(shown, {words('covered'): str})}"

    def horizons(self) -> str:
        """Return a table of the PDs over one to five years, on all out-of-time years whose outcomes are known that far."""
        words = self.words
        rows = [
            {
                words("years ahead"): r["years"],
                words("fiscal years"): r["fiscal_years"],
                words("failures"): r["events"],
                words("AUC"): format_interval(r, "auc", 3, words),
                words("average precision"): format_interval(r, "average_precision", 3, words),
                words("mean PD / observed"): format_interval(r, "pd_over_observed", 2, words),
                words("in the last of those years"): words.number(list(r["pd_over_observed_by_year"].values())[-1], 2),
            }
            for r in self.pack["horizons"]
        ]
        return markdown_table(rows)

    def migration(self) -> pl.DataFrame:
        return pl.DataFrame(**self.pack["migration"], orient="row")

    def moved(self) -> str:
        years = pl.DataFrame(self.pack["stability"]["psi"], schema={"fiscal_year": pl.Int64, "psi": pl.Float64})
        shift = pl.DataFrame(
            self.pack["stability"]["importance"],
            schema={"fiscal_year": pl.Int64, "rank_correlation": pl.Float64, "kept": pl.Float64},
        )
        words, both = self.words, years.join(shift, on="fiscal_year", how="left")
        rows = [
            {
                words("fiscal year"): str(year),
                words("PSI of PDs"): words.number(psi, 3),
                words("importance, rank correlation"): words.number(rank, 3),
                words("top 15 kept"): words.percent(kept, 0),
            }
            for year, psi, rank, kept in both.select("fiscal_year", "psi", "rank_correlation", "kept").iter_rows()
        ]
        return markdown_table(rows)

    def drift(self) -> pl.DataFrame:
        """Return label and stability index (csi) of every feature that has one, largest first."""
        rows = [
            {"label": self._label(row["feature"]), "csi": row["csi"]}
            for row in self.pack["stability"]["csi"]
            if row["csi"] is not None
        ]
        return pl.DataFrame(rows, schema={"label": pl.String, "csi": pl.Float64})

    def _label(self, feature: str) -> str:
        return spanish_label(feature) if self.words.language == "es" else FEATURES_BY_NAME[feature].label

    def all_drift(self) -> str:
        """Return a table of every feature's stability index, largest first, in two halves side by side."""
        moved, limit = self.drift(), self.params.monitor.feature_csi
        half = (moved.height + 1) // 2
        number = moved.with_row_index("row").with_columns(pl.col("row") % half)
        words, name = self.words, self.words("feature")
        left = number[:half].select("row", **{name: "label", "CSI": "csi"})
        rows = left.join(number[half:].select("row", **{f"{name} ": "label", "CSI ": "csi"}), on="row", how="left").drop("row")
        over = sum(csi > limit.alarm for csi in moved["csi"])
        shown = markdown_table(rows, {name: (lambda v: words.number(v, 3)) for name in ("CSI", "CSI ")})
        text = words.count(
            "{n} of {all} features is above {limit}.",
            "{n} of {all} features are above {limit}.",
            n=over,
            all=moved.height,
            limit=words.number(limit.alarm, 2),
        )
        none = [self._label(row["feature"]) for row in self.pack["stability"]["csi"] if row["csi"] is None]
        text += " " + words(UNCOMPARED_FEATURES_NOTE, names=", ".join(none)) if none else ""
        return f"{text}\n\n{shown}"

    def contest(self) -> str:
        words, found = self.words, self.pack["contest"]
        rows = [
            {
                "": words(name),
                **{words(text): format_interval(f, key, d, words) for text, key, d in FIGURE_COLUMNS[:2]},
                "Brier": words.number(f["brier"], 5),
                words("AUC of blend less this"): format_interval(found["blend minus"].get(name, {}), "auc", 3, words),
                words("AP of blend less this"): format_interval(
                    found["blend minus"].get(name, {}), "average_precision", 3, words
                ),
            }
            for name, f in sorted(found["figures"].items(), key=lambda item: -(item[1].get("auc") or 0))
        ]
        return markdown_table(rows)

    def contested(self) -> str:
        """Return the rows that the models are compared on, and what blending adds."""
        words, found = self.words, self.pack["contest"]
        gain = found["blend minus"]["model without Altman"]
        return words(
            "{rows} that all of them score, {events}. Blending with Altman changes AUC by {auc} and average precision "
            "by {precision} against the trees alone, on the same rows.",
            rows=words.count("{n} company-year", "{n} company-years", n=found["rows"]),
            events=words.count("{n} failure", "{n} failures", n=found["events"]),
            auc=format_interval(gain, "auc", 4, words),
            precision=format_interval(gain, "average_precision", 4, words),
        )

    def champion(self) -> str:
        """Return the comparison with the last approved model, and the model trained since that is not the champion, if any."""
        newer = waiting_challenger(self.workspace, self.source["source"])
        return self._compared() + ("" if newer is None else f"\n\n{escape_markup(self.words.say(challenger_in_words(newer)))}.")

    def _compared(self) -> str:
        words, c = self.words, self.comparison
        if c is None and self.published["status"] == "champion":
            return words("This model is the approved one of its source, and none was before it.")
        if c is None:
            return words("No model of this source has been approved yet: there is none to compare this one with.")
        champion = words("champion {id}", id=c["champion"])
        if c["difference"] is None:
            return escape_markup(words.say(comparison_in_words(c)))
        names = {
            words("this model"): c["figures"]["model"],
            champion: c["figures"]["champion"],
            words("difference"): c["difference"],
        }
        return markdown_table(
            [
                {"": title, **{words(t): format_interval(f, key, d, words) for t, key, d in CARD_FIGURES}}
                for title, f in names.items()
            ]
        )

    def blend(self) -> str:
        """Return a table of the trees' weight in the blend with its interval."""
        words = self.words
        rows = [
            {
                words("scorer"): words(kind),
                words("weight of the trees"): format_interval(
                    {"weight": b["weight"], "interval": {"weight": b["interval"]}}, "weight", 2, words
                ),
                words("fitted on failures"): b["failures"],
                words("fixed in params"): words("no") if b["in_params"] is None else words.number(b["in_params"], 2),
            }
            for kind, b in self.pack["blend"].items()
        ]
        return markdown_table(rows)

    def sensitivity(self) -> str:
        words = self.words
        rows = [
            {
                words("choice"): words(r["choice"]),
                words("failures learnt from"): r["learnt_failures"],
                words("AUC"): format_interval(r, "auc", 3, words),
                words("average precision"): format_interval(r, "average_precision", 3, words),
                words("AUC less that of params"): format_interval(r.get("difference", {}), "auc", 3, words),
            }
            for r in self.pack["sensitivity"]
        ]
        return markdown_table(rows)
