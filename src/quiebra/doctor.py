"""Check the installation: what is present, what is missing and how to get it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from quiebra.environment import SEC_CONTACT, database_url
from quiebra.errors import QuiebraError
from quiebra.params import load_params
from quiebra.pipeline.kernels import foreign_kernel_program
from quiebra.reports.publisher import OLDEST_QUARTO, QUARTO_HELP, find_publisher
from quiebra.sources import alpha_vantage
from quiebra.sources.american import download_instructions
from quiebra.sources.edgar.panel import DATA_SETS, FACTS_ARCHIVE, FILED_ARCHIVE
from quiebra.sources.market_services import MarketSource, company_answer
from quiebra.sources.raw_store import RawStore
from quiebra.sources.yahoo.panel import SOURCE as YAHOO
from quiebra.store import connect, current_run
from quiebra.store.engine import address_without_password
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import why_not_published

PACKAGES = ("dvc", "ipykernel", "jupyterlab", "papermill", "polars", "pypandoc-binary", "sqlalchemy", "typst", "xgboost-cpu")


@dataclass(frozen=True)
class Finding:
    """Result of a check. mark: ok, note (works with limits) or FAIL (does not work). remedy: what to do."""

    mark: str
    what: str
    remedy: str = ""


def check_installation() -> Iterator[Finding]:
    """Yield the results of all checks, in the order in which a new user needs them."""
    version = sys.version_info
    good = version >= (3, 11)
    yield Finding("ok" if good else "FAIL", f"Python {version.major}.{version.minor}", "" if good else "install Python 3.11")
    yield from _packages()
    try:
        workspace = Workspace.find()
        params = load_params(workspace)
    except QuiebraError as error:
        yield Finding("FAIL", str(error), "run this inside a clone of the repository, and mend params.yaml")
        return
    yield Finding("ok", f"params.yaml, sources {', '.join(params.ingest.sources)}")
    for command in ("dvc", "git"):
        here = shutil.which(command) or (Path(sys.executable).parent / command).exists()
        yield Finding("ok" if here else "FAIL", f"command {command}", "" if here else "make setup; git from your system")
    yield from _repositories(workspace)
    yield _kernel()
    yield _american(workspace.root / params.ingest.american.path, "american" in params.ingest.sources)
    if "edgar" in params.ingest.sources:
        yield _edgar(workspace.root / params.ingest.edgar.folder)
    for service, options in ((alpha_vantage.SOURCE, params.ingest.alpha_vantage), (YAHOO, params.ingest.yahoo)):
        if service.name in params.ingest.sources:
            yield _market_service(service, RawStore(workspace.root / options.folder), options.symbols)
    yield _quarto()
    yield _database(workspace)


def _repositories(workspace: Workspace) -> Iterator[Finding]:
    """Check that the workspace root itself has a git and a DVC repository: an enclosing one does not track its code."""
    if not (workspace.root / ".git").exists():
        remedy = "git init there: DVC needs it, and without it runs have no code revision"
        yield Finding("FAIL", f"no git repository at {workspace.root}", remedy)
    if not (workspace.root / ".dvc").is_dir():
        yield Finding("FAIL", f"no DVC repository at {workspace.root}", "dvc init there, or clone the repository again")
    reason = why_not_published(workspace)
    yield Finding("ok", "this workspace publishes") if reason is None else Finding("note", f"nothing is published: {reason}")


def _kernel() -> Finding:
    other = foreign_kernel_program()
    if other is None:
        return Finding("ok", "the python3 kernel is this environment's")
    return Finding(
        "note",
        f"the python3 kernel on the path is another environment's: {other}",
        "stages and reports use this environment's; for JupyterLab take it out of JUPYTER_PATH",
    )


def _packages() -> Iterator[Finding]:
    missing = []
    for name in PACKAGES:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("FAIL", f"missing packages: {', '.join(missing)}", "make setup") if missing else Finding("ok", "packages")


def _american(path: Path, needed: bool) -> Finding:
    if path.is_file():
        return Finding("ok", f"American panel at {path}")
    return Finding(
        "FAIL" if needed else "note", f"no American panel at {path} (for ingest.sources: [american])", download_instructions(path)
    )


def _edgar(folder: Path) -> Finding:
    store = RawStore(folder)
    sets = len(store.names(DATA_SETS))
    lacking = [name for name in (FILED_ARCHIVE, FACTS_ARCHIVE) if name not in store]
    remedy = f"{SEC_CONTACT}='Name mail@example.com' quiebra fetch edgar"
    if not sets:
        return Finding("FAIL", f"none of the SEC's data sets in {folder} (for ingest.sources: [edgar])", remedy)
    if lacking:
        return Finding(
            "note", f"EDGAR: {sets} data sets, without {' and '.join(lacking)}: failures or market values lack", remedy
        )
    return Finding("ok", f"EDGAR: {sets} data sets in {folder}, with lists of filings and market values")


def _market_service(service: MarketSource, store: RawStore, symbols: list[str]) -> Finding:
    have = sum(company_answer(symbol, service.answers[0]) in store for symbol in symbols)
    what = f"{service.title}: {have} of {len(symbols)} companies in {store.folder}"
    if have == len(symbols) and symbols:
        return Finding("ok", what)
    remedy = f"quiebra fetch {service.name}" if symbols else f"put tickers into ingest.{service.name}.symbols"
    return Finding("note" if have else "FAIL", what, remedy)


def _quarto() -> Finding:
    found = find_publisher()
    if found.program:
        return Finding("ok", f"Quarto {found.version} at {found.program}")
    oldest = ".".join(map(str, OLDEST_QUARTO))
    return Finding("note", f"no Quarto {oldest} or newer: reports are made by the fallback", f"to get it: {QUARTO_HELP}")


def _database(workspace: Workspace) -> Finding:
    try:
        engine = connect(database_url(workspace.root))
        run = current_run(engine)
    except QuiebraError as error:
        return Finding("FAIL", str(error), "see docs/database.md")
    return Finding(
        "ok", f"database {address_without_password(engine.url)}, " + (f"current run {run}" if run else "nothing published yet")
    )
