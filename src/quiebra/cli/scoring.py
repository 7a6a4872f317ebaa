"""Commands that score a file and print the data dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quiebra.terminal import echo
from quiebra.workspace import Workspace


def score(
    file: Annotated[Path, typer.Argument(help="statements: CSV, Parquet or Excel, columns as ingest.table says")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="file of scores: .csv, .xlsx or .parquet; default: CSV to standard output")
    ] = None,
) -> None:
    """Score a file of statements with the model in charge: PD, grade, Altman zones and reasons, one row a company.

    The latest fiscal year of each company is scored; earlier years in the file serve its changes and trends.

    Example: quiebra score statements.csv --out scores.csv
    """
    from quiebra.errors import SourceError, closest_name
    from quiebra.io.exports import encoder_for, to_csv
    from quiebra.io.files import write_atomically
    from quiebra.services.scoring import score_file

    written = None if out is None else encoder_for(out)  # checks the ending before scoring
    if not file.is_file():
        near = closest_name(file.name, [path.name for path in file.parent.iterdir()] if file.parent.is_dir() else [])
        what = "is a folder" if file.is_dir() else "is no file" if file.exists() else ""
        there = f"; there is '{file.with_name(near)}'" if near and not what else ""
        raise SourceError(
            f"'{file}' {what}: name a file of statements" if what else f"no file at '{file}', as you typed it{there}"
        )
    if out is not None and out.exists() and out.samefile(file):
        raise SourceError(f"--out '{out}' is the file of statements itself: name another one")
    scored = score_file(Workspace.find(), file)
    for line in (*scored.left_out, *scored.warnings):
        echo(line, err=True)
    if out is None or written is None:
        echo(to_csv(scored.table).removesuffix("\n"), lines=True)
    else:
        write_atomically(out, lambda path: path.write_bytes(written(scored.table)))
        from quiebra.text.words import Words

        echo(Words().count("{n} company scored: {path}", "{n} companies scored: {path}", n=scored.table.height, path=out))


def dictionary() -> None:
    """Print the data dictionary as Markdown.

    Example: quiebra dictionary > docs/data-dictionary.md
    """
    from quiebra.feature_engineering.dictionary import data_dictionary as words

    typer.echo(words(), nl=False)
