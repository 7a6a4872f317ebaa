"""Hashes of data, code and parameters, and the run id made from them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULT_PACKAGES = ("sources", "panels", "feature_engineering", "models", "validation", "risk")
"""Packages whose code affects results; plots, reports, pages and the store do not."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def json_sha256(content: Any) -> str:
    """Return the SHA-256 of a JSON-serializable object, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return file name → SHA-256 of the files that a run read."""
    return {path.name: file_sha256(path) for path in sorted(paths)}


def code_hash(packages: Iterable[str] = RESULT_PACKAGES) -> str:
    """Return one hash over the source code of ``packages``, by default those that affect results."""
    package = Path(__file__).parent
    files = sorted(p for name in packages for p in (package / name).rglob("*") if p.suffix in (".py", ".yml", ".po"))
    files += [package / "items.py", package / "canonical.py"]
    return json_sha256({p.relative_to(package).as_posix(): file_sha256(p) for p in files})


def run_id(parts: dict[str, Any]) -> str:
    """Return a run's id: twelve hexadecimal digits of the hash of all its inputs. Same inputs, same id."""
    return json_sha256(parts)[:12]


def git_revision(root: Path) -> str:
    """Return the checkout's commit, with ``+`` appended if tracked files differ from it; ``unknown`` if the workspace's root is
    not a git repository itself, since an enclosing one does not track its code."""
    if not (root / ".git").exists():
        return "unknown"
    try:
        head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "-C", str(root), "status", "--porcelain", "-uno"], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def run_record(
    *,
    source: dict[str, Any],
    panel: dict[str, str],
    params: dict[str, Any],
    model_sha256: str,
    as_of: str,
    charge: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the record of a scoring run: the data it read, its parameters, code and model, and the id made from them.

    source: the content of source.json; panel: file → SHA-256 of the canonical tables. charge: the model's standing and the gates
    it failed, shown as banners; not part of the id, since it changes no score.
    """
    parts = {
        "data": {"source": source["source"], "sha256": source["sha256"], "panel": panel},
        "params": {"ingest": source["params"], **params},
        "code_sha256": code_hash(),
        "model_sha256": model_sha256,
        "as_of": as_of,
    }
    return {"run_id": run_id(parts), "simulated": source["simulated"], **(charge or {}), **parts}
