"""Serve the API with uvicorn, in one process or several."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from quiebra import store
from quiebra.api.app import LOCAL_KEY, ROOT
from quiebra.environment import TOKEN_KEYS, redis_url, token_keys
from quiebra.identity import list_keys, users_exist
from quiebra.identity.random_secrets import hash_secret, new_secret
from quiebra.identity.tokens import signing_keys
from quiebra.io.addresses import Network, require_free_port
from quiebra.logs import server_log_config, server_log_level
from quiebra.workspace import Workspace

GRACE_SECONDS = 20
"""How long requests that are under way at the end may take."""
RESTART_SECONDS = 2.0
"""How long after the process that works on jobs has ended another is started."""


def serve_api(
    workspace: Workspace,
    *,
    host: str,
    port: int,
    workers: int = 1,
    gateway: tuple[Network, ...] = (),
    work: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve the API until interrupted. StoreError if the database does not answer.

    gateway: networks of a gateway before it, which addresses of callers are believed from (X-Forwarded-For). work: have
    a process beside it that works on jobs. announce: receives the address and, while there are neither users nor keys, a key that
    holds until the server stops.
    """
    require_free_port(host, port)
    redis_url()  # what is wrong with it is said before a process starts
    engine = store.open_database(workspace)
    os.environ[ROOT] = str(workspace.root)
    if token_keys() is None:  # all processes must know the same keys
        os.environ[TOKEN_KEYS] = ",".join(f"{name}:{key}" for name, key in signing_keys().keys.items())
    shown = f"[{host}]" if ":" in host else host
    announce(f"http://{shown}:{port}/v1")
    announce("it answers once it has read the model, in some seconds: /health/ready says when")
    if not users_exist(engine) and not any(key["revoked_at"] is None for key in list_keys(engine)):
        key = new_secret()
        os.environ[LOCAL_KEY] = hash_secret(key)
        announce(f"key until it stops or there are users, as there are no users and no keys yet: {key}")
    engine.dispose()
    with job_worker(workspace) if work else contextlib.nullcontext():
        _run(host, port, workers, gateway)


def _run(host: str, port: int, workers: int, gateway: tuple[Network, ...]) -> None:
    uvicorn.run(
        "quiebra.api.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=server_log_config(),
        log_level=server_log_level(),
        access_log=False,
        server_header=False,
        proxy_headers=bool(gateway),
        forwarded_allow_ips=[str(network) for network in gateway],
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=32 * 1024,
    )


@contextlib.contextmanager
def job_worker(workspace: Workspace) -> Iterator[None]:
    """Keep one process running that works on jobs (`quiebra work`), and end it with the block; it ends by itself where this
    process is killed."""
    words = [sys.executable, "-m", "quiebra.cli", "work", "--parent", str(os.getpid())]
    ended, running = threading.Event(), threading.Lock()
    processes = [subprocess.Popen(words, cwd=workspace.root)]

    def keep() -> None:
        while True:
            processes[0].wait()
            if ended.wait(RESTART_SECONDS):
                return
            with running:
                if not ended.is_set():
                    processes[0] = subprocess.Popen(words, cwd=workspace.root)

    before = signal.signal(signal.SIGTERM, _exit)  # uvicorn gives the signal on once it has stopped
    threading.Thread(target=keep, daemon=True).start()
    try:
        yield
    finally:
        with running:
            ended.set()
        processes[0].terminate()
        try:
            processes[0].wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            processes[0].kill()
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, frame: object) -> None:
    raise SystemExit(0)
