"""Command line: one module per group of commands, each a thin layer over services."""

from __future__ import annotations

import os
import sys

from quiebra.pipeline.stage_client import run_on_server


def main() -> None:
    """Run the command line. If a stage server is running, it runs the stage, before anything else is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait stall on a busy machine
    match sys.argv[1:]:
        case ["run", stage] if (code := run_on_server(stage)) is not None:
            sys.exit(code)
    from quiebra.cli.app import run_app
    from quiebra.terminal import run_cli

    run_cli(run_app)
