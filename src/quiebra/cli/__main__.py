"""``python -m quiebra.cli``: the command line where its script is not on the path."""

from quiebra.cli import main

main()
