"""``python -m quiebra.cli``: the command line without its script on the path."""

from quiebra.cli import main

main()
