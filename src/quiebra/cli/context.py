"""Shared parts of commands: options, the acting person, the workspace's database and parameters.

Libraries are imported inside functions, here and in every command, so that `quiebra --help` answers at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quiebra.errors import AlertError
from quiebra.text.person_input import clean_person_name
from quiebra.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from quiebra.params import Params

WhoOption = Annotated[
    str | None, typer.Option("--who", help="the person who decides; default: QUIEBRA_USER, or who is logged in")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="why, in five characters or more; it is kept")]
ReviewOption = Annotated[str | None, typer.Option("--review", help="when to look again, YYYY-MM-DD")]


def open_database() -> Engine:
    """Return the database of the current folder's workspace, migrated to this version."""
    from quiebra import store

    return store.open_database(Workspace.find())


def current_params() -> Params:
    """Return the parameters of the current folder's workspace."""
    from quiebra.params import load_params

    return load_params(Workspace.find())


def acting_person(given: str | None) -> str:
    """Return the acting person's name: ``given``, QUIEBRA_USER, or the login name."""
    from quiebra.environment import current_person

    return clean_person_name(given, "--who") if given is not None else current_person()


def parse_day(text: str | None) -> dt.date | None:
    """Return the date of a text YYYY-MM-DD, None for None. AlertError if it is invalid."""
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise AlertError(f"'{text}' is not a date: write it as 2026-12-31") from None


def review_status(row: Mapping[str, Any]) -> str:
    """Return the review date of a row with a mark if it has passed; empty without one."""
    review_on = row["review_on"]
    if review_on is None:
        return ""
    return f"{review_on}{' OVERDUE' if review_on < dt.date.today() else ''}"


def company_names() -> dict[str, str]:
    """Return company id → name, of the current folder's workspace; empty where no panel has been made."""
    import polars as pl

    path = Workspace.find().panel / "companies.parquet"
    if not path.is_file():
        return {}
    return dict(pl.read_parquet(path, columns=["company_id", "name"]).drop_nulls().iter_rows())
