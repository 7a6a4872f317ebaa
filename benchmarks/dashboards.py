"""The dashboards as a reader feels them: first figure, answers to controls, ten readers at once, memory, and kernels by fork.

Serves finished runs and drives Chromium; prints a table and writes benchmarks/results/dashboards.json, an entry a source. Without
an argument, of a run on the demo panel that is made for it; with the American panel's file, of one on that too; with the folder
of a workspace, of what is there. Times are of this machine; ratios are what to compare.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import CHROMIUM, FLAGS, Served, browsing, leave, serving
from conftest import command, new_workspace
from jupyter_client.manager import AsyncKernelManager

from quiebra.dashboards.server.kernels import start_kernel_factory
from quiebra.io.files import read_json, write_json
from quiebra.items import VERSION_KEYS
from quiebra.services import portfolio
from quiebra.services.finished_run import FinishedRunView
from quiebra.workspace import Workspace

RESULTS = Path(__file__).resolve().parent / "results" / "dashboards.json"
FIGURE = ".q-kpi .value >> visible=true"
REFILL = 2.0
"""Seconds after which the pool has a warm kernel again."""
ANSWER = """async ([selector, act, value]) => {
  const shown = () => document.querySelector('.q-live .q-kpi .value')?.textContent;
  const before = shown(), start = performance.now();
  const done = new Promise((resolve) => {
    const look = () => shown() !== before && resolve(performance.now() - start);
    new MutationObserver(look).observe(document.querySelector('.q-live'), {childList: true, subtree: true, characterData: true});
    setTimeout(() => resolve(null), 5000);
  });
  const target = document.querySelector(selector);
  if (act === 'key') target.dispatchEvent(new KeyboardEvent('keydown', {key: value, bubbles: true}));
  else { target.value = value; target.dispatchEvent(new Event('input', {bubbles: true})); }
  return await done;
}"""


CLOCK = """
  const look = () => {
    const figure = [...document.querySelectorAll('.q-kpi .value')].some((node) => node.offsetParent);
    if (figure && !window.qFigure) requestAnimationFrame(() => setTimeout(() => { window.qFigure ??= performance.now(); }));
    if (document.body?.dataset.live && !window.qLive) window.qLive = performance.now();
  };
  const all = {childList: true, subtree: true, attributes: true, attributeFilter: ['data-live']};
  new MutationObserver(look).observe(document, all);
"""
"""The browser's own clock, from the click: when the first figure is painted, and when the widgets have taken over."""


def first_figure(open_page: Callable[..., Any], server: Served, page: str) -> tuple[float, float]:
    """Return seconds from the click to the first figure and to working widgets, in a browser that has kept nothing."""
    watched = open_page(server.url("health"), live=False)
    watched.page.add_init_script(CLOCK)
    watched.page.goto(server.url(page))
    watched.page.wait_for_function("window.qFigure && window.qLive", timeout=60_000)
    figure, live = watched.page.evaluate("[window.qFigure, window.qLive]")
    leave(watched)
    return figure / 1000, live / 1000


def answers(page: Any, selector: str, act: str, values: list[str]) -> dict[str, float]:
    """Return the spread of milliseconds from each change of a control to the changed figure; unseen: changes that none showed."""
    found = []
    for value in values:
        took = page.evaluate(ANSWER, [selector, act, value])
        if took is not None:
            found.append(float(took))
        page.wait_for_timeout(600)
    return {**spread(found), "unseen": len(values) - len(found)}


def spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median": statistics.median(times),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "changes": len(times),
    }


def proportional_memory(server: Served) -> tuple[float, int]:
    """Return megabytes of all processes of a server, shared pages counted once, and how many processes there are."""
    total, count, waiting = 0, 0, [server.process.pid]
    while waiting:
        pid = waiting.pop()
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                total += int(line.split()[1]) if line.startswith("Pss:") else 0
            count += 1
            waiting += [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]
        except OSError:
            continue
    return total / 1024, count


TEN = ["executive", "company", "portfolio", "stress", "model"] * 2


