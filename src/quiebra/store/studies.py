"""Where searches are kept: beside the tables that other tools read, not among them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, text

from quiebra.files import keep_private
from quiebra.store.engine import answering, connect

SCHEMA, FILE = "busqueda", "search.db"


def study_storage(url: str | URL) -> str:
    """Return the address of Optuna's own tables for a database: schema ``busqueda`` on PostgreSQL (made where it is missing),
    a file ``search.db`` beside a SQLite database."""
    engine = connect(url)
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or FILE).absolute().with_name(FILE)
        keep_private(path)
        return f"sqlite:///file:{quote(str(path))}?uri=true"  # Optuna takes a text: a path may have % ? or #
    with answering(engine), engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    address = engine.url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return address.render_as_string(hide_password=False)
