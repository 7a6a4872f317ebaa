"""Retention of models: all champions, present and former, and the newest of the others."""

from __future__ import annotations

import shutil
from dataclasses import replace

from quiebra.registry.register import CHALLENGER, Register
from quiebra.workspace import Workspace


def delete_old_models(workspace: Workspace, register: Register, most: int) -> Register:
    """Delete the oldest challengers beyond ``most``, and return the register without them. The model trained last is kept."""
    never = [name for name in register.models if register.status(name) == CHALLENGER and name != register.last]
    gone = sorted(never, key=lambda name: register.models[name].version)[: max(0, len(never) - most)]
    for name in gone:
        shutil.rmtree(workspace.registry / name, ignore_errors=True)
    return replace(register, models={name: entry for name, entry in register.models.items() if name not in gone})
