"""Commands on the register of models."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import WhoOption, acting_person
from quiebra.terminal import echo
from quiebra.workspace import Workspace


def models() -> None:
    """List every registered model: version, status, what it learnt from, and the gates that it failed.

    Example: quiebra models
    """
    from quiebra.registry import comparison_in_words, list_models

    for model in list_models(Workspace.find()):
        echo(
            f"{model['model_id']}  v{model['version']}  {model['status']:<10}  {model['source']:<9} {model['trained_on']:<10} "
            f"AUC {model['auc']:.3f}"
        )
        for sentence in model["failed"]:
            echo(f"    failed: {sentence}")
        if model["comparison"]:
            echo(f"    {comparison_in_words(model['comparison'])}")


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

    done = promote_model(Workspace.find(), model, acting_person(who), despite=despite)
    echo(f"{done.after} is the champion: `quiebra run` scores with it")


def rollback(
    source: Annotated[str | None, typer.Option(help="of models, where several have a champion")] = None,
    who: WhoOption = None,
) -> None:
    """Put the champion before this one in charge again: the next run restores its scores. Asked twice, the later one is back.

    Example: quiebra rollback
    """
    from quiebra.services.champion import roll_back_model

    done = roll_back_model(Workspace.find(), source, acting_person(who))
    echo(f"{done.after} is the champion again: `quiebra run` scores with it")
