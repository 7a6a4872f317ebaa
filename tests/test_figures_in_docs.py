"""The documents' figures of quality and time are those that the benchmarks wrote."""

import json
import re

from conftest import ROOT

from quiebra.feature_engineering import FEATURES_BY_NAME

PAGES = ("real-companies", "times", "daily-use")
DOCUMENTS = "\n".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in PAGES).replace("−", "-")
FOUND = json.loads((ROOT / "benchmarks" / "results" / "latest.json").read_text(encoding="utf-8"))["american"]
ROWS = {
    "**Quiebra** (model and Altman blended)": "blend",
    "model without Altman": "model without Altman",
    "accounts only, no market value": "accounts only",
    "LightGBM, six ratios": "LightGBM, six ratios",
    "logistic regression, six ratios": "logistic, six ratios",
    "logistic regression, Altman's five ratios refitted": "logistic, Altman's five refitted",
    "Altman Z": "Altman Z",
}


def cells(first: str) -> list[str]:
    line = next(line for line in DOCUMENTS.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?\d+\.\d+", cell)]


def span(figures: dict, name: str) -> list[float]:
    return [round(value, 3) for value in (figures[name], *figures["interval"][name])]


def test_the_number_of_features() -> None:
    assert f"what was quarantined and why, {len(FEATURES_BY_NAME)} features" in DOCUMENTS


def test_the_table_of_contenders() -> None:
    for words, name in ROWS.items():
        figures, shown = FOUND["table"]["figures"][name], cells(words)
        assert numbers(shown[0]) == span(figures, "auc"), words
        assert numbers(shown[1]) == span(figures, "average_precision"), words
        assert numbers(shown[2] + " " + shown[3]) == [round(figures["top_decile_capture"], 3), round(figures["brier"], 5)], words
        assert numbers(shown[4]) == [round(figures["pd_over_observed"], 2)], words
        if name != "blend":
            assert numbers(shown[5]) == span(FOUND["table"]["blend minus"][name], "auc"), words


def test_the_other_ways_to_ask() -> None:
    ways = {
        "two years of embargo": "embargo of two years",
        "one model for 2015 to 2017": "single split 2015-17",
        "failure within five years, 2007 to 2013": "within 5 years",
        "failure within two years, 2007 to 2016": "within 2 years",
    }
    for words, name in ways.items():
        figures, shown = FOUND["other ways"][name], cells(words)
        assert numbers(shown[0]) == span(figures, "auc")
        assert numbers(shown[1]) == span(figures, "average_precision")
        assert shown[3] == f"{figures['rows']:,}, {figures['events']}"


def test_the_grades_and_intervals() -> None:
    tested = [row for row in FOUND["other ways"]["by grade"] if row["failures"] >= 5]
    assert f"Of the {len(tested)} grades with five or more failures, {sum(row['inside'] for row in tested)} have" in DOCUMENTS
    covered = next(row for row in FOUND["other ways"]["coverage of 90 % intervals"] if row["rating"] == "all")["covered"]
    assert f"{100 * covered:.1f} % of grades and years from 2012" in DOCUMENTS.replace("\n", " ")
    longer = next(row for row in FOUND["other ways"]["coverage, 2009-2017"] if row["rating"] == "all")
    assert (
        f"{100 * longer['covered']:.1f} % of grades and years over all years that had one (2009 to 2017, {longer['cells']} of them)"
        in DOCUMENTS.replace("\n", " ")
    )
    five = FOUND["other ways"]["within 5 years"]["pd_over_observed_by_year"]
    assert [round(five[y], 1) for y in ("2008", "2010", "2013", "2011")] == [1.7, 2.0, 0.8, 1.1]


def test_the_dashboards_figures() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "dashboards.json").read_text(encoding="utf-8"))
    panels = [found["demo"], found["american"]]

    def answers(name: str) -> list[str]:
        return [f"{p['answers, ms'][name]['median']:.0f} ms ({p['answers, ms'][name]['p95']:.0f})" for p in panels]

    ten = [panel["ten readers at once, s"] for panel in panels]
    expected = {
        "first figure of a page, kernel warm, median (worst)": [
            f"{p['warm']['first figure, median']:.1f} s ({p['warm']['first figure, worst']:.1f})" for p in panels
        ],
        "first figure of a page, no kernel warm, worst": [f"{p['cold']['first figure']:.1f} s" for p in panels],
        "working controls, kernel warm, median": [f"{p['warm']['widgets, median']:.1f} s" for p in panels],
        "a slider of the economy to the figure, median (95th percentile)": answers("economy"),
        "a shock to every company to the figure": answers("shock to firms"),
        "a typed-in statement to the figure": answers("statement typed in"),
        "ten readers at once, two of each of five pages, all served": [f"{t['served']:.1f} s" for t in ten],
        "ten readers of one page at once, all served": [f"{t['served, all of one page']:.1f} s" for t in ten],
        "two of each of five pages, their ten browsers on the same two cores: first figures (working controls)": [
            f"{t['with ten browsers on the same cores']['figures']:.0f} s ({t['with ten browsers on the same cores']['widgets']:.0f})"
            for t in ten
        ],
        "first figure after a decision, when no warm kernel is up to date": [
            f"{p['cold']['first figure after a decision']:.1f} s" for p in panels
        ],
        "memory of the server with its warm kernels": [f"{p['memory, MB']['server and warm pool']:,.0f} MB" for p in panels],
        "memory for each open page": [f"{p['memory, MB']['each open page']:.0f} MB" for p in panels],
        "a file of 100,000 companies' statements, scored": [f"{p['100,000 companies uploaded, s']:.0f} s" for p in panels],
    }
    for words, values in expected.items():
        assert cells(words) == values, words


def test_the_alerts_figures() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "operations.json").read_text(encoding="utf-8"))["american"]
    text = " ".join(DOCUMENTS.split())
    five, ten = found["alerts"]["budgets"]
    for budget in (five, ten):
        low, high = budget["interval"]["recall"]
        assert f"{budget['recall']:.2f} ({low:.2f} to {high:.2f})" in text
    assert f"a median of {five['lead_years']:.1f} years ahead" in text
    assert (
        f"{five['recall_last']:.2f} and {ten['recall_last']:.2f}; of the alerts {five['precision']:.0%} and {ten['precision']:.0%} were".replace(
            "%", " %"
        )
        in text
    )
    seconds = found["seconds"]
    assert (
        f"takes {seconds['risk report']:.0f} s to make, and each of 20 tear sheets {seconds['each of 20 tear sheets']:.1f} s"
        in text
    )
