"""The contents of the validation report: figures read from the stages' files, put into words and rows. Nothing is computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.features import FEATURES_BY_NAME
from quiebra.files import read_json
from quiebra.params import StageParams, for_stage
from quiebra.reports.model_card import FIGURES, weak_points
from quiebra.reports.pages import Report
from quiebra.reports.tables import amount, escaped, interval, percent, table
from quiebra.validation.discrimination import accuracy_ratio
from quiebra.workspace import Workspace

SHOWN = (("AUC", "auc", 3), ("average precision", "average_precision", 3), ("riskiest tenth", "top_decile_capture", 3), ("KS", "ks", 3))


def validation_report(overrides: Mapping[str, Any] | None = None) -> ValidationReport:
    """Return the report of the workspace around the current folder, from its latest finished stages."""
    workspace = Workspace.find()
    return ValidationReport(workspace, for_stage(workspace, "validation_report", overrides))


@dataclass(frozen=True)
class ValidationReport(Report):
    """Everything that the report's notebook shows, by section."""

    @cached_property
    def pack(self) -> dict[str, Any]:
        return read_json(self.workspace.validation / "pack.json")

    @cached_property
    def comparison(self) -> dict[str, Any] | None:
        """Against the champion, as `publish` found it; None where there was no other."""
        return self.published["comparison"]

    def summary(self) -> str:
        """The banners, the verdict in a sentence, and where the model is weak."""
        verdicts = [row["verdict"] for row in self.metrics["verdict"]]
        failed = self.metrics["failed_gates"]
        judged = self.metrics["walk_forward"]
        head = (
            f"**{verdicts.count('pass')}** of {len(verdicts)} tests passed, {verdicts.count('watch')} are on watch and "
            f"{verdicts.count('fail')} failed, on {judged['rows']:,} firm-years of fiscal years {judged['test_years']} with "
            f"{judged['events']} failures, each year scored by a model that had seen only earlier ones."
        )
        refused = "\n\n".join(f"**Not to be promoted:** {escaped(sentence)}." for sentence in failed)
        weak = "\n".join(f"- {line}" for line in weak_points(self.metrics, self.calibration, self.pack))
        return "\n\n".join(part for part in (self.banners(), head, refused, weak) if part)

    def verdict(self) -> list[dict[str, str]]:
        return [
            {
                "test": row["words"], "value": self._valued(row), "pass": f"{row['pass']:g}", "watch": f"{row['watch']:g}",
                "verdict": row["verdict"],
            }
            for row in self.metrics["verdict"]
        ]  # fmt: skip

    @staticmethod
    def _valued(row: dict[str, Any]) -> str:
        if row["interval"] is None or row["value"] is None:
            return amount(row["value"], 3)
        low, high = row["interval"]
        return f"{row['value']:.3f} ({low:.3f} to {high:.3f})"

    def discrimination(self) -> list[dict[str, str]]:
        """Rows of figures, columns of scores; AR and KS beside AUC."""
        columns = {
            "all": "walk_forward", "without alive exits": "without_alive_exits", "trees alone": "model_alone",
            "Altman alone": "altman_alone",
        }  # fmt: skip
        rows = [
            {"": words, **{title: interval(self.metrics[key], name, digits) for title, key in columns.items()}}
            for words, name, digits in FIGURES
        ]
        ratios = {title: amount(accuracy_ratio(self.metrics[key].get("auc")), 3) for title, key in columns.items()}
        return [rows[0], {"": "accuracy ratio", **ratios}, *rows[1:]]

    def by_year(self) -> str:
        rows = [
            {"year": year, **{words: interval(m, name, d) for words, name, d in SHOWN}, "failures": m["events"]}
            for year, m in self.metrics["by_year"].items()
        ]
        return table(rows)

    def by_group(self) -> str:
        found = self.pack["groups"]["by_size"] + self.pack["groups"]["by_sector"]
        rows = [
            {"companies": g["group"], **{words: interval(g, name, d) for words, name, d in SHOWN}, "failures": g["events"]}
            for g in found
        ]
        return table(rows)

    @property
    def rate(self) -> float:
        judged = self.metrics["walk_forward"]
        return judged["events"] / judged["rows"]

    def grades(self) -> str:
        rows = pl.DataFrame(self.calibration["by_grade"]).select(
            "rows", "failures", "observed", grade="rating", **{"mean PD": "mean_pd", "from": "low", "to": "high", "inside": "inside"}
        )
        rows = rows.with_columns(pl.when("inside").then(pl.lit("yes")).otherwise(pl.lit("no")).alias("inside"))
        shown = rows.select("grade", "rows", "failures", "mean PD", "observed", "from", "to", "inside")
        return table(shown, {name: percent for name in ("mean PD", "observed", "from", "to")})

    def tests(self) -> str:
        c, parts = self.calibration, self.calibration["brier_parts"]
        rows = [
            ("Hosmer-Lemeshow", f"{c['hosmer_lemeshow']['statistic']:.1f} (p {c['hosmer_lemeshow']['p']:.3f})",
             "whether ten groups of companies failed as often as their PDs say; a small p speaks against it"),
            ("Spiegelhalter", f"z {c['spiegelhalter']['z']:.2f} (p {c['spiegelhalter']['p']:.3f})",
             "whether the Brier score is what these PDs would have, if right"),
            ("Brier score", f"{parts['brier']:.5f}", "mean squared distance of PD and outcome"),
            ("its reliability", f"{parts['reliability']:.6f}", "what wrong levels of PD add to it"),
            ("its resolution", f"{parts['resolution']:.6f}", "what telling companies apart takes off it"),
            ("its uncertainty", f"{parts['uncertainty']:.5f}", "what one and the same PD for all would have"),
        ]  # fmt: skip
        return table([{"test": a, "value": b, "meaning": c} for a, b, c in rows])

    def coverage(self) -> str:
        c = self.calibration
        order = {grade: place for place, grade in enumerate([row["rating"] for row in c["by_grade"]] + ["all"])}
        rows = pl.DataFrame(c["coverage"]).sort(pl.col("rating").replace_strict(order))
        rows = rows.select("covered", "failures", grade="rating", years="cells").select("grade", "years", "failures", "covered")
        words = (
            f"Intervals of {c['interval']:.0%} on PDs held in {percent(c['interval_coverage'], 1)} of grades and years; chance alone "
            f"moves that by at least {percent(c['coverage_error'], 1)} (one standard error)."
        )
        return f"{words}\n\n{table(rows, {'covered': lambda v: percent(v, 1)})}"

    def horizons(self) -> str:
        """PDs of one to five years over all out-of-time years whose outcomes are known that far."""
        rows = [
            {"years ahead": r["years"], "fiscal years": r["fiscal_years"], "failures": r["events"], "AUC": interval(r, "auc"),
             "average precision": interval(r, "average_precision"), "mean PD / observed": interval(r, "pd_over_observed", 2),
             "in the last of those years": amount(list(r["pd_over_observed_by_year"].values())[-1], 2)}
            for r in self.pack["horizons"]
        ]  # fmt: skip
        return table(rows)

    def migration(self) -> pl.DataFrame:
        return pl.DataFrame(**self.pack["migration"], orient="row")

    def moved(self) -> str:
        years = pl.DataFrame(self.pack["stability"]["psi"], schema={"fiscal_year": pl.Int64, "psi": pl.Float64})
        shift = pl.DataFrame(
            self.pack["stability"]["importance"],
            schema={"fiscal_year": pl.Int64, "rank_correlation": pl.Float64, "kept": pl.Float64},
        )
        rows = years.join(shift, on="fiscal_year", how="left").rename(
            {"fiscal_year": "fiscal year", "psi": "PSI of PDs", "rank_correlation": "importance, rank correlation", "kept": "top 15 kept"}
        )
        return table(rows, {"fiscal year": str, "PSI of PDs": lambda v: amount(v, 3), "top 15 kept": lambda v: percent(v, 0),
                            "importance, rank correlation": lambda v: amount(v, 3)})  # fmt: skip

    def drift(self) -> pl.DataFrame:
        """label and csi of every feature, most moved first."""
        rows = [
            {"label": FEATURES_BY_NAME[row["feature"]].label, "csi": row["csi"]}
            for row in self.pack["stability"]["csi"]
            if row["csi"] is not None
        ]
        return pl.DataFrame(rows, schema={"label": pl.String, "csi": pl.Float64})

    def all_drift(self) -> str:
        """Every feature's index, most moved first down both halves of the table."""
        moved, limit = self.drift(), self.params.monitor.feature_csi
        half = (moved.height + 1) // 2
        number = moved.with_row_index("row").with_columns(pl.col("row") % half)
        left = number[:half].select("row", feature="label", CSI="csi")
        rows = left.join(number[half:].select("row", **{"feature ": "label", "CSI ": "csi"}), on="row", how="left").drop("row")
        over = sum(csi > limit.alarm for csi in moved["csi"])
        shown = table(rows, {name: (lambda v: amount(v, 3)) for name in ("CSI", "CSI ")})
        return f"{over} of {moved.height} features are above {limit.alarm:g}.\n\n{shown}"

    def contest(self) -> str:
        found = self.pack["contest"]
        rows = [
            {
                "": name, **{words: interval(f, key, d) for words, key, d in SHOWN[:2]}, "Brier": amount(f["brier"], 5),
                "AUC of blend less this": interval(found["blend minus"].get(name, {}), "auc"),
                "AP of blend less this": interval(found["blend minus"].get(name, {}), "average_precision"),
            }
            for name, f in sorted(found["figures"].items(), key=lambda item: -(item[1].get("auc") or 0))
        ]  # fmt: skip
        return table(rows)

    def contested(self) -> str:
        """What the contest is on, and what blending adds."""
        found = self.pack["contest"]
        gain = found["blend minus"]["model without Altman"]
        return (
            f"{found['rows']:,} firm-years that all of them score, {found['events']} failures. Blending with Altman changes AUC by "
            f"{interval(gain, 'auc', 4)} and average precision by {interval(gain, 'average_precision', 4)} against the trees alone, "
            "on the same rows."
        )

    def champion(self) -> str:
        """This model against the last approved one."""
        c = self.comparison
        if c is None and self.published["status"] == "champion":
            return "This model is the approved one of its source, and none was before it."
        if c is None:
            return "No model of this source has been approved yet: there is none to compare this one with."
        if c["difference"] is None:
            return f"This model and the champion {c['champion']} share no failure to be judged on."
        names = {"this model": c["figures"]["model"], f"champion {c['champion']}": c["figures"]["champion"],
                 "difference": c["difference"]}  # fmt: skip
        return table([{"": title, **{w: interval(f, key, d) for w, key, d in FIGURES}} for title, f in names.items()])

    def blend(self) -> str:
        """What the weight is, and how sure it is."""
        rows = [
            {"scorer": kind, "weight of the trees": interval({"weight": b["weight"], "interval": {"weight": b["interval"]}}, "weight", 2),
             "fitted on failures": b["failures"], "fixed in params": "no" if b["in_params"] is None else f"{b['in_params']:.2f}"}
            for kind, b in self.pack["blend"].items()
        ]  # fmt: skip
        return table(rows)

    def sensitivity(self) -> str:
        rows = [
            {"choice": r["choice"], "failures learnt from": r["learnt_failures"], "AUC": interval(r, "auc"),
             "average precision": interval(r, "average_precision"), "AUC less that of params": interval(r.get("difference", {}), "auc")}
            for r in self.pack["sensitivity"]
        ]  # fmt: skip
        return table(rows)