def ten_served(server: Served, pages: list[str]) -> float:
    """Return the seconds until ten readers, who ask for pages at the same moment, all have theirs whole, figures and kernel."""

    def read(page: str) -> None:
        content = urllib.request.urlopen(server.url(page), timeout=120).read()
        assert b"q-kpi" in content, page

    start = time.perf_counter()
    with ThreadPoolExecutor(len(pages)) as readers:
        list(readers.map(read, pages))
    return time.perf_counter() - start


def ten_browsers(server: Served) -> dict[str, float]:
    """Return the seconds until ten browser windows on this same machine all show figures, and until their widgets work; most is
    the browsers."""
    from playwright.async_api import async_playwright

    async def go() -> dict[str, float]:
        async with async_playwright() as program:
            browser = await program.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            tabs = [await (await browser.new_context()).new_page() for _ in TEN]
            start = time.perf_counter()

            async def visit(tab: Any, page: str) -> tuple[float, float]:
                await tab.goto(server.url(page), wait_until="commit", timeout=120_000)
                await tab.wait_for_selector(FIGURE, timeout=120_000)
                figure = time.perf_counter() - start
                await tab.wait_for_selector("body[data-live=yes]", state="attached", timeout=120_000)
                return figure, time.perf_counter() - start

            took = await asyncio.gather(*(visit(tab, page) for tab, page in zip(tabs, TEN, strict=True)))
            await browser.close()
            return {"figures": max(figure for figure, _ in took), "widgets": max(widgets for _, widgets in took)}

    return asyncio.run(go())


