"""`dvc repro` for `quiebra run`: names the stages that run, says an error once, and advises nothing about git and remotes.

    python -m quiebra.pipeline.dvc_repro [--single-item] [--force] TARGET

Exit code 1: a stage failed, and has said why. 2: DVC cannot run the stages, for the reason printed.
"""

from __future__ import annotations

import argparse
import logging
import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage.exceptions import StageCmdFailedError

STAGE_FAILED, CANNOT_RUN = 1, 2
SHOWN = ("Running stage", "> ")
"""Beginnings of DVC's messages that are printed."""


class _Stages(logging.Handler):
    """Print which stages run, and warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            print(text, file=sys.stderr, flush=True)
        elif text.startswith(SHOWN):
            print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--single-item", action="store_true")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("target")
    asked = parser.parse_args()
    logger = logging.getLogger("dvc")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [_Stages()]  # in place of those that importing DVC has set
    try:
        with Repo() as repo:
            repo.reproduce(targets=[asked.target], single_item=asked.single_item, force=asked.force)
    except KeyboardInterrupt:
        return 130
    except DvcException as error:
        causes = _causes(error)
        if any(isinstance(cause, StageCmdFailedError) for cause in causes):
            return STAGE_FAILED
        print(f"error: DVC: {': '.join(str(cause) for cause in causes)}", file=sys.stderr)
        return CANNOT_RUN
    return 0


def _causes(error: BaseException) -> list[BaseException]:
    return [error] if error.__cause__ is None else [error, *_causes(error.__cause__)]


if __name__ == "__main__":
    sys.exit(main())
