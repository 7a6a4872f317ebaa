"""The server application: Voila with pre-heated, forked kernels, our own template, and no external addresses."""

from __future__ import annotations

import logging
import logging.config
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import plotly
import tornado.web
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config
from voila.app import Voila

from quiebra.dashboards.pages.base import PAGE_TITLES
from quiebra.dashboards.pages.visitor import READER, VISITOR_FOLDER
from quiebra.dashboards.server import handlers, sign_in
from quiebra.dashboards.server.accounts import Accounts
from quiebra.dashboards.server.limits import listen
from quiebra.dashboards.server.pool import KernelPool
from quiebra.dashboards.server.visitors import VisitorIdentityProvider
from quiebra.io.addresses import Network
from quiebra.logs import server_log_config
from quiebra.params import load_params
from quiebra.pipeline.forked_kernels import PROVISIONER, can_fork
from quiebra.workspace import Workspace

ASSETS = Path(__file__).parent / "assets"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
"""Content security policy: the browser may load files from this server only, even if a library asks for others."""

QUIET_PATHS = re.compile(r"/(assets|voila|state|health)(/|$)")
KERNEL_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
SESSION_CHECK_SECONDS = 15
"""Seconds between two looks at whether the sessions of open pages still hold."""
WARM_KERNEL_DELAY_SECONDS = 1.0
"""Seconds between a page's use of a warm kernel and the start of the next one."""


class DashboardsApp(Voila):
    """Voila application that serves the pages under their names."""

    workspace: Workspace
    visitors: Path
    accounts: Accounts
    gateway: tuple[Network, ...]
    template_paths: list[str]

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths = [str(ASSETS), *self.template_paths]

    def init_settings(self) -> dict[str, Any]:
        settings = super().init_settings()
        options = load_params(self.workspace).dashboards
        pool = KernelPool(self.kernel_manager, self.workspace, open_pages=options.open_pages, idle_minutes=options.idle_minutes)
        tokens = self.identity_provider.tokens
        context = handlers.ServerContext(self.workspace, pool, self.visitors, self.port, tokens, self.accounts)
        self.watch = PeriodicCallback(partial(handlers.close_ended_pages, context), SESSION_CHECK_SECONDS * 1000)
        self.watch.start()
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }
        if not tokens and not self.accounts.any():
            settings["allow_remote_access"] = False  # without tokens, only requests with this machine's name in Host are answered
        return {
            **settings,
            "headers": headers,
            "default_handler_class": handlers.NotFoundHandler,
            "quiebra": context,
            "log_function": _log_request,
        }

    def init_handlers(self) -> list[Any]:
        page = {"template_paths": self.template_paths, "config": self.config, "voila_configuration": self.voila_configuration}
        scripts = next(path for path in self.static_paths if Path(path, "voila.js").exists())
        ours = [
            (r"/", handlers.HomeHandler),
            (r"/health", handlers.HealthHandler),
            (r"/login", sign_in.LoginHandler),
            (r"/logout", sign_in.LogoutHandler),
            (r"/oidc/start", sign_in.OidcStartHandler),
            (r"/oidc/callback", sign_in.OidcCallbackHandler),
            (r"/state/([\w-]+)", handlers.StateHandler),
            (r"/assets/brand.css", handlers.BrandHandler),
            (
                r"/assets/(plotly.min.js)",
                handlers.LibraryFileHandler,
                {"path": str(Path(plotly.__file__).parent / "package_data")},
            ),
            (r"/assets/([a-z]+\.(?:css|js))", handlers.AssetHandler, {"path": str(ASSETS)}),
            (r"/voila/static/(.*)", handlers.LibraryFileHandler, {"path": str(Path(scripts).resolve())}),
            (r"/voila/labextensions/(.*)", handlers.ExtensionHandler, {"path": self.labextensions_path}),
            (rf"/({'|'.join(PAGE_TITLES)})", handlers.PageHandler, page),
            (r"/api/kernels/([\w-]+)/channels", handlers.KernelChannelsHandler),
            (r"/api/kernels/([\w-]+)", handlers.PageKernelHandler),
            (r"/voila/api/shutdown/([\w-]+)", handlers.CloseHandler),
        ]
        # of Voila's own handlers only the one that its script needs: the visitor's identity
        return [*ours, *(handler for handler in super().init_handlers() if handler[0].startswith("/api/me"))]

    def listen(self) -> None:
        self.app.listen = partial(listen, self.app, gateway=self.gateway)
        super().listen()


