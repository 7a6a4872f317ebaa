"""Statements as programs and databases export them: each has the rows that it is given, in that program's form."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import xlsxwriter

SABI = {
    "revenue": "Ingresos de explotación",
    "total_assets": "Total activo",
    "current_assets": "Activo circulante",
    "equity": "Fondos propios",
    "current_liabilities": "Pasivo líquido",
    "ebit": "Resultado de explotación",
    "interest_expense": "Gastos financieros",
    "net_income": "Resultado del Ejercicio",
}
ORBIS = {
    "revenue": "Operating revenue (Turnover)\nth USD",
    "total_assets": "Total assets\nth USD",
    "current_assets": "Current assets\nth USD",
    "equity": "Shareholders funds\nth USD",
    "current_liabilities": "Current liabilities\nth USD",
    "ebit": "Operating P/L [=EBIT]\nth USD",
    "interest_expense": "Interest paid\nth USD",
    "net_income": "P/L for period [=Net income]\nth USD",
}
COMPUSTAT = {
    "total_assets": "at",
    "total_liabilities": "lt",
    "current_assets": "act",
    "current_liabilities": "lct",
    "revenue": "sale",
    "ebit": "oiadp",
    "interest_expense": "xint",
    "net_income": "ni",
}
PGC_LINES = (
    ("A) ACTIVO NO CORRIENTE", None),
    ("B) ACTIVO CORRIENTE", "current_assets"),
    ("II. Existencias", "inventory"),
    ("III. Deudores comerciales y otras cuentas a cobrar", "receivables"),
    ("TOTAL ACTIVO (A + B)", "total_assets"),
    ("A) PATRIMONIO NETO", "equity"),
    ("C) PASIVO CORRIENTE", "current_liabilities"),
    ("1. Importe neto de la cifra de negocios", "revenue"),
    ("A.1) RESULTADO DE EXPLOTACIÓN (1 + 2 + 3)", "ebit"),
    ("15. Gastos financieros", "interest_expense"),
    ("D) RESULTADO DEL EJERCICIO (A.4 + 18)", "net_income"),
)
KAGGLE = {"total_assets": "X10", "total_liabilities": "X17", "current_assets": "X1", "current_liabilities": "X14", "revenue": "X9", "net_income": "X6", "ebit": "X12"}  # fmt: skip


def _with_equity(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(equity=pl.col("total_assets") - pl.col("total_liabilities"))


def sabi(rows: pl.DataFrame, folder: Path) -> Path:
    """Two header rows, decimal commas, thousands of euros, a column for each year, a numbered first column, a title above."""
    years = rows["fiscal_year"].unique().sort(descending=True).to_list()
    cells = _by_company_and_year(_with_equity(rows))
    upper = ["", "Nombre", "Código NIF", "Provincia", "Código primario CNAE 2009", "Estado", "Fecha cambio estado"]
    lower = [""] * len(upper)
    for label in SABI.values():
        upper += [f"{label}\nmil EUR", *[""] * (len(years) - 1)]
        lower += [str(year) for year in years]
    out = [["SABI", *[""] * (len(upper) - 1)], upper, lower]
    for at, (company, known) in enumerate(cells.items(), 1):
        failed = known["failed"]
        status = ["Concurso", f"{failed:%d/%m/%Y}"] if failed else ["Activa", "01/01/2000"]
        row = [f"{at}.", f"{company}, S.L.", company, "Madrid", known["sector"] or "", *status]
        row += [_comma(_or_none(known.get(year), item, 1000)) for item in SABI for year in years]
        out.append(row)
    return _semicolons(folder / "sabi.csv", out)


def orbis(rows: pl.DataFrame, folder: Path) -> Path:
    """A workbook; years count from the last available one, ``n.a.`` for what is missing, consolidated and other accounts."""
    cells = _by_company_and_year(_with_equity(rows))
    depth = 1 + max(len([year for year in known if isinstance(year, int)]) for known in cells.values())
    path = folder / "orbis.xlsx"
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("Search summary").write(0, 0, "Product name: Orbis")
    sheet = book.add_worksheet("Results")
    times = ["Last avail. yr", *(f"Year - {back}" for back in range(1, depth))]
    names = ["", "Company name Latin alphabet", "BvD ID number", "Country ISO code", "Consolidation code", "Status", "Status date", "Last avail. year"]  # fmt: skip
    names += [f"{label}\n{time}" for label in ORBIS.values() for time in times]
    sheet.write_row(0, 0, names)
    line = 0
    for company, known in cells.items():
        years = sorted((year for year in known if isinstance(year, int)), reverse=True)
        for basis in ("C2", "U2") if line % 5 == 0 else ("C2",):
            line += 1
            status = ["Bankruptcy", f"{known['failed']:%Y-%m-%d}"] if known["failed"] else ["Active", "n.a."]
            row = [f"{line}.", f"{company} INC", company, "US", basis, *status, years[0]]
            for item in ORBIS:
                for back in range(depth):
                    value = _or_none(known.get(years[0] - back), item)
                    row.append("n.a." if value is None else 1000 * value * (1 if basis == "C2" else 0.5))
            sheet.write_row(line, 0, row)
    book.close()
    return path


def compustat(rows: pl.DataFrame, folder: Path) -> Path:
    """Millions of dollars, a row a company and year, the reason and date of leaving the database."""
    last = rows.with_columns(code=pl.when(pl.col("failed").is_not_null()).then(pl.lit("02")))
    table = last.select(
        gvkey=pl.col("company_id"),
        datadate=pl.date("fiscal_year", 12, 31),
        fyear="fiscal_year",
        conm=pl.col("company_id") + " CORP",
        curcd=pl.lit("USD"),
        consol=pl.lit("C"),
        sic="sector",
        dlrsn="code",
        dldte="failed",
        **{theirs: pl.col(ours) for ours, theirs in COMPUSTAT.items()},
    )
    path = folder / "compustat.csv"
    table.write_csv(path)
    return path


def pgc(rows: pl.DataFrame, folder: Path) -> Path:
    """A folder with a file a company: a line for each item, euros with points and commas, costs with a minus."""
    made = folder / "pgc"
    made.mkdir()
    for company, known in _by_company_and_year(_with_equity(rows)).items():
        years = sorted((year for year in known if isinstance(year, int)), reverse=True)
        out = [["", *(f"Ejercicio {year}" for year in years)]]
        for label, item in PGC_LINES:
            sign = -1 if item == "interest_expense" else 1
            values = [None if item is None else _or_none(known.get(year), item) for year in years]
            out.append([label, *("" if v is None else _spanish(sign * v * 1e6) for v in values)])
        _semicolons(made / f"{company}.csv", out)
    return made


def kaggle(rows: pl.DataFrame, folder: Path) -> Path:
    """The names of the public American panel: a status a company, no dates."""
    table = rows.select(
        company_name="company_id",
        status_label=pl.when(pl.col("failed").is_not_null()).then(pl.lit("failed")).otherwise(pl.lit("alive")),
        year="fiscal_year",
        **{theirs: pl.col(ours) for ours, theirs in KAGGLE.items()},
    )
    path = folder / "kaggle.csv"
    table.write_csv(path)
    return path


EXPORTS = {"sabi": sabi, "orbis": orbis, "compustat": compustat, "pgc": pgc, "kaggle_american": kaggle}


def _by_company_and_year(rows: pl.DataFrame) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for row in rows.sort("company_id", "fiscal_year").iter_rows(named=True):
        company = found.setdefault(row["company_id"], {"failed": row["failed"], "sector": row["sector"]})
        company[row["fiscal_year"]] = row
    return found


def _or_none(row: dict | None, item: str, factor: float = 1) -> float | None:
    return None if row is None or row[item] is None else factor * row[item]


def _comma(value: float | None) -> str:
    return "n.d." if value is None else f"{value:.3f}".replace(".", ",")


def _spanish(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def _semicolons(path: Path, rows: list[list[str]]) -> Path:
    lines = [";".join(f'"{cell}"' if "\n" in cell else cell for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
