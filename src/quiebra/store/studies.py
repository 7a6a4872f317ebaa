"""Storage of hyperparameter searches, apart from the tables that other tools read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, text

from quiebra.io.files import make_private_file
from quiebra.store.engine import connect, translate_database_errors

SCHEMA, FILE = "busqueda", "search.db"


def study_storage(url: str | URL) -> str:
    """Return the address for Optuna's own tables: schema ``busqueda`` on PostgreSQL (created if missing), or a file ``search.db``
    beside a SQLite database."""
    engine = connect(url)
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or FILE).absolute().with_name(FILE)
        make_private_file(path)
        return f"sqlite:///file:{quote(str(path))}?uri=true"  # Optuna takes a string; quoting protects % ? and # in the path
    with translate_database_errors(engine), engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    address = engine.url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return address.render_as_string(hide_password=False)
