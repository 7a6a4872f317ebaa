"""What the doctor says of a workspace's repositories, and which repository a run's code revision is of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import SMALL, new_workspace

from quiebra.doctor import Finding, check_installation
from quiebra.provenance import git_revision


def commit(folder: Path) -> str:
    """Make a folder a git repository with one commit and return it."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", folder.name], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    monkeypatch.chdir(folder)
    return list(check_installation())


def test_a_repository_around_the_workspace_says_nothing_of_its_code(tmp_path: Path) -> None:
    outer = commit(tmp_path)
    inside = new_workspace(tmp_path / "inside", SMALL)
    shutil.rmtree(inside / ".git")
    assert git_revision(tmp_path) == outer
    assert git_revision(inside) == "unknown"
    own = commit(inside)
    assert git_revision(inside).rstrip("+") == own != outer


def test_the_doctor_names_repositories_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path)
    inside = new_workspace(tmp_path / "inside", SMALL)
    assert not [finding for finding in found(inside, monkeypatch) if "repository at" in finding.what]
    for name in (".git", ".dvc"):
        shutil.rmtree(inside / name)
    said = {finding.what: finding for finding in found(inside, monkeypatch) if "repository at" in finding.what}
    assert set(said) == {f"no git repository at {inside}", f"no DVC repository at {inside}"}
    assert all(finding.mark == "FAIL" and finding.remedy for finding in said.values())
