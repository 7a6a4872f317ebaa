"""A workspace under attack: what its servers took, what an attempt at it does, and what is counted against it."""

from __future__ import annotations

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

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import environment
from servers import Postbox, Receiver, mail_server, web_server
from sqlalchemy import Connection, Engine, text

from quiebra import store
from quiebra.io.files import read_json, read_table

FAULTS = ("lost", "doubled", "blocked", "run twice", "left over", "owner not told")


@dataclass
class Target:
    """A workspace under attack: its database, what its servers took, and what an attempt is run with. light: no round makes a
    new run, so that one takes seconds. record: DVC's record of stages when it could last be read."""

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
    remarks: list[str] = field(default_factory=list)
    clean: set[str] = field(default_factory=set)
    record: dict[str, str] = field(default_factory=dict)
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
        "owner": "boss@example.com",
        "dashboards": "https://risk.example.com/",
        "recipients": [{"address": f"reader{n}@example.com"} for n in range(6)],
        "channels": {
            "desk": {"kind": "mail", "digest_above": 1, "recipients": ["desk@example.com"]},
            "hook": {"kind": "webhook", "digest_above": 1},
        },
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    env = environment(
        QUIEBRA_DATABASE_URL=url,
        QUIEBRA_SMTP_URL=mail,
        QUIEBRA_CHANNEL_HOOK=f"json://127.0.0.1:{port}/hook",
        TMPDIR=str(temporary),
        DVC_SITE_CACHE_DIR=str(temporary.parent / "dvc"),
        OMP_NUM_THREADS="1",
        OMP_WAIT_POLICY="passive",
        QUIEBRA_USER="attack",
    )
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
        self.target, self.before = target, finished_stages(target)
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


def finished_stages(target: Target) -> dict[str, str]:
    """Return stage → what DVC's record says of it; of a record that was cut short, or is being written, what it last said: else
    each stage of it would count as finished by the next attempt."""
    with contextlib.suppress(OSError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        content = yaml.load((target.root / "dvc.lock").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        target.record |= {name: json.dumps(stage, sort_keys=True) for name, stage in content["stages"].items() if "outs" in stage}
    return dict(target.record)


def count(target: Target) -> None:
    """Hold what servers, database and folders have against what they should."""
    engine, run = target.engine, read_json(target.root / "data/scores/run.json")["run_id"]
    with engine.connect() as connection:
        _count_messages(target, connection, run)
        _count_rows(target, connection, run)
    if store.current_run(engine) != run:
        target.fault("lost", "the run that the database shows is not the files'")
    if faults := store.verify_chain(engine).faults:
        target.fault("lost", f"audit chain: {faults}")
    engine.dispose()
    for path in sorted(left_over(target) - target.clean):
        target.fault("left over", path)


def _count_messages(target: Target, connection: Connection, run: str) -> None:
    """Each message arrived once: mails by their ids, posts by what they say; one whose arrival is doubtful may have."""
    ids = Counter(str(message["Message-ID"]) for _, message in target.box.mails if "boss" not in str(message["To"]))
    posts = Counter(json.dumps(body, sort_keys=True) for _, _, body in target.hook.posts)
    for name, n in [*ids.items(), *posts.items()]:
        if n > 1:
            target.fault("doubled", f"{n} times {name[:100]}")
    rows = connection.execute(text("SELECT message_id, channel, state, about FROM bandeja_salida")).all()
    arrived = {name.strip("<>").split("@")[0] for name in ids}
    for message_id, channel, state, about in rows:
        if channel in ("report", "desk") and state != "doubtful" and message_id not in arrived:
            target.fault("lost", f"{channel} {about}: {state}")
    hooks = Counter(state for _, channel, state, _ in rows if channel == "hook")
    if not hooks["sent"] <= len(target.hook.posts) <= hooks["sent"] + hooks["doubtful"]:
        target.fault("lost", f"{dict(hooks)} messages to the webhook, which took {len(target.hook.posts)}")
    if not any(channel == "report" and run in about for _, channel, _, about in rows):
        target.fault("lost", f"no mail with the report of run {run}")
    target.counts["doubtful, shown to a person"] = sum(state == "doubtful" for _, _, state, _ in rows)
    target.counts["messages"] = len(rows)


def _count_rows(target: Target, connection: Connection, run: str) -> None:
    """Scores, alerts, audit entries and cycles are there once, and nothing is half done."""

    def one(words: str) -> int:
        return connection.execute(text(words)).scalar_one()

    scored = read_table(target.root / "data/scores/scores.parquet").height
    if one(f"SELECT COUNT(*) FROM predicciones WHERE run_id = '{run}' AND kind = 'current'") != scored:
        target.fault("lost", f"not {scored} scores in the database")
    if one("SELECT COUNT(*) FROM ejecuciones WHERE is_current") != 1:
        target.fault("doubled", "the current run")
    if one("SELECT COUNT(*) - COUNT(DISTINCT rule || subject) FROM alertas WHERE state <> 'closed'"):
        target.fault("doubled", "an alert")
    if one("SELECT COUNT(*) FROM alertas") == 0:
        target.fault("lost", "every alert")
    _count_entries(target, one)
    if one("SELECT COUNT(*) FROM ciclos WHERE state = 'running'"):
        target.fault("left over", "a cycle that is still running")
    if one("SELECT COUNT(*) FROM turnos WHERE holder IS NOT NULL"):
        target.fault("left over", "a lease")


def _count_entries(target: Target, one: Callable[[str], int]) -> None:
    """What was done is in the audit table, and once. one: gives the number that a query asks for."""
    for action in ("run published", "message sent", "cycle done"):
        if again := one(f"SELECT COUNT(*) - COUNT(DISTINCT subject) FROM auditoria WHERE action = '{action}'"):
            target.fault("doubled", f"{again} audit entries '{action}'")
    for action, table in (("run published", "ejecuciones"), ("message sent", "bandeja_salida WHERE state = 'sent'")):
        if one(f"SELECT COUNT(*) FROM {table}") > one(f"SELECT COUNT(*) FROM auditoria WHERE action = '{action}'"):
            target.fault("lost", f"an audit entry '{action}'")


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
