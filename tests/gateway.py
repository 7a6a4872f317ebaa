"""A real nginx on loopback with the files of deploy/nginx: names, ports, folders and certificate are those of a test."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trustme
from conftest import ROOT
from servers import eventually, free_port

NGINX = shutil.which("nginx") or next(
    (path for path in ("/usr/sbin/nginx", "/usr/local/sbin/nginx") if Path(path).exists()), None
)
FILES = ROOT / "deploy" / "nginx"
NAME = "quiebra.example.com"
MAIN = """{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/start.log info;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/other.log;
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    {extra}
    include conf.d/*.conf;
}}
"""


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its addresses with and without TLS, its folder, and the authority that its certificate is from."""

    url: str
    plain_url: str
    folder: Path
    trust: ssl.SSLContext

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        kept = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers={**kept, **headers}, verify=self.trust, timeout=60)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log" / "quiebra.log").read_text().splitlines()]


def write_files(folder: Path, api: Sequence[int], dashboards: int, changes: Mapping[str, str]) -> tuple[int, int, trustme.CA]:
    """Write the gateway's files for processes on ports of loopback; return its ports with and without TLS, and the authority.

    changes: text of the files that a person edits → what takes its place.
    """
    secure, plain = free_port(), free_port()
    for name in ("conf.d", "log", "temp", "tls"):
        (folder / name).mkdir(parents=True)
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME, "localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls" / "fullchain.pem")
    certificate.private_key_pem.write_to_path(folder / "tls" / "key.pem")
    shutil.copytree(FILES / "quiebra", folder / "quiebra")
    given = (FILES / "quiebra.conf").read_text()
    servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=2 fail_timeout=10s;" for port in api)
    edited = {
        "    server 127.0.0.1:8890 max_fails=2 fail_timeout=10s;\n    server 127.0.0.1:8891 max_fails=2 fail_timeout=10s;": servers,
        "127.0.0.1:8866": f"127.0.0.1:{dashboards}",
        "    listen [::]:443 ssl default_server;\n": "",
        "    listen [::]:443 ssl;\n": "",
        "    listen [::]:80;\n": "",
        "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
        "listen 80": f"listen 127.0.0.1:{plain}",
        f"server_name {NAME}": f"server_name {NAME} localhost",
        "/etc/ssl/quiebra": str(folder / "tls"),
        "/var/log/nginx": str(folder / "log"),
        "/var/cache/quiebra-gateway": str(folder / "cache"),
        **changes,
    }
    for before, after in edited.items():
        assert before in given, before
        given = given.replace(before, after)
    (folder / "conf.d" / "quiebra.conf").write_text(given)
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user, extra="server_names_hash_bucket_size 64;"))
    return secure, plain, authority


def nginx(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert NGINX is not None
    start = [NGINX, "-e", str(folder / "start.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    return subprocess.run([*start, *words], capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def gateway(folder: Path, *, api: Sequence[int], dashboards: int, changes: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """Run the gateway until the block ends."""
    secure, plain, authority = write_files(folder, api, dashboards, changes or {})
    checked = nginx(folder, "-t")
    assert checked.returncode == 0, checked.stderr
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    started = nginx(folder)
    assert started.returncode == 0, started.stderr
    pid = int((folder / "nginx.pid").read_text())
    try:
        yield Gateway(f"https://localhost:{secure}", f"http://localhost:{plain}", folder, trust)
    finally:
        nginx(folder, "-s", "quit")
        eventually(lambda: not Path(f"/proc/{pid}").exists())
