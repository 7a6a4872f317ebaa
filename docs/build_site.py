"""Build the documentation's site: `make docs`. It needs a finished run, and no network.

    python docs/build_site.py [WORKSPACE] [FOLDER]

WORKSPACE: whose run the tutorials show; default: this checkout. FOLDER: what is built; default: build/docs.

The tutorials are the research notebooks, executed in a copy of the workspace, so that their verdicts do not count among yours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def copy_workspace(workspace: Path, folder: Path) -> None:
    """Make a workspace in ``folder`` with the results of another one, but for its log of verdicts."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    for name in ("params.yaml", "models", "reports"):
        (folder / name).symlink_to(workspace / name)
    for path in (workspace / "data").iterdir():
        if path.is_dir() and path.name not in ("research", "scratch", "running"):
            (folder / "data" / path.name).symlink_to(path)


def copy_pages(docs: Path) -> None:
    """Copy the pages, the research notebooks as tutorials, and generate the reference of commands and parameters."""
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "notebooks" / "research", docs / "tutorials", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    decisions = sorted(path.stem for path in (docs / "decisions").glob("0*.md"))
    listed = "\n".join(decisions)
    (docs / "decisions" / "index.md").write_text(
        f"# Decisions\n\nWhy the workspace is as it is.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    )
    (docs / "reference" / "commands.md").write_text(commands_page())
    (docs / "reference" / "params.md").write_text(
        f"# Parameters\n\n`params.yaml`, as it is shipped.\n\n```yaml\n{(ROOT / 'params.yaml').read_text()}```\n"
    )
    for page in (*docs.rglob("*.md"), *docs.rglob("*.ipynb")):
        text = page.read_text(encoding="utf-8")
        page.write_text(LINK.sub(partial(link_within, page=page, docs=docs), text), encoding="utf-8")


def link_within(found: re.Match[str], page: Path, docs: Path) -> str:
    """Return a link to a page of the site as it works there; one that leads out of the site becomes its text."""
    mark, text, target, anchor = found[1], found[2], found[3], found[4] or ""
    if re.match(r"[a-z]+:", target):
        return found[0]
    here = page.relative_to(docs).parent
    source = ROOT / "notebooks" / "research" if here.parts[:1] == ("tutorials",) else ROOT / "docs" / here
    wanted = Path(os.path.normpath(source / target))
    if wanted.is_relative_to(ROOT / "notebooks" / "research"):
        inside = docs / "tutorials" / wanted.name
    elif wanted.is_relative_to(ROOT / "docs"):
        inside = docs / wanted.relative_to(ROOT / "docs")
    else:
        inside = page.parent / "nowhere"
    if not inside.is_file():
        return text
    return f"{mark}[{text}]({os.path.relpath(inside, page.parent)}{anchor})"


def commands_page() -> str:
    """Return every command's help."""
    from typer.main import get_command

    from quiebra.cli.app import app

    pages = ["# Commands\n"]
    groups = [([], get_command(app))]
    for words, command in groups:
        groups += [([*words, name], inner) for name, inner in getattr(command, "commands", {}).items()]
        said = subprocess.run(
            [sys.executable, "-m", "quiebra.cli", *words, "--help"],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        pages.append(f"## quiebra {' '.join(words)}".rstrip() + f"\n\n```text\n{said.strip()}\n```\n")
    return "\n".join(pages)


def main() -> int:
    shown = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    build = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else ROOT / "build" / "docs"
    workspace, site = build / "workspace", build / "site"
    copy_workspace(shown, workspace)
    copy_pages(workspace / "docs")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(workspace / "docs"), str(site)]
    done = subprocess.run(words, cwd=workspace, env=env, check=False, stderr=subprocess.PIPE, text=True)
    said = [line for line in done.stderr.splitlines() if line.strip() and not re.search(r"IPKernelApp|INFO traitlets", line)]
    print("\n".join(said), file=sys.stderr, end="\n" if said else "")
    if done.returncode == 0:
        print(site / "index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
