"""Shared parts of commands: options, the acting person, the workspace's database and parameters.

Libraries are imported inside functions, here and in every command, so that `quiebra --help` answers at once.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quiebra.errors import AlertError
from quiebra.text.person_input import clean_person_name, escape_invisible
from quiebra.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from quiebra.identity import User
    from quiebra.params import Params

WhoOption = Annotated[
    str | None, typer.Option("--who", help="the person who decides; default: QUIEBRA_USER, or who is logged in")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="why, in five characters or more; it is kept")]
GatewayOption = Annotated[
    list[str] | None,
    typer.Option(help="address or network of a gateway, which visitors' addresses are believed from; may be given again"),
]
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


def authorised_person(engine: Engine, given: str | None, permission: str, action: str) -> str:
    """Return the acting person's name; once there are users, after a sign-in, and if the role allows it.

    permission: of `quiebra.identity.Permission`. action: what is to be done, for the message and the audit table. IdentityError
    where it is refused.
    """
    from quiebra.identity import users_exist

    return authorised_user(engine, given, permission, action).name if users_exist(engine) else acting_person(given)


def authorised_user(engine: Engine, given: str | None, permission: str, action: str) -> User:
    """Return the acting person as a user whose password is right and whose role allows the action; see `authorised_person`."""
    from quiebra.identity import Permission, require_permission

    user = signed_in_user(engine, given)
    require_permission(engine, user, Permission(permission), action)
    return user


def signed_in_user(engine: Engine, given: str | None) -> User:
    """Return the acting person as a user. The password is QUIEBRA_PASSWORD's, or typed. IdentityError where it is wrong."""
    from quiebra.environment import PASSWORD
    from quiebra.identity import sign_in

    name = acting_person(given)
    return sign_in(engine, name, ask_password(f"password of {name}", PASSWORD))


def ask_password(prompt: str, variable: str, *, twice: bool = False) -> str:
    """Return a password from an environment variable, or as typed, unseen. IdentityError where neither is possible."""
    from quiebra.environment import given_password
    from quiebra.errors import IdentityError

    if (given := given_password(variable)) is not None:
        return given
    if not sys.stdin.isatty():
        raise IdentityError("{prompt}: type it at a terminal, or set {variable}", prompt=prompt, variable=variable)
    asked = escape_invisible(prompt)  # on standard error, since a script keeps what a command prints, such as a key
    return str(typer.prompt(asked, hide_input=True, confirmation_prompt=twice, err=True))


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
