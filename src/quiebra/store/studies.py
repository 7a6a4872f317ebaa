"""Where searches are kept: beside the tables that other tools read, not among them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url, text

from quiebra.store.engine import answering, connect

SCHEMA, FILE = "busqueda", "search.db"


def study_storage(url: str) -> str:
    """Return the address of Optuna's own tables for a database: schema ``busqueda`` on PostgreSQL (made where it is missing),
    a file ``search.db`` beside a SQLite database."""
    engine = connect(url)
    if engine.dialect.name == "sqlite":
        return f"sqlite:///{Path(make_url(url).database or FILE).with_name(FILE)}"
    with answering(engine), engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    address = engine.url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return address.render_as_string(hide_password=False)
