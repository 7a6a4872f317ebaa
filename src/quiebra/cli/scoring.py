"""Commands that score a file and print the data dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quiebra.cli.listing import JsonOption, print_json, print_list
from quiebra.terminal import echo
from quiebra.workspace import Workspace

if TYPE_CHECKING:
    from quiebra.canonical import OwnColumn


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
    if not file.is_file() and not (file.is_dir() and any(file.iterdir())):
        near = closest_name(file.name, [path.name for path in file.parent.iterdir()] if file.parent.is_dir() else [])
        what = "is an empty folder" if file.is_dir() else "is no file" if file.exists() else ""
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


def check(
    file: Annotated[Path, typer.Argument(help="statements: CSV, Parquet or Excel, as they come, or a folder of them")],
    as_json: JsonOption = False,
) -> None:
    """Say what a file would be read as: columns and items, rows set aside and why, and a section of params.yaml to paste.

    What params say of the file holds, what they say of another file does not. Nothing is written.

    Example: quiebra check data/raw/balances.xlsx
    """
    from dataclasses import asdict

    from quiebra.errors import SourceError
    from quiebra.params import Table, load_params
    from quiebra.services.file_check import check_file, required_missing

    workspace = Workspace.find()
    inside = file.resolve().is_relative_to(workspace.root)
    shown = file.resolve().relative_to(workspace.root).as_posix() if inside else str(file.resolve())
    params = load_params(workspace)
    named = params.ingest.table
    same = (workspace.root / named.path).resolve() == file.resolve()
    found = check_file(file, shown, named if same else Table.model_validate({"path": shown}), params.labels)
    if as_json:
        print_json(asdict(found))
        return
    rows = [{"column": match.column, "is": match.canonical, "by": match.how} for match in found.matches]
    print_list(rows, {"column": "column", "is read as": "is", "by": "by"}, empty="no column has a name that is known")
    if found.unread:
        echo(f"not read: {', '.join(found.unread)} (a column can be a feature of its own: ingest.table.features)")
    echo(f"missing: {', '.join(found.missing) or 'nothing'}")
    for line in found.lines:
        echo(line)
    if absent := required_missing(found.matches):
        echo(f"needed, and of no column: {', '.join(absent)}. Map them in the section below, under columns.", err=True)
    echo("")
    echo("# for params.yaml, in place of ingest.sources and of the whole section ingest.table:")
    echo(found.section.rstrip(), lines=True)
    if found.fault is not None and not absent:
        raise SourceError("{why}", why=found.fault)


def dictionary() -> None:
    """Print the data dictionary as Markdown, with the features of your own that params name.

    Example: quiebra dictionary > docs/data-dictionary.md
    """
    from quiebra.feature_engineering import use_own_features
    from quiebra.feature_engineering.dictionary import data_dictionary as words

    use_own_features(_own_columns())
    typer.echo(words(), nl=False)


def _own_columns() -> tuple[OwnColumn, ...]:
    """Return the columns that a workspace's params make features; none outside a workspace."""
    from quiebra.errors import WorkspaceError
    from quiebra.params import load_params
    from quiebra.sources.table import own_columns

    try:
        ingest = load_params(Workspace.find()).ingest
    except WorkspaceError:
        return ()
    return own_columns(ingest.table) if "table" in ingest.sources else ()
