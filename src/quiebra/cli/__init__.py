"""Command line: one module per group of commands, each a thin layer over services."""

from __future__ import annotations

import os
import sys

from quiebra.pipeline.stage_client import run_on_server


def main() -> None:
    """Run the command line. If a stage server is running, it runs the stage, before anything else is imported."""
    _open_standard_streams()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait stall on a busy machine
    match sys.argv[1:]:
        case ["run", stage] if (code := run_on_server(stage)) is not None:
            sys.exit(code)
    from quiebra.cli.app import run_app
    from quiebra.logs import process_correlation_id
    from quiebra.terminal import run_cli

    process_correlation_id()  # what this command starts has the same
    run_cli(run_app)


def _open_standard_streams() -> None:
    """Let closed standard streams lead nowhere: otherwise the next files that are opened would take their place, and their
    output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: SIM115  open until the end
