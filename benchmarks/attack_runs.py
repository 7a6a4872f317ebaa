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
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import SMALL, environment, new_workspace
from servers import Postbox, Receiver, mail_server, web_server
from sqlalchemy import Engine, text

from quiebra import store
from quiebra.files import read_json, write_json

RESULTS = Path(__file__).resolve().parent / "results" / "attack.json"
LONGEST = 900.0
"""Seconds after which an attempt that was let through counts as blocked."""
FAULTS = ("lost", "doubled", "blocked", "run twice", "left over", "owner not told")


@dataclass
class Target:
    """A workspace under attack: its database, what its servers took, and what an attempt is run with. light: no round makes a
    new run, so that one takes seconds."""

    root: Path
    url: str
    temporary: Path
    box: Postbox
    hook: Receiver
    env: dict[str, str]
    light: bool
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    clean: set[str] = field(default_factory=set)
    seconds: float = 30.0
    round: int = 0

    @property
    def engine(self) -> Engine:
        return store.connect(self.url)

    def fault(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.faults.append(f"round {self.round}: {kind}: {what}")


def prepare(root: Path, url: str, temporary: Path, mail: str, port: int, *, light: bool, seed: int) -> Target:
    """Return a finished workspace as a target: people to tell, and one cycle behind it."""
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["schedule"]["stale_days"] = None
    content["delivery"] |= {
        "owner": "boss@example.com", "dashboards": "https://risk.example.com/",
        "recipients": [{"address": f"reader{n}@example.com"} for n in range(6)],
        "channels": {"desk": {"kind": "mail", "digest_above": 1, "recipients": ["desk@example.com"]},
                     "hook": {"kind": "webhook", "digest_above": 1}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    env = environment(
        QUIEBRA_DATABASE_URL=url, QUIEBRA_SMTP_URL=mail, QUIEBRA_CHANNEL_HOOK=f"json://127.0.0.1:{port}/hook",
        TMPDIR=str(temporary), DVC_SITE_CACHE_DIR=str(temporary.parent / "dvc"), OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive",
        QUIEBRA_USER="attack",
    )  # fmt: skip
    return Target(root, url, temporary, Postbox(), Receiver(), env, light, random.Random(seed))


def change(target: Target) -> None:
    """Change params, so that the next cycle has a run to make, or at least rules to judge, and channels have to be told anew."""
    path = target.root / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    target.round += 1
    if target.light or target.rng.random() < 0.4:
        content["alerts"]["back_test"]["miss_cost"] = 30.0 + target.round
        content["report"]["status"] = ("DRAFT", "APPROVED")[target.round % 2]
    else:
        content["score"]["grades"]["AAA"] = 0.0003 + target.round * 1e-8
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with target.engine.begin() as connection:  # as if no alert had been raised, and nobody been told of some of them
        alerts = sorted(connection.scalars(text("SELECT alert_id FROM alertas")))
        connection.execute(text("DELETE FROM alertas"))
        for alert_id in target.rng.sample(alerts, len(alerts) // 2):
            connection.execute(text("DELETE FROM alertas_comunicadas WHERE alert_id = :id"), {"id": alert_id})


class Attempt:
    """A command under way, and what it says."""

    def __init__(self, target: Target, *words: str) -> None:
        self.target, self.before = target, finished_stages(target.root)
        self.out = tempfile.TemporaryFile("w+")  # noqa: SIM115  # read when the attempt is over
        words = (sys.executable, "-m", "quiebra.cli", *words)
        self.process = subprocess.Popen(
            words, cwd=target.root, env=target.env, stdout=self.out, stderr=self.out, start_new_session=True
        )

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return True
        return False

    def kill(self, alone: bool) -> None:
        """Kill it without warning: with everything that it started, or alone."""
        with contextlib.suppress(ProcessLookupError):
            (os.kill if alone else os.killpg)(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def said(self) -> str:
        self.out.seek(0)
        return self.out.read()

    @property
    def ran(self) -> list[str]:
        return re.findall(r"^Running stage '(\w+)'", self.said(), flags=re.M)


def finished_stages(root: Path) -> dict[str, str]:
    """Return stage → what DVC's record says of it; of a record that was cut short nothing."""
    with contextlib.suppress(OSError, yaml.YAMLError, TypeError, KeyError):
        content = yaml.load((root / "dvc.lock").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        return {name: json.dumps(stage, sort_keys=True) for name, stage in content["stages"].items()}
    return {}


def attack(target: Target, strike: Callable[[Target, Attempt], bool], strikes: int) -> None:
    """Make one round: attempts that are struck, and one that is let through; then count. strike: does its harm and says whether
    the attempt was still under way."""
    change(target)
    done: set[str] = set()
    struck, tries = 0, 0
    while struck < strikes and tries < 3 * strikes:
        tries += 1
        attempt = Attempt(target, "schedule" if target.rng.random() < 0.7 else "run")
        struck += strike(target, attempt)
        _twice(target, attempt, done)
        done |= {name for name, stage in finished_stages(target.root).items() if attempt.before.get(name) != stage}
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
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * max(0, min(1 << 16, shutil.disk_usage(target.root).free - left)))
            file.flush()
            if shutil.disk_usage(target.root).free <= left:
                break
    if not attempt.wait(LONGEST):
        attempt.kill(alone=False)
        target.fault("blocked", "an attempt did not end on a full disk")
    ballast.unlink()
    target.counts["full disks"] += 1
    if attempt.process.returncode:
        target.counts["attempts that a full disk ended"] += 1
        scheduled = "schedule" in attempt.process.args
        if scheduled and len(target.box.to("boss@example.com")) == told:
            target.fault("owner not told", attempt.said()[-1500:])
        if "Traceback" in attempt.said():
            target.counts["stack traces on a full disk"] += 1
    return True


def count(target: Target) -> None:
    """Hold what servers, database and folders have against what they should."""
    engine, run = target.engine, read_json(target.root / "data/scores/run.json")["run_id"]
    ids = Counter(str(message["Message-ID"]) for _, message in target.box.mails if "boss" not in str(message["To"]))
    posts = Counter(json.dumps(body, sort_keys=True) for _, _, body in target.hook.posts)
    for name, n in [*ids.items(), *posts.items()]:
        if n > 1:
            target.fault("doubled", f"{n} times {name[:100]}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT message_id, channel, state, about FROM bandeja_salida")).all()
        arrived = {name.strip("<>").split("@")[0] for name in ids}
        for message_id, channel, state, about in rows:
            if channel in ("report", "desk") and state != "doubtful" and message_id not in arrived:
                target.fault("lost", f"{channel} {about}: {state}")
        hooks = Counter(state for _, channel, state, _ in rows if channel == "hook")
        if not hooks["sent"] <= len(target.hook.posts) <= hooks["sent"] + hooks["doubtful"]:
            target.fault("lost", f"{dict(hooks)} messages to the webhook, which took {len(target.hook.posts)}")
        target.counts["doubtful, shown to a person"] = sum(state == "doubtful" for _, _, state, _ in rows)
        target.counts["messages"] = len(rows)
        if not any(channel == "report" and run in about for _, channel, _, about in rows):
            target.fault("lost", f"no mail with the report of run {run}")
        one = lambda words: connection.execute(text(words)).scalar()  # noqa: E731
        if one("SELECT COUNT(*) FROM ejecuciones WHERE is_current") != 1 or store.current_run(engine) != run:
            target.fault("lost", "the run that the database shows is not the files'")
        scored = len(read_scores(target.root))
        if one(f"SELECT COUNT(*) FROM predicciones WHERE run_id = '{run}' AND kind = 'current'") != scored:
            target.fault("lost", f"not {scored} scores in the database")
        if one("SELECT COUNT(*) - COUNT(DISTINCT rule || subject) FROM alertas WHERE state <> 'closed'"):
            target.fault("doubled", "an alert")
        if one("SELECT COUNT(*) FROM alertas") == 0:
            target.fault("lost", "every alert")
        for action in ("run published", "message sent", "cycle done"):
            if again := one(f"SELECT COUNT(*) - COUNT(DISTINCT subject) FROM auditoria WHERE action = '{action}'"):
                target.fault("doubled", f"{again} audit entries '{action}'")
        published = one("SELECT COUNT(*) FROM ejecuciones"), one("SELECT COUNT(*) FROM auditoria WHERE action = 'run published'")
        if published[0] > published[1]:
            target.fault("lost", "audit entry of a published run")
        if one("SELECT COUNT(*) FROM ciclos WHERE state = 'running'"):
            target.fault("left over", "a cycle that is still running")
        if one("SELECT COUNT(*) FROM turnos WHERE holder IS NOT NULL"):
            target.fault("left over", "a lease")
    if faults := store.verify(engine).faults:
        target.fault("lost", f"audit chain: {faults}")
    engine.dispose()
    for path in sorted(left_over(target) - target.clean):
        target.fault("left over", path)


def read_scores(root: Path) -> Any:
    from quiebra.files import read_table

    return read_table(root / "data/scores/scores.parquet")


def left_over(target: Target) -> set[str]:
    """Return every file and folder of the workspace but DVC's cache, unfinished files there, temporary files and processes."""
    root = target.root
    files = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_relative_to(root / ".dvc/cache")}
    files -= {name for name in files if "__pycache__" in name}
    files |= {str(path) for path in (root / ".dvc/cache").rglob("*.tmp")} | {str(path) for path in target.temporary.rglob("*")}
    if (locks := json.loads((root / ".dvc/tmp/rwlock").read_text() or "{}")) and any(locks.values()):
        files.add(f"locks of DVC: {locks}")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(root):
                files.add(f"process {' '.join(process.cmdline())[:120]}")
    return files


@contextlib.contextmanager
def target_in(folder: Path, base: Path, url: str | None, *, light: bool, seed: int) -> Iterator[Target]:
    """Give a target in a folder: a copy of a finished workspace, after a cycle that nobody disturbed."""
    folder.mkdir(exist_ok=True)
    root, temporary, box, hook = folder / "workspace", folder / "tmp", Postbox(), Receiver()
    shutil.copytree(base, root, symlinks=True)
    temporary.mkdir()
    with mail_server(box) as mail, web_server(hook) as port:
        target = prepare(root, url or f"sqlite:///{root / 'data/quiebra.db'}", temporary, mail, port, light=light, seed=seed)
        target.box, target.hook = box, hook
        for turn in range(1 if light else 2):
            if turn:
                change(target)
            began = time.monotonic()
            first = Attempt(target, "schedule")
            first.process.wait()
            assert first.process.returncode == 0, first.said()
            target.seconds = max(8.0, time.monotonic() - began)
        target.clean = left_over(target) | {"data/failed"}
        yield target


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


def rounds(target: Target, strike: Callable[[Target, Attempt], bool], name: str, wanted: int, save: Callable[[], None]) -> None:
    """Strike until so many strikes have been made, up to nine in a round."""
    while target.counts[name] < wanted:
        attack(target, strike, min(target.rng.randint(2, 9), wanted - target.counts[name]))
        print(f"{target.root}: round {target.round}: {dict(target.counts)}", flush=True)
        save()


def summary(target: Target) -> dict[str, Any]:
    return {"rounds": target.round, **dict.fromkeys(FAULTS, 0), **target.counts, "faults": target.faults}


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

    def run(name: str, place: Path, url: str | None, strike: Callable[[Target, Attempt], bool], kind: str, wanted: int) -> None:
        with target_in(place, base, url, light=False, seed=asked.seed) as target:

            def save() -> None:
                results[name] = summary(target)
                write_json(asked.results, results)

            rounds(target, strike, kind, wanted, save)

    share = asked.kills // len(asked.database)
    if "sqlite" in asked.database and share:
        run("kills, SQLite", folder / "sqlite", None, kill, "kills", share)
    if "postgresql" in asked.database and share:
        with server(folder) as url:
            run("kills, PostgreSQL", folder / "postgresql", url, kill, "kills", share)
    if asked.full:
        with small_disk(folder / "disk", 400) as disk:
            run("full disks, SQLite", disk, None, fill, "full disks", asked.full)
    shutil.rmtree(folder)


def _base(folder: Path) -> Path:
    new_workspace(folder, SMALL)
    subprocess.run([sys.executable, "-m", "quiebra.cli", "run"], cwd=folder, env=environment(), check=True)
    return folder


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL server on loopback; give the address of a database of it."""
    from conftest import postgres_server

    with postgres_server(folder / "server") as make:
        yield make("attack")


if __name__ == "__main__":
    main()
