"""Commands on users and on the keys of other systems."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import WhoOption, ask_password, authorised_person, authorised_user, open_database, signed_in_user
from quiebra.cli.help import WholeSentences
from quiebra.cli.listing import JsonOption, print_list
from quiebra.terminal import echo

users_app = typer.Typer(
    cls=WholeSentences,
    help="Users: who may sign in, and in which role. Once there is one, decisions ask for a password.",
    no_args_is_help=True,
)
keys_app = typer.Typer(cls=WholeSentences, help="Keys of other systems.", no_args_is_help=True)
UserArgument = Annotated[str, typer.Argument(help="the user's name")]
RoleOption = Annotated[str, typer.Option("--role", help="reader, analyst, approver, model_owner or admin")]


@users_app.command("list")
def users_list(as_json: JsonOption = False) -> None:
    """List users with their roles.

    Example: quiebra users list
    """
    from quiebra.identity import list_users

    columns = {"name": "name", "role": "role", "state": "state", "last sign-in": "last_sign_in", "added by": "created_by"}
    rows = [
        {**row, "state": "disabled" if row["disabled"] else "locked out" if row["locked_out"] else ""}
        for row in list_users(open_database())
    ]
    print_list(rows, columns, empty="there are no users: quiebra users add NAME --role admin adds the first", as_json=as_json)


@users_app.command("add")
def users_add(name: UserArgument, role: RoleOption, who: WhoOption = None) -> None:
    """Add a user. The first is an admin; from then on an admin adds others, and decisions need a sign-in. The new password is
    typed, or QUIEBRA_NEW_PASSWORD's.

    Example: quiebra users add ana --role admin
    """
    from quiebra.environment import NEW_PASSWORD
    from quiebra.identity import add_user, users_exist

    engine = open_database()
    by = authorised_user(engine, who, "users", f"add user {name}") if users_exist(engine) else None
    made = add_user(engine, name, role, ask_password(f"new password of {name}", NEW_PASSWORD, twice=True), by)
    echo(f"{made.name} is {made.role}")


@users_app.command("role")
def users_role(name: UserArgument, role: Annotated[str, typer.Argument(help="the new role")], who: WhoOption = None) -> None:
    """Give a user another role.

    Example: quiebra users role luis approver
    """
    from quiebra.identity import change_role

    engine = open_database()
    change_role(engine, name, role, authorised_user(engine, who, "users", f"change the role of {name}"))
    echo(f"{name} is {role}")


@users_app.command("password")
def users_password(name: UserArgument, who: WhoOption = None) -> None:
    """Set a user's password: your own, or as an admin another's, which ends a lock-out too. The new one is typed, or
    QUIEBRA_NEW_PASSWORD's.

    Example: quiebra users password ana
    """
    from quiebra.environment import NEW_PASSWORD
    from quiebra.identity import Permission, change_password, require_permission
    from quiebra.text.person_input import is_same_person

    engine = open_database()
    by = signed_in_user(engine, who)
    if not is_same_person(by.name, name):
        require_permission(engine, by, Permission.USERS, f"set the password of {name}")
    change_password(engine, name, ask_password(f"new password of {name}", NEW_PASSWORD, twice=True), by)
    echo(f"{name} has a new password")


@users_app.command("disable")
def users_disable(name: UserArgument, who: WhoOption = None) -> None:
    """Keep a user from signing in; what the user did stays on record.

    Example: quiebra users disable luis
    """
    from quiebra.identity import disable_user

    engine = open_database()
    disable_user(engine, name, authorised_user(engine, who, "users", f"disable user {name}"))
    echo(f"{name} cannot sign in any more")


@users_app.command("enable")
def users_enable(name: UserArgument, who: WhoOption = None) -> None:
    """Let a user sign in again who was disabled, or locked out by wrong passwords.

    Example: quiebra users enable luis
    """
    from quiebra.identity import enable_user

    engine = open_database()
    enable_user(engine, name, authorised_user(engine, who, "users", f"enable user {name}"))
    echo(f"{name} can sign in")


@keys_app.command("list")
def keys_list(as_json: JsonOption = False) -> None:
    """List keys with their scopes, end and last use; the keys themselves are not stored.

    Example: quiebra keys list
    """
    from quiebra.identity import list_keys

    columns = {
        "key": "key_id",
        "system": "name",
        "scopes": "may",
        "expires": "expires_at",
        "revoked": "revoked_at",
        "last use": "last_used_at",
        "made by": "created_by",
    }
    rows = [{**row, "may": ", ".join(row["scopes"])} for row in list_keys(open_database())]
    print_list(rows, columns, empty="there are no keys: quiebra keys create SYSTEM --scope predict makes one", as_json=as_json)


@keys_app.command("create")
def keys_create(
    system: Annotated[str, typer.Argument(help="the system that will hold it")],
    scope: Annotated[list[str], typer.Option("--scope", help="read, predict or decide; may be given again")],
    days: Annotated[int, typer.Option(help="how long it counts")] = 365,
    who: WhoOption = None,
) -> None:
    """Make a key for another system. It is shown this once.

    Example: quiebra keys create treasury --scope read --scope predict
    """
    from quiebra.errors import IdentityError
    from quiebra.identity import create_key, users_exist

    engine = open_database()
    if not users_exist(engine):
        raise IdentityError("keys are made by an admin, and there is none: quiebra users add NAME --role admin")
    echo(create_key(engine, system, scope, days, authorised_person(engine, who, "users", f"make a key for {system}")))


@keys_app.command("revoke")
def keys_revoke(key: Annotated[str, typer.Argument(help="the key's id, or its first characters")], who: WhoOption = None) -> None:
    """End a key at once.

    Example: quiebra keys revoke 1a2b3c4d5e6f
    """
    from quiebra.identity import revoke_key
    from quiebra.identity.keys import key_id_start

    engine, start = open_database(), key_id_start(key)
    echo(f"key {revoke_key(engine, start, authorised_person(engine, who, 'users', f'revoke key {start}'))} is revoked")