def kernel_start(provisioner: str, folder: Path) -> float:
    """Return the median seconds from starting a kernel to the executive page's figures, by fork or in the usual way."""
    code = "from quiebra.dashboards.pages.executive import ExecutivePage\nExecutive().draw()"

    async def once() -> float:
        start = time.perf_counter()
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc")
        await manager.start_kernel(cwd=str(folder), stdout=DEVNULL, stderr=DEVNULL)
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        reply = await client.execute_interactive(code, timeout=60, output_hook=lambda _message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
        took = time.perf_counter() - start
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        return took

    from jupyter_client.provisioning import KernelProvisionerFactory

    KernelProvisionerFactory.instance().default_provisioner_name = provisioner
    start_kernel_factory()
    return statistics.median([asyncio.run(once()) for _ in range(4)][1:])


def upload(base: FinishedRunView) -> float:
    """Return the seconds to score a file of 100,000 companies' statements."""
    import polars as pl

    import quiebra.dashboards.server.preloaded  # noqa: F401  # as every page's kernel has

    latest = base.statements.join(base.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi").drop("currency", "source")
    copies = [latest.with_columns(company_id=pl.col("company_id") + f"-{n}") for n in range(100_000 // latest.height + 1)]
    content = pl.concat(copies).head(100_000).write_csv().encode()
    start = time.perf_counter()
    held = portfolio.uploaded_portfolio(base, "many.csv", content)
    assert held.table.height == 100_000
    return time.perf_counter() - start


def measure(workspace: Workspace) -> dict[str, Any]:
    env = dict(os.environ)
    found: dict[str, Any] = {}
    with browsing(language="en") as open_page:
        with serving(workspace.root, env, "--no-token", "--pool", "0") as server:
            time.sleep(REFILL)
            cold = [first_figure(open_page, server, page) for page in ("executive", "company", "stress")]
            found["cold"] = {"first figure": max(f for f, _ in cold), "widgets": max(w for _, w in cold)}
        with serving(workspace.root, env, "--no-token") as server:
            processes, warm = proportional_memory(server)[1], []
            for page in ("executive", "company", "portfolio", "stress", "model") * 2:
                warm.append(first_figure(open_page, server, page))
                time.sleep(REFILL)
            found["warm"] = {
                "first figure, median": statistics.median(f for f, _ in warm),
                "first figure, worst": max(f for f, _ in warm),
                "widgets, median": statistics.median(w for _, w in warm),
            }
            os.utime(workspace.root / "params.yaml")  # as when somebody has decided something: no kernel is warm any more
            found["cold"]["first figure after a decision"] = first_figure(open_page, server, "company")[0]
            while proportional_memory(server)[1] < processes:  # until every page has warm kernels again
                time.sleep(REFILL)
            time.sleep(REFILL)
            opened = open_page(server.url("stress"))
            stress = opened.page
            stress.wait_for_selector(".q-chart[data-drawn]")
            handles = "[...document.querySelectorAll('.q-levers .noUi-handle')]"
            sliders = stress.evaluate(f"{handles}.map((handle, i) => {{ handle.id = `handle-${{i}}`; return handle.id; }})")
            found["answers, ms"] = {
                "economy": answers(stress, f"#{sliders[0]}", "key", ["PageUp", "PageUp", "PageDown"] * 8),
                "shock to firms": answers(stress, f"#{sliders[1]}", "key", ["PageDown", "PageDown", "PageUp"] * 8),
            }
            leave(opened)
            opened = open_page(server.url("company"))
            typed = opened.page
            typed.click("text=Type in a statement")
            typed.wait_for_function("document.querySelector('.q-live h1')?.textContent.includes('typed in')")
            typed.locator(".q-form .widget-vbox", has_text="Net income").locator("input").first.evaluate(
                "node => { node.id = 'income'; }"
            )
            income = float(typed.input_value("#income"))
            assets = float(typed.locator(".q-form .widget-vbox", has_text="Total assets").locator("input").first.input_value())
            values = [str(round(income - assets * (n % 4) / 4, 3)) for n in range(1, 25)]
            found["answers, ms"]["statement typed in"] = answers(typed, "#income", "type", values)
            leave(opened)
            time.sleep(REFILL)
            before, processes = proportional_memory(server)
            pages = [open_page(server.url(page)) for page in ("executive", "company", "portfolio", "stress", "model")]
            time.sleep(REFILL)
            after, more = proportional_memory(server)
            found["memory, MB"] = {
                "server and warm pool": before,
                "processes": processes,
                "each open page": (after - before) / len(pages),
                "processes with pages": more,
            }
            for watched in pages:
                leave(watched)
    with serving(workspace.root, env, "--no-token") as server:
        found["ten readers at once, s"] = {"served": ten_served(server, TEN)}
    with serving(workspace.root, env, "--no-token") as server:
        found["ten readers at once, s"]["served, all of one page"] = ten_served(server, ["company"] * 10)
    with serving(workspace.root, env, "--no-token") as server:
        found["ten readers at once, s"]["with ten browsers on the same cores"] = ten_browsers(server)
    fork, usual = kernel_start("quiebra-fork", workspace.root), kernel_start("local-provisioner", workspace.root)
    found["kernel to figures, s"] = {"forked": fork, "usual": usual, "ratio": usual / fork}
    found["100,000 companies uploaded, s"] = upload(FinishedRunView(workspace))
    return found


def lines(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from lines(value, indent + "    ")
        else:
            yield f"{indent}{name:<34} {value:,.2f}" if isinstance(value, float) else f"{indent}{name:<34} {value}"


def trial(folder: Path, ingest: dict[str, Any]) -> Workspace:
    """Return a workspace of its own with a finished run on a source."""
    new_workspace(folder, {"run": {"threads": os.cpu_count()}, "ingest": ingest})
    done = command(folder, "quiebra", "run")
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return Workspace(folder)


def workspaces(given: str, folder: Path) -> Iterator[Workspace]:
    """Give the workspaces to measure; see the top of this file."""
    if given and Path(given).is_dir():
        yield Workspace.find(given)
        return
    yield trial(folder / "demo", {"source": "demo"})
    if given:
        yield trial(folder / "american", {"source": "american", "american": {"path": str(Path(given).resolve())}})


def main() -> None:
    if CHROMIUM is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    given = sys.argv[1] if len(sys.argv) > 1 else ""
    if given and not Path(given).exists():
        sys.exit(f"there is no {given}: give the American panel's file, a workspace, or nothing")
    given = given and str(Path(given).resolve())
    with tempfile.TemporaryDirectory() as folder:
        for workspace in workspaces(given, Path(folder)):
            os.chdir(workspace.root)
            source = read_json(workspace.panel / "source.json")["source"]
            found = measure(workspace)
            print(f"\ndashboards on the {source} panel\n" + "\n".join(lines(found)), flush=True)
            results = read_json(RESULTS) if RESULTS.exists() else {}
            write_json(RESULTS, {**results, source: _rounded(found)})
        os.chdir(Path(__file__).parent)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
