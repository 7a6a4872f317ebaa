"""Every text that the code, the reports and the defaults of params hand to a translator."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import yaml

from quiebra.api.problems import FIELD_FAULTS
from quiebra.items import ITEMS
from quiebra.panels.quarantine import QUARANTINE_RULES
from quiebra.params.faults import FAULT_MESSAGES
from quiebra.reports.notebook import PAGE_BREAK, TRANSLATED_OPTIONS, cell_options
from quiebra.sources import alpha_vantage, american, demo
from quiebra.sources.yahoo import panel as yahoo
from quiebra.validation.verdict import GATE_TESTS

ROOT = Path(__file__).parents[1]
MESSAGES = (
    "LocalisedMessage",
    "ApiError",
    "InvalidValue",
    "ParamsError",
    "WorkspaceError",
    "PanelError",
    "SourceError",
    "IdentityError",
    "AlertError",
)
TRANSLATORS = ("words", "_", "markup", "markdown", "translatable")
SAYING = [
    ROOT / "src/quiebra" / name
    for name in (
        "io/files.py",
        "params/__init__.py",
        "params/operations.py",
        "params/stress.py",
        "params/file_format.py",
        "sources/reading.py",
        "sources/cells.py",
        "sources/csv_text.py",
        "sources/workbooks.py",
        "sources/table.py",
        "sources/currency.py",
        "sources/combined.py",
        "sources/events.py",
        "sources/layouts.py",
        "sources/edgar/panel.py",
        "sources/edgar/market_values.py",
        "sources/market_services.py",
        "sources/given_amounts.py",
        "sources/alpha_vantage.py",
        "sources/yahoo/panel.py",
        "panels/doubts.py",
        "panels/missing_values.py",
        "services/scoring.py",
        "services/prediction.py",
        "services/loaded_model.py",
        "risk/finished_run.py",
        "risk/scored_company.py",
    )
]
"""Modules below the dashboards whose messages reach their readers."""


LAUNCHER = (("server", "access.py"), ("server", "app.py"))
"""Modules whose errors are for who starts the dashboards."""
COUNTED = {"count": 2, "LocalisedMessage": 3}
"""Call → how many places it takes up to its last text."""


def counted() -> set[tuple[str, str]]:
    """Every pair of texts of which a count chooses one: ``count(one, many)``, and ``LocalisedMessage(one, values, many)``."""
    found = set()
    for path in (ROOT / "src/quiebra").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            places = COUNTED.get(getattr(node.func, "id", getattr(node.func, "attr", ""))) if isinstance(node, ast.Call) else None
            if places and len(node.args) >= places:
                pair = tuple(getattr(arg, "value", None) for arg in (node.args[0], node.args[places - 1]))
                if all(isinstance(text, str) for text in pair):
                    found.add(pair)
    return found


def said() -> set[str]:
    found = (
        {item.label for item in ITEMS} | {words for words, _ in GATE_TESTS.values()} | {rule.meaning for rule in QUARANTINE_RULES}
    )
    found |= {rule.name.replace("_", " ") for rule in QUARANTINE_RULES}
    found |= {
        demo.SOURCE_NOTES,
        american.SOURCE_NOTES,
        *(text for service in (alpha_vantage.SOURCE, yahoo.SOURCE) for text in (service.title, service.notes)),
        "Simulated companies",
        "American companies, NYSE and NASDAQ",
        "DRAFT",
        "APPROVED",
    }
    found |= {"ok", "watch", "alarm", "unknown", "pass", "fail", "all", "market", "accounting"}
    found |= (
        set(FAULT_MESSAGES.values())
        | set(FIELD_FAULTS.values()) - {"{other}", "{error}"}
        | {"at or above", "at or below", "portfolio", "model"}
    )  # parts of messages of params
    return (found | _in_code() | _in_reports() | _in_params()) - {text for pair in counted() for text in pair}


def _in_code() -> set[str]:
    found = set()
    for path in (ROOT / "src/quiebra").rglob("*.py"):
        pages = {"api", "dashboards", "services"} & {*path.parts} and (path.parent.name, path.name) not in LAUNCHER
        shown = path in SAYING or pages
        names = (*TRANSLATORS, *MESSAGES) if shown else TRANSLATORS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                text = node.args[1 if name == "ApiError" else 0]  # after its status
                if name in names and isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found.add(text.value)
    return found - {""}


def _in_reports() -> set[str]:
    found = set()
    for path in (ROOT / "reports").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                found |= {source} - {PAGE_BREAK}
            elif cell["cell_type"] == "code":
                found |= {str(value) for name, value in cell_options(source).items() if name in TRANSLATED_OPTIONS}
    return found


def _in_params() -> set[str]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return {*params["alerts"]["rules"], *params["stress"]["scenarios"], *params["stress"]["shocks"]}
