"""A model's card, written by the training run: intended use, data, performance and weaknesses.

Its sections follow Mitchell et al. (2019), Model cards for model reporting.
"""

from __future__ import annotations

from typing import Any

from quiebra.canonical import SourceInfo
from quiebra.models.interval import FEW_FAILURES
from quiebra.reports.tables import DEFAULT_WORDS, escape_markup, format_amount, format_interval, markdown_table
from quiebra.text.words import Words, translatable
from quiebra.validation.comparison import MIN_FAILURES_TO_TEST
from quiebra.validation.details import GROUPINGS

CARD_FIGURES = (
    (translatable("AUC"), "auc", 3),
    (translatable("average precision"), "average_precision", 3),
    (translatable("failures in the riskiest tenth"), "top_decile_capture", 3),
    (translatable("KS"), "ks", 3),
    (translatable("Brier score"), "brier", 5),
    (translatable("mean PD / observed"), "pd_over_observed", 2),
)


def model_card(
    model: dict[str, Any], source: SourceInfo, metrics: dict[str, Any], calibration: dict[str, Any], pack: dict[str, Any]
) -> str:
    """Return the card as Markdown, from the saved model's record and the outputs of validation."""
    card = model["card"]
    simulated = ["**SIMULATED.** " + escape_markup(source.notes.removeprefix("SIMULATED: "))] if source.simulated else []
    parts = [
        "# Model card",
        *simulated,
        _what(model, card),
        "## Made from",
        markdown_table([{"": name, "value": value} for name, value in _made_from(model, card, source, metrics)]),
        "## Quality, out of time",
        _quality(metrics),
        markdown_table(
            [{"test": r["words"], "value": format_amount(r["value"], 3), "verdict": r["verdict"]} for r in metrics["verdict"]]
        ),
        "## Where it is weak",
        "\n".join(f"- {line}" for line in weak_points(metrics, calibration, pack)),
        "## For what, and for what not",
        "For ranking companies by risk, watch lists and the failures to expect of a portfolio. Not for a single credit decision "
        "without a person, nor for companies unlike those it learnt from. Reasons say what the model looked at, not what causes "
        "failure.",
    ]
    return "\n\n".join(parts) + "\n"


def _what(model: dict[str, Any], card: dict[str, Any]) -> str:
    scorers = ", ".join(
        f"`{kind}` ({len(record['features'])} inputs, {record['blend']['weight']:.2f} of the log-odds from the trees and "
        f"the rest "
        "from Altman)"
        for kind, record in model["scorers"].items()
    )
    return (
        f"Probabilities of default within one to five years, with an interval of {model['confidence']:.0%}: "
        f"gradient-boosted hazard "
        f"trees blended with the Altman score and calibrated out of time. Scorers: {scorers}. As of {card['as_of']}."
    )


def _made_from(model: dict[str, Any], card: dict[str, Any], source: SourceInfo, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    labels = card["params"]["labels"]
    spread = next(iter(model["scorers"].values()))["spread"]["year"]
    return [
        ("data", source.title),
        ("data, SHA-256", source.sha256),
        ("learnt from", f"fiscal years {card['trained_on']}, {card['rows']:,} firm-years of {card['companies']:,} companies"),
        ("failures", f"{card['failures']:,}, within {labels['window_months']} months of the last statement"),
        ("companies that left alive", labels["alive_exits"]),
        ("embargo", DEFAULT_WORDS.count("{n} year", "{n} years", n=card["embargo_years"])),
        ("years differ by", f"{spread:.2f} in log-odds"),
        ("features left out (train.drop_features)", ", ".join(card["params"]["train"].get("drop_features", [])) or "none"),
        ("suspected of leakage, and accepted (validate.accept_features)", _accepted(metrics)),
    ]


def _accepted(metrics: dict[str, Any]) -> str:
    """Return the features that discriminate suspiciously well and were accepted by a person, with their AUC alone."""
    rows = metrics.get("leakage", {}).get("accepted", [])
    texts = [
        f"{row['feature']}{' where it is missing' if row['missing'] else ''} (AUC {row['auc']:.3f}, {row['interval'][0]:.3f} to "
        f"{row['interval'][1]:.3f})"
        for row in rows
    ]
    return ", ".join(texts) or "none"


def _quality(metrics: dict[str, Any]) -> str:
    columns = {"this model": "walk_forward", "trees alone": "model_alone", "Altman alone": "altman_alone"}
    rows = [
        {"": words, **{title: format_interval(metrics[key], name, digits) for title, key in columns.items()}}
        for words, name, digits in CARD_FIGURES
    ]
    years, found = metrics["walk_forward"]["test_years"], metrics["walk_forward"]
    head = f"Fiscal years {years}, {found['rows']:,} firm-years, {found['events']} failures; intervals from resampling companies."
    return f"{head}\n\n{markdown_table(rows)}"


def weak_points(
    metrics: dict[str, Any], calibration: dict[str, Any], pack: dict[str, Any], words: Words = DEFAULT_WORDS
) -> list[str]:
    """Return sentences on where the model performed worst: year, group, grade, feature drift, and failed gates. Years, groups and
    grades with fewer than five failures are left out as not meaningful."""
    years = {year: m for year, m in metrics["by_year"].items() if m["events"] >= MIN_FAILURES_TO_TEST}
    lines = []
    if years:
        worst_year = min(years, key=lambda year: years[year]["auc"])
        lines.append(
            words("Worst test year: {year}, AUC {auc}.", year=worst_year, auc=format_interval(years[worst_year], "auc", 3, words))
        )
    kinds = (pack["groups"].get(name, []) for name in GROUPINGS)
    groups = [g for rows in kinds for g in rows if g["events"] >= MIN_FAILURES_TO_TEST]
    if groups:
        worst = min(groups, key=lambda group: group["auc"])
        group, auc = escape_markup(words(worst["group"])), format_interval(worst, "auc", 3, words)
        lines.append(words("Worst group of companies: {group}, AUC {auc}.", group=group, auc=auc))
    judged = metrics["walk_forward"]["events"]
    if judged < FEW_FAILURES:
        lines.append(words("Only {n} failures could be judged, so that every figure of quality is rough.", n=judged))
    off = [row["rating"] for row in calibration["by_grade"] if row["failures"] >= 5 and not row["inside"]]
    lines.append(
        words.count(
            "Mean PD outside Jeffreys' interval in {n} grade: {grades}.",
            "Mean PD outside Jeffreys' interval in {n} grades: {grades}.",
            n=len(off),
            grades=", ".join(off),
        )
        if off
        else words("No grade with five failures or more has its mean PD outside Jeffreys' interval.")
    )
    lines.append(
        words(
            "Intervals of {confidence} held in {covered} of grades and years; chance moves that by at least {error}.",
            confidence=words.percent(calibration["interval"], 0),
            covered=words.percent(calibration["interval_coverage"], 1),
            error=words.percent(calibration["coverage_error"], 1),
        )
    )
    moved = [row["feature"] for row in pack["stability"]["csi"] if row["csi"] is not None and row["csi"] > 0.25]
    if moved:
        more = words(" and {n} more", n=len(moved) - 3) if len(moved) > 3 else ""
        names = ", ".join(f"`{name}`" for name in moved[:3])
        lines.append(words("Inputs that moved most since the years learnt from: {names}{more}.", names=names, more=more))
    failed = [
        words("Failed gate: {test} is {value}.", test=words(row["words"]), value=words.number(row["value"], 3))
        for row in metrics["verdict"]
        if row["verdict"] == "fail"
    ]
    return [*lines, *failed]
