"""Help of command groups: each command with its whole first sentence, which click would cut at the terminal's width."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class WholeSentences(TyperGroup):
    """A group of commands whose help wraps sentences instead of cutting them."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(limit=1000)) for name, command in named if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