def _log_request(handler: tornado.web.RequestHandler) -> None:
    """Log a request without the query, which may hold a token. Of what pages ask by themselves, and of files, failures alone."""
    status, request = handler.get_status(), handler.request
    failed = status >= 400 and status != 404
    if not failed and QUIET_PATHS.match(request.path):
        return
    visitor = getattr(handler, "_jupyter_current_user", None)  # unset where the visitor could not be looked up
    what = {"method": request.method, "route": KERNEL_IDS.sub("{kernel}", request.path), "status": status}
    logging.getLogger("quiebra.dashboards.server.app").log(
        logging.ERROR if status >= 500 else logging.WARNING if failed else logging.INFO,
        "request",
        extra={
            **what,
            "ms": round(request.request_time() * 1000, 1),
            "user": getattr(visitor, "username", None),
            "address": request.remote_ip,
        },
    )


class TokenFilter(logging.Filter):
    """Removes tokens and codes from log records: an error's record contains the requested address."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except Exception:  # a format that does not fit its values: logging reports it
            return True
        record.msg, record.args = re.sub(r"(token|code|state)(=|%3D)[^&\s'\")]+", r"\1=…", said), ()
        return True


def voila_configuration(workspace: Workspace, tokens: dict[str, str], pool: int) -> Config:
    """Return Voila's configuration; params give the time after which an idle page's kernel is ended."""
    options = load_params(workspace).dashboards
    config = Config()
    config.VoilaConfiguration.update(
        {
            "preheat_kernel": pool > 0,
            "default_pool_size": pool,
            "template": "base",
            "allow_template_override": "NO",
            "allow_theme_override": "NO",
            "show_tracebacks": False,
            "file_allowlist": [],
            "http_keep_alive_timeout": 60,
            "extension_allowlist": ["@jupyter-widgets/jupyterlab-manager", "anywidget", "@voila-dashboards/widgets-manager8"],
            "resources": {"quiebra": handlers.template_values(workspace, "/")},
        }
    )
    config.VoilaExecutor.update({"timeout": 120, "iopub_timeout": 120})  # with less, pages on a busy machine lose their widgets
    config.MappingKernelManager.update(
        {"cull_idle_timeout": options.idle_minutes * 60, "cull_interval": 30, "cull_connected": False}
    )
    # a kernel that died has lost its page's state: its reader is notified, see `handlers.StateHandler`
    config.KernelManager.update({"transport": "ipc", "shutdown_wait_time": 0.2, "autorestart": False})
    config.VoilaKernelManager.fill_delay = (
        WARM_KERNEL_DELAY_SECONDS  # the page that took a warm kernel is painted before the next is made
    )
    config.VisitorIdentityProvider.tokens = tokens
    return config


def serve_dashboards(
    workspace: Workspace,
    *,
    tokens: dict[str, str],
    accounts: Accounts,
    host: str = "127.0.0.1",
    port: int = 8866,
    pool: int = 2,
    gateway: tuple[Network, ...] = (),
    announce: Callable[[str], None] = print,
) -> None:
    """Serve the dashboards until interrupted.

    tokens: person → token, see `quiebra.dashboards.server.access`; empty: everybody on this machine has access, or once there are
    users those who sign in. gateway: networks of a gateway before it, which visitors' addresses and schemes are believed from.
    announce: receives each person's address.
    """
    logging.config.dictConfig(server_log_config())
    visitors = Path(tempfile.mkdtemp(prefix="quiebra-visitors-"))
    os.environ[VISITOR_FOLDER] = str(visitors)
    if can_fork():
        os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = PROVISIONER
    app = DashboardsApp(
        config=voila_configuration(workspace, tokens, pool),
        ip=host,
        port=port,
        port_retries=0,
        open_browser=False,
        root_dir=str(workspace.root / "dashboards"),
        identity_provider_class=VisitorIdentityProvider,
        log_level=logging.ERROR,
        logging_config={"formatters": {"console": {"()": "quiebra.logs.JsonFormatter"}}},
    )
    app.workspace, app.visitors, app.accounts, app.gateway = workspace, visitors, accounts, gateway
    everywhere = ("0.0.0.0", "::")  # noqa: S104  addresses that a user may listen on; another one is shown for them
    shown = "localhost" if host in everywhere else f"[{host}]" if ":" in host else host
    for person, token in tokens.items() or {"users" if accounts.any() else READER: ""}.items():
        query = f"?token={token}" if token else ""
        announce(f"{person:<12} http://{shown}:{port}/{query}")
    for name in ("tornado.application", "tornado.general", "tornado.access"):
        logging.getLogger(name).addFilter(TokenFilter())
    try:
        app.initialize(argv=[])
        app.log.addFilter(TokenFilter())
        app.start()
    finally:
        shutil.rmtree(visitors, ignore_errors=True)
