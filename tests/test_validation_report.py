"""The validation report and the model card: the figures of the run, in a page that needs nothing from outside."""

import html
import re
from pathlib import Path

import pytest
from conftest import command
from pypdf import PdfReader

from quiebra.io.files import read_json
from quiebra.reports.model_card import weak_points


@pytest.fixture(scope="module")
def page(finished: Path) -> str:
    return (finished / "reports/build/validation_report.html").read_text(encoding="utf-8")


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_page_and_pdf_show_the_runs_figures(page: str, finished: Path) -> None:
    metrics = read_json(finished / "data/validation/figures.json")
    auc = metrics["walk_forward"]["auc"]
    pdf = " ".join("\n".join(p.extract_text() for p in PdfReader(finished / "reports/build/validation_report.pdf").pages).split())
    for text in (words(page), pdf):
        assert f"{auc:.3f} (" in text
        assert "SIMULATED" in text and "DRAFT" in text
        for row in metrics["verdict"]:
            assert row["words"] in text
        for heading in ("Against simpler models", "Had we chosen otherwise", "Is it stable?", "Are the PDs right?"):
            assert heading in text
        assert "logistic, Altman's five refitted" in text.replace("’", "'").replace("- ", ""), (
            "a cell of the PDF may break a word"
        )


def test_every_figure_and_table_is_captioned_and_described(page: str) -> None:
    figures = re.findall(r"<img[^>]*>", page)
    assert len(figures) == 9
    assert all(re.search(r'alt="[^"]{20,}"', figure) for figure in figures)
    assert len(set(re.findall(r"Figure \d+:", page))) == len(figures)


def test_the_page_links_nothing_outside_and_no_machine_path(page: str, finished: Path) -> None:
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert str(finished) not in page


def test_every_feature_has_its_index(page: str) -> None:
    from quiebra.feature_engineering import FEATURES

    shown = words(page)
    missing = [f.label for f in FEATURES if f.label not in shown]
    assert len(missing) <= 3, f"features that nobody has are left out, not these: {missing}"


def test_the_card_says_what_the_run_was(finished: Path) -> None:
    card = (finished / "data/validation/model_card.md").read_text(encoding="utf-8")
    record, metrics = read_json(finished / "models/model.json"), read_json(finished / "data/validation/figures.json")
    assert "SIMULATED" in card
    assert record["card"]["trained_on"] in card and f"{record['card']['rows']:,} firm-years" in card
    assert f"{metrics['walk_forward']['auc']:.3f}" in card
    assert read_json(finished / "data/panel/source.json")["sha256"] in card


def test_weak_points_name_year_group_grade_and_gate(finished: Path) -> None:
    metrics, calibration, pack = (
        read_json(finished / f"data/validation/{name}.json") for name in ("figures", "calibration", "pack")
    )
    calibration["by_grade"][0] |= {"failures": 9, "inside": False}
    metrics["verdict"][0] |= {"value": 0.6, "verdict": "fail"}
    lines = "\n".join(weak_points(metrics, calibration, pack))
    worst = min((m["auc"], y) for y, m in metrics["by_year"].items() if m.get("auc") is not None)[1]
    assert f"Worst test year: {worst}" in lines
    assert calibration["by_grade"][0]["rating"] in lines and "Failed gate: AUC, out of time is 0.600." in lines


def test_made_again_from_the_command_line(workspace: Path) -> None:
    done = command(workspace, "quiebra", "report", "validation")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].endswith("reports/build/validation_report.html")
    unknown = command(workspace, "quiebra", "report", "weekly")
    assert unknown.returncode != 0 and "risk" in unknown.stderr and "validation" in unknown.stderr
