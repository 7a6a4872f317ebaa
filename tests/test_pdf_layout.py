"""How PDFs are laid out, by the fallback and by what Quarto's template makes of the same report: nothing lost, printed over or alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from pdf_pages import beyond_the_margin, fullness, lines, overprinted, words
from pypdf import PdfReader
from quarto_stand_in import HEAD, executed_notebook, picture, set_as_by_quarto

from quiebra.reports.fallback import render_report
from quiebra.reports.tables import markdown_table

Setter = Callable[[Path, Path], Path]
LONG = "Responsabilidades medioambientales extraordinariamente internacionalizadas, desproporcionadamente contraproducentes"
ROW = (
    "Compañía Hispanoamericana de Electrodomésticos 12",
    "2025-06-30",
    "abierta, sin responsable",
    "12,5 % (9,1 % a 16,2 %)",
    LONG,
)
COLUMNS = ("empresa", "desde", "estado", "prevista, con su intervalo", "motivo")


def by_fallback(executed: Path, pdf: Path) -> Path:
    render_report(executed, pdf.with_suffix(".html"), pdf, HEAD)
    return pdf


both = pytest.mark.parametrize("set_pdf", [by_fallback, set_as_by_quarto], ids=["fallback", "quarto"])


def captioned(label: str, rows: int, **texts: str) -> tuple[str, str]:
    """A table of numbered rows, under a label and a caption that names it."""
    record = dict(zip(COLUMNS, ROW, strict=True)) | texts
    text = markdown_table([{"fila": f"{label}R{row:03d}", **record} for row in range(rows)])
    return f"#| label: tbl-{label}\n#| tbl-cap: Cuadro {label}\nshow()", text


def plain(label: str, rows: int) -> tuple[str, str]:
    text = markdown_table([{"fila": f"{label}R{row:03d}", "valor": str(row)} for row in range(rows)])
    return f"#| label: tbl-{label}\n#| tbl-cap: Cuadro {label}\nshow()", text


def image(label: str, height: int = 236) -> tuple[str, str]:
    return f"#| label: fig-{label}\n#| fig-cap: Imagen {label}\n#| fig-alt: x\nshow()", picture(height)


def words_per_page(pdf: Path) -> list[str]:
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(pdf).pages]


@both
def test_a_captioned_table_of_45_rows_breaks_across_pages_and_loses_nothing(set_pdf: Setter, tmp_path: Path) -> None:
    head = {**HEAD, "lang": "es"}
    pdf = set_pdf(executed_notebook(tmp_path / "a.ipynb", [("# Parte", ""), captioned("uno", 45)], head=head), tmp_path / "a.pdf")
    pages = words_per_page(pdf)
    assert len(pages) > 2
    assert re.findall(r"unoR\d{3}", " ".join(pages)) == [f"unoR{row:03d}" for row in range(45)]
    assert overprinted(pdf) == []
    assert beyond_the_margin(pdf) == []
    for page in pages[1:]:
        assert "empresa" in page  # the head, again
    assert "Cuadro uno" in pages[0]
    assert "unoR002" in pages[0]
    found = words(pdf)
    assert max(word.bottom - word.top for word in found if word.text.startswith("unoR")) < 10.4  # smaller than the text
    gaps = [b.left - a.right for a, b in itertools.pairwise(found) if (a.text, b.text) == ("medioambientales", "extra-")]
    gaps += [b.left - a.right for a, b in itertools.pairwise(found) if (a.text, b.text) == ("Compañía", "Hispanoameri-")]
    assert max(gaps, default=0) < 3  # lines of cells are not stretched


@both
def test_every_page_says_simulated_status_date_and_run_at_its_foot(set_pdf: Setter, tmp_path: Path) -> None:
    pdf = set_pdf(executed_notebook(tmp_path / "a.ipynb", [plain("uno", 120)]), tmp_path / "a.pdf")
    pages = words_per_page(pdf)
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        assert HEAD["subtitle"] in page.split("unoR")[-1], page
        assert f"{number} / {len(pages)}" in page


def test_the_heads_of_the_back_test_and_every_other_table_of_the_run_keep_to_their_cells(finished: Path, tmp_path: Path) -> None:
    for name in ("risk_report", "validation_report"):
        notebook = finished / f"reports/build/{name}.ipynb"
        for pdf in (set_as_by_quarto(notebook, tmp_path / f"{name}.pdf"), finished / f"reports/build/{name}.pdf"):
            assert overprinted(pdf) == [], name
            assert beyond_the_margin(pdf) == [], name
        rows = [
            word
            for cell in nbformat.read(notebook, as_version=4).cells
            if cell.cell_type == "code"
            for output in cell.outputs
            for line in output.get("data", {}).get("text/markdown", "").splitlines()
            if line.startswith("| ")
            for word in line.split("|")[1].split()
        ]
        shown = " ".join(words_per_page(tmp_path / f"{name}.pdf")).translate({ord("’"): "'"}).replace("- ", "").replace("-", "")
        lost = [word for word in rows if re.sub(r"[\\`-]", "", word) not in shown]
        assert len(rows) > 60
        assert lost == []


ENDS = range(22, 40)
"""Lines above what is looked at, so that the page ends at every place of it."""


def at_every_end(*cells: tuple[str, str]) -> list[tuple[str, str]]:
    """The cells after so many lines of text on a page of their own, for each of `ENDS`, with ``KEY`` in them replaced."""
    return [
        (source.replace("KEY", f"k{end}k"), gave.replace("KEY", f"k{end}k"))
        for end in ENDS
        for source, gave in [("{{< pagebreak >}}", ""), ("\n\n".join(["Línea."] * end), ""), *cells]
    ]


@both
def test_no_caption_and_no_head_stands_apart_from_its_table(set_pdf: Setter, tmp_path: Path) -> None:
    pdf = set_pdf(executed_notebook(tmp_path / "a.ipynb", at_every_end(plain("KEYl", 30))), tmp_path / "a.pdf")
    pages = [" ".join(text) for text in lines(pdf).values()]
    for end in ENDS:
        first, *others = (page for page in pages if f"k{end}klR" in page)
        assert f"Cuadro k{end}kl" in first
        assert all(f"k{end}klR{row:03d}" in first for row in range(3))
        assert all("fila" in page for page in (first, *others))
    assert sum("Línea" in page and "R000" in page for page in pages) >= 3  # some did begin on the page, some on the next
    assert sum("Línea" not in page and "R000" in page for page in pages) >= 3


@both
def test_a_short_table_is_kept_whole_and_a_section_begins_with_what_it_holds(set_pdf: Setter, tmp_path: Path) -> None:
    cells = at_every_end(("# Título KEY", ""), ("Dice algo de lo que sigue.", ""), plain("KEYs", 6))
    pdf = set_pdf(executed_notebook(tmp_path / "a.ipynb", cells), tmp_path / "a.pdf")
    pages = [" ".join(text) for text in lines(pdf).values()]
    for end in ENDS:
        (page,) = (page for page in pages if f"k{end}ksR" in page)
        assert f"Título k{end}k Dice algo de lo que sigue. Tabla" in page.replace("Table", "Tabla"), page
    assert sum("Línea" not in page and "R000" in page for page in pages) >= 3


@both
def test_pictures_leave_no_page_half_empty(set_pdf: Setter, tmp_path: Path) -> None:
    for shift in range(0, 40, 8):
        text = "\n\n".join(f"Línea {line}." for line in range(shift))
        cells = [
            ("# Cartera", ""),
            image("a"),
            image("b", 200),
            (text or "Nada.", ""),
            image("c"),
            ("# De dónde salen", ""),
            plain("z", 7),
        ]
        full = fullness(set_pdf(executed_notebook(tmp_path / "a.ipynb", cells), tmp_path / "a.pdf"), tmp_path)
        assert min(full[:-1]) > 0.66, (shift, full)


@both
def test_the_last_page_is_no_few_lines_wherever_the_report_ends(set_pdf: Setter, tmp_path: Path) -> None:
    closing = [
        ("#| label: tbl-provenance\n#| tbl-cap: De dónde\nshow()", plain("z", 7)[1]),
        ("#| output: asis\nshow()", "Para uso propio. " * 25),
    ]
    counts = set()
    for shift in range(12, 34, 2):
        cells = [("\n\n".join(["Línea."] * shift), ""), *closing]
        pdf = set_pdf(executed_notebook(tmp_path / "a.ipynb", cells), tmp_path / "a.pdf")
        last = " ".join(lines(pdf)[max(lines(pdf))])
        counts.add(max(lines(pdf)))
        assert "zR000" in last, shift  # the table goes along with what closes the report
        assert "Para uso propio" in last, shift
    assert counts == {1, 2}


@both
@pytest.mark.parametrize("reasons", [3, 16])
def test_a_tear_sheet_has_two_pages_however_much_is_said_on_the_first(set_pdf: Setter, reasons: int, tmp_path: Path) -> None:
    why = "\n".join(
        f"- El pasivo es el 85 % del activo, más que en nueve de cada diez empresas de su sector ({n})" for n in range(reasons)
    )
    cells = [
        ("::: {.callout-warning}\n**SIMULADO.** Empresas inventadas.\n:::\n\nUna empresa y su probabilidad.", ""),
        image("pd", 175),
        ("# Por qué", ""),
        ("#| output: asis\nshow()", why),
        image("effects", 180),
        ("{{< pagebreak >}}", ""),
        ("# Cifras", ""),
        plain("t", 5),
        plain("u", 9),
        ("# Alertas y datos", ""),
        ("#| output: asis\nshow()", "\n".join(f"- Alerta {n}" for n in range(9))),
    ]
    head = {**HEAD, "lang": "es"}
    pdf = set_pdf(executed_notebook(tmp_path / "a.ipynb", cells, name="tear_sheet", head=head), tmp_path / "a.pdf")
    pages = words_per_page(pdf)
    assert len(pages) == 2
    assert "Imagen effects" in pages[0]
    assert f"({reasons - 1})" in pages[0]
    assert "Cifras" in pages[1]
