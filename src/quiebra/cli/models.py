"""Commands on the register of models."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from quiebra.cli.context import WhoOption, acting_person, authorised_user, open_database, signed_in_user
from quiebra.cli.listing import JsonOption, print_list
from quiebra.terminal import echo
from quiebra.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Engine


def models(as_json: JsonOption = False) -> None:
    """List every registered model: version, status, what it learnt from, and the gates that it failed.

    Example: quiebra models
    """
    from quiebra.errors import StoreError
    from quiebra.registry import comparison_in_words, list_models
    from quiebra.services.champion import waiting_successions

    rows = [
        {
            **{name: value for name, value in model.items() if name != "kept"},
            "says": "; ".join(
                [
                    *(f"failed: {sentence}" for sentence in model["failed"]),
                    *([str(comparison_in_words(model["comparison"]))] if model["comparison"] else []),
                ]
            ),
        }
        for model in list_models(Workspace.find())
    ]
    columns = {
        "model": "model_id",
        "version": "version",
        "status": "status",
        "source": "source",
        "learnt from": "trained_on",
        "AUC": "auc",
        "remarks": "says",
    }
    print_list(rows, columns, empty="no model is registered: `quiebra run` trains one", as_json=as_json)
    if not as_json:
        with contextlib.suppress(StoreError):  # the register is in files: a database that is away hides no model
            for row in waiting_successions(open_database()):
                worse = ", although it ranks worse than the champion: --despite" if row["despite"] else ""
                echo(f"{row['kind']} of {row['model_id']} by {row['proposed_by']} waits for an approver{worse}", err=True)


def _own_database() -> tuple[Workspace, Engine]:
    """Return the workspace and the database that it publishes to. StoreError where another one is set."""
    from quiebra.store.ownership import check_own_database

    workspace, engine = Workspace.find(), open_database()
    check_own_database(engine, workspace)
    return workspace, engine


def promote(
    model: Annotated[str, typer.Argument(help="a model's id, or the start of one")],
    despite: Annotated[bool, typer.Option("--despite", help="even where it ranks worse than the champion")] = False,
    who: WhoOption = None,
) -> None:
    """Put a model in charge: from the next run on, scores come from it. One that failed a gate, or ranks worse than the champion,
    is refused, and the message says why. Once there are users, a model owner proposes it and an approver confirms it, by the same
    command.

    Example: quiebra promote 1a2b3c4d5e6f
    """
    from quiebra.identity import Permission, require_permission, users_exist
    from quiebra.services.champion import confirm_promotion, promote_model, propose_promotion

    workspace, engine = _own_database()
    if not users_exist(engine):
        done = promote_model(workspace, model, acting_person(who), despite=despite)
    elif Permission.APPROVE in (user := signed_in_user(engine, who)).permissions:
        done = confirm_promotion(workspace, engine, model, user.name, despite=despite)
    else:
        require_permission(engine, user, Permission.PROMOTE, "promote a model")
        made = propose_promotion(workspace, engine, model, user.name, despite=despite)
        echo(f"model {made} is proposed; an approver confirms it: quiebra promote {made}")
        return
    echo(f"{done.after} is the champion: `quiebra run` scores with it")


def rollback(
    source: Annotated[str | None, typer.Option(help="of models, where several have a champion")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="confirm what another person rolled back")] = False,
    who: WhoOption = None,
) -> None:
    """Put the champion before this one in charge again: the next run restores its scores. Asked twice, the later one is back.
    Once there are users it takes one model owner, and an approver confirms it afterwards.

    Example: quiebra rollback
    """
    from quiebra.identity import users_exist
    from quiebra.services.champion import confirm_rollback, roll_back_model, roll_back_unconfirmed

    workspace, engine = _own_database()
    if confirm:
        user = authorised_user(engine, who, "approve", "confirm a rollback")
        echo(f"confirmed: {confirm_rollback(engine, user.name)} is in charge")
        return
    if users_exist(engine):
        user = authorised_user(engine, who, "promote", "roll a model back")
        done = roll_back_unconfirmed(workspace, engine, source, user.name)
        echo("an approver confirms it: quiebra rollback --confirm", err=True)
    else:
        done = roll_back_model(workspace, source, acting_person(who))
    echo(f"{done.after} is the champion again: `quiebra run` scores with it")
