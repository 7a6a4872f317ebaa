"""Commands on the register of models."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import WhoOption, authorised_person, open_database
from quiebra.cli.listing import JsonOption, print_list
from quiebra.terminal import echo
from quiebra.workspace import Workspace


def models(as_json: JsonOption = False) -> None:
    """List every registered model: version, status, what it learnt from, and the gates that it failed.

    Example: quiebra models
    """
    from quiebra.registry import comparison_in_words, list_models

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


def promote(
    model: Annotated[str, typer.Argument(help="a model's id, or the start of one")],
    despite: Annotated[bool, typer.Option("--despite", help="even where it ranks worse than the champion")] = False,
    who: WhoOption = None,
) -> None:
    """Put a model in charge: from the next run on, scores come from it. One that failed a gate, or ranks worse than the champion,
    is refused, and the message says why.

    Example: quiebra promote 1a2b3c4d5e6f
    """
    from quiebra.services.champion import promote_model

    done = promote_model(
        Workspace.find(), model, authorised_person(open_database(), who, "promote", "promote a model"), despite=despite
    )
    echo(f"{done.after} is the champion: `quiebra run` scores with it")


def rollback(
    source: Annotated[str | None, typer.Option(help="of models, where several have a champion")] = None,
    who: WhoOption = None,
) -> None:
    """Put the champion before this one in charge again: the next run restores its scores. Asked twice, the later one is back.

    Example: quiebra rollback
    """
    from quiebra.services.champion import roll_back_model

    done = roll_back_model(Workspace.find(), source, authorised_person(open_database(), who, "promote", "roll a model back"))
    echo(f"{done.after} is the champion again: `quiebra run` scores with it")
