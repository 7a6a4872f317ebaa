"""Hashes of data, code and parameters, and the run id made from them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NUMBERS = ("sources", "panel", "features", "models", "validation", "risk")
"""The packages that decide a number; pictures, pages and the store do not."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Return the SHA-256 of a JSON-able object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return file name → SHA-256, for the record of what a run read."""
    return {path.name: sha256(path) for path in sorted(paths)}


def code_hash(packages: Iterable[str] = NUMBERS) -> str:
    """Return one hash over the source of every package that decides a number, or of those named."""
    package = Path(__file__).parent
    files = sorted(p for name in packages for p in (package / name).rglob("*.py"))
    files += [package / "items.py", package / "canonical.py"]
    return digest({p.relative_to(package).as_posix(): sha256(p) for p in files})


def run_id(parts: dict[str, Any]) -> str:
    """Return the id of a run: twelve hexadecimal digits from everything that made it. Same inputs, same id."""
    return digest(parts)[:12]


def git_revision(root: Path) -> str:
    """Return the checkout's commit, with ``+`` appended where files differ from it, or ``unknown`` where the workspace is no git
    repository of its own: a repository that it lies in says nothing of its code."""
    if not (root / ".git").exists():
        return "unknown"
    try:
        head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "-C", str(root), "status", "--porcelain", "-uno"], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def run_record(
    *, source: dict[str, Any], panel: dict[str, str], params: dict[str, Any], model_sha256: str, as_of: str,
    charge: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the record of a scoring run: what it read, with what parameters, code and model, and the id made from them.

    source: the content of source.json; panel: file → SHA-256 of the canonical tables. charge: standing of the model and the
    gates that it failed, which pages must say; it is no part of the id, since it changes no score.
    """
    parts = {
        "data": {"source": source["source"], "sha256": source["sha256"], "panel": panel},
        "params": {"ingest": source["params"], **params},
        "code_sha256": code_hash(),
        "model_sha256": model_sha256,
        "as_of": as_of,
    }
    return {"run_id": run_id(parts), "simulated": source["simulated"], **(charge or {}), **parts}
