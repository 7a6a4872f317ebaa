"""Kills and full disks at random moments of runs and cycles, with real servers on loopback: what they lost, doubled, blocked, or
left behind.

    python benchmarks/attack_runs.py [--kills 200] [--full 50] [--seed 1] [--database sqlite postgresql] [--base FOLDER]

Works in a small workspace of its own (or a copy of the finished one in FOLDER). Each round changes params, so that there is a
run to make, to publish and to tell of; attempts at it are killed at random moments, or find the disk full, until one is let
through. Then everything is counted. Prints the counts and writes benchmarks/results/attack.json. Full disks need the right to
mount a tmpfs.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attacked import FAULTS, Attempt, Target, change, count, finished_stages, target_in
from conftest import SMALL, environment, new_workspace, postgres_server

from quiebra.io.files import write_json

RESULTS = Path(__file__).resolve().parent / "results" / "attack.json"
LONGEST = 900.0
"""Seconds after which an attempt that was let through counts as blocked."""
Strike = Callable[[Target, Attempt], bool]
"""Does its harm to an attempt and says whether that was still under way."""


def attack(target: Target, strike: Strike, strikes: int) -> None:
    """Make one round: attempts that are struck, and one that is let through; then count."""
    change(target)
    done: set[str] = set()
    struck, tries = 0, 0
    while struck < strikes and tries < 3 * strikes:
        tries += 1
        attempt = Attempt(target, "schedule" if target.rng.random() < 0.7 else "run")
        struck += strike(target, attempt)
        _twice(target, attempt, done)
        done |= {name for name, stage in finished_stages(target).items() if attempt.before.get(name) != stage}
    began = time.monotonic()
    last = Attempt(target, "schedule")
    if not last.wait(LONGEST):
        last.kill(alone=False)
        target.fault("blocked", f"not over after {LONGEST:.0f} s")
    elif last.process.returncode:
        target.fault("blocked", last.said()[-1500:])
    _twice(target, last, done)
    target.seconds = 0.5 * target.seconds + 0.5 * max(8.0, time.monotonic() - began)
    count(target)


def _twice(target: Target, attempt: Attempt, done: set[str]) -> None:
    for name in attempt.ran:
        if name in done:
            target.fault("run twice", name)


def moment(target: Target) -> float:
    """Return when to strike, in seconds: rather soon than late, since each attempt has less left to do than the one before."""
    return target.seconds * target.rng.random() ** 2


def kill(target: Target, attempt: Attempt) -> bool:
    """Kill an attempt at a random moment; one in five alone, so that what it started goes on."""
    if attempt.wait(moment(target)):
        return False
    attempt.kill(alone=target.rng.random() < 0.2)
    target.counts["kills"] += 1
    return True


def fill(target: Target, attempt: Attempt) -> bool:
    """Leave next to no space at a random moment of an attempt, until it has ended; then there is space again."""
    if attempt.wait(moment(target)):
        return False
    told, ballast = len(target.box.to("boss@example.com")), target.root.parent / "ballast"
    left = target.rng.choice((0, 0, 1, 4, 16, 64, 256)) * 1024
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(b"0" * max(0, min(1 << 16, shutil.disk_usage(target.root).free - left)))
            file.flush()
            if shutil.disk_usage(target.root).free <= left:
                break
    if not attempt.wait(LONGEST):
        attempt.kill(alone=False)
        target.fault("blocked", "an attempt did not end on a full disk")
    ballast.unlink(missing_ok=True)
    target.counts["full disks"] += 1
    if attempt.process.returncode:
        target.counts["attempts that a full disk ended"] += 1
        if "schedule" in attempt.process.args and not _told(target, attempt, told):
            target.fault("owner not told", attempt.said()[-1500:])
        if "Traceback" in attempt.said():
            target.counts["stack traces on a full disk"] += 1
            target.remarks.append(attempt.said()[attempt.said().index("Traceback") :][-1500:])
    return True


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Give a folder on a disk of its own; PermissionError where that is not allowed."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        folder.rmdir()
        raise PermissionError(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def _told(target: Target, attempt: Attempt, before: int) -> bool:
    """Whether the owner had a mail since, or, since the same failure of the same cycle is told once, one about it before."""
    mails = target.box.to("boss@example.com")
    cycles = set(re.findall(r'"cycle": "([\w-]+)"', attempt.said()))
    return len(mails) > before or any(cycle in f"{mail['Subject']}{mail}" for mail in mails for cycle in cycles)


def rounds(target: Target, strike: Strike, name: str, wanted: int, save: Callable[[], None]) -> None:
    """Strike until so many strikes have been made, up to nine in a round."""
    while target.counts[name] < wanted:
        attack(target, strike, min(target.rng.randint(2, 9), wanted - target.counts[name]))
        print(f"{target.root}: round {target.round}: {dict(target.counts)}", flush=True)
        save()


def summary(target: Target) -> dict[str, Any]:
    counts = {"rounds": target.round, **dict.fromkeys(FAULTS, 0), **target.counts}
    return {**counts, "faults": target.faults, "remarks": target.remarks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--full", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    results: dict[str, Any] = {"seed": asked.seed}
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    base = asked.base or _base(folder / "base")

    def run(name: str, place: Path, url: str | None, strike: Strike, kind: str, wanted: int) -> None:
        with target_in(place, base, url, light=False, seed=asked.seed) as target:

            def save() -> None:
                results[name] = summary(target)
                write_json(asked.results, results)

            rounds(target, strike, kind, wanted, save)

    share = asked.kills // len(asked.database)
    if "sqlite" in asked.database and share:
        run("kills, SQLite", folder / "sqlite", None, kill, "kills", share)
    if "postgresql" in asked.database and share:
        with postgres_server(folder / "server") as make:
            run("kills, PostgreSQL", folder / "postgresql", make("attack"), kill, "kills", share)
    if asked.full:
        with small_disk(folder / "disk", 800) as disk:
            run("full disks, SQLite", disk, None, fill, "full disks", asked.full)
    shutil.rmtree(folder)


def _base(folder: Path) -> Path:
    new_workspace(folder, SMALL)
    subprocess.run([sys.executable, "-m", "quiebra.cli", "run"], cwd=folder, env=environment(), check=True)
    return folder


if __name__ == "__main__":
    main()
