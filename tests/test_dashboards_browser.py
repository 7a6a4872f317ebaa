"""The dashboards in a real browser: they load, stay at home, answer, speak both languages, and survive bad input."""

import json
import os
import re
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from browser import CHROMIUM, Served, Watched, browsing, leave, serving
from conftest import command, copy_workspace, environment
from filelock import FileLock

from quiebra.alerts.lifecycle import list_alerts
from quiebra.dashboards.pages.base import PAGE_TITLES
from quiebra.provenance import hash_files
from quiebra.services.decisions import close_alert
from quiebra.store import connect
from quiebra.text.words import Words

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
NASTY = '<img src=x onerror=alert(1)><a href="https://evil.example">Acme'
Visit = Callable[..., Watched]


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished workspace, with a company whose name is a piece of HTML."""
    folder = copy_workspace(finished, tmp_path_factory.mktemp("served") / "workspace")
    riskiest = pl.read_parquet(folder / "data/scores/scores.parquet").sort("pd_12m", descending=True)["company_id"][0]
    path = folder / "data/panel/companies.parquet"
    pl.read_parquet(path).with_columns(
        name=pl.when(pl.col("company_id") == riskiest).then(pl.lit(NASTY)).otherwise("name")
    ).write_parquet(path)
    run = json.loads((folder / "data/scores/run.json").read_text())
    run["data"]["panel"] = hash_files((folder / "data/panel").glob("*.parquet"))
    (folder / "data/scores/run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    with serving(place, environment(), "--editor", "ana", "--editor", "luis") as server:
        yield server


@pytest.fixture(scope="module")
def opened() -> Iterator[Visit]:
    with browsing() as visit:
        yield visit


@pytest.fixture
def visit(opened: Visit) -> Iterator[Visit]:
    """Opens pages, and leaves them at the end of the test: only so many may be open at once."""
    pages: list[Watched] = []

    def go(*args: object, **options: object) -> Watched:
        pages.append(opened(*args, **options))
        return pages[-1]

    yield go
    for watched in pages:
        leave(watched)


def children(pid: int) -> list[int]:
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


def forked(server: Served) -> list[int]:
    """Return the processes of all kernels, of open pages and warm ones."""
    return [kernel for child in children(server.process.pid) for kernel in children(child)]


def text(watched: Watched, selector: str = "main") -> str:
    return watched.page.inner_text(selector)


def kpi(watched: Watched, title: str) -> str:
    return watched.page.locator(".q-live .q-kpi", has_text=title).first.locator(".value").inner_text()


@pytest.mark.parametrize("name", PAGE_TITLES)
def test_each_page_loads_in_both_languages_at_both_widths_without_error_or_outside_request(
    name: str, served: Served, visit: Visit
) -> None:
    first, run = {"en": "SIMULATED", "es": "SIMULADO"}, {"en": "run", "es": "ejecución"}
    for width, other, language in ((1280, 400, "en"), (400, 1280, "es")):
        watched = visit(served.url(name), width=width, language=language)
        page = watched.page
        if name not in ("settings", "work"):
            page.wait_for_selector(".q-chart[data-drawn]", timeout=30_000)
            page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
            page.wait_for_function(  # charts are drawn when they come into sight
                "[...document.querySelectorAll('.q-live .q-chart')].every((c) => !c.offsetParent || c.hasAttribute('data-drawn'))"
            )
        assert watched.errors == []
        assert watched.outside(served.address) == []
        assert page.locator("[href*='evil.example']").count() == 0, "a name made a link"
        assert first[language] in text(watched)
        assert not re.search(r"</\w|class=|&lt;", text(watched)), "markup shown as text"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert run[language] in page.locator(".q-foot >> visible=true").inner_text()
        assert page.evaluate("document.documentElement.lang") == language
        page.wait_for_timeout(600)
        unnamed = page.evaluate(
            "[...document.querySelectorAll('main button, main input, main select, main textarea, main .noUi-handle')].filter(e => "
            "e.offsetParent && !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.closest('label'))).map(e => e.outerHTML)"
        )
        assert unnamed == []
        assert page.title() == f"{Words(language)(PAGE_TITLES[name])} · Quiebra"
        assert not watched.asked_one_by_one  # a page asks for all its widgets' state at once
        page.set_viewport_size({"width": other, "height": 900})
        page.wait_for_function(f"document.documentElement.scrollWidth <= {other}")  # charts follow the window
        assert watched.errors == []
        leave(watched)


def test_the_first_page_lists_all_pages_and_drops_the_token_from_the_address(served: Served, visit: Visit) -> None:
    watched = visit(served.url(""), live=False)
    assert watched.page.locator(".q-door >> visible=true").count() == len(PAGE_TITLES)
    assert "token" not in watched.page.url
    watched.page.locator(".q-door >> visible=true").first.click()
    watched.page.wait_for_selector("body[data-live=yes]", state="attached")
    assert watched.errors == []


def test_figures_are_painted_before_the_widgets_scripts_start(served: Served, visit: Visit) -> None:
    page = visit(served.url("health"), live=False).page
    page.add_init_script("""
      new MutationObserver(() => {
        if (document.querySelector(".q-kpi .value")) requestAnimationFrame(() => setTimeout(() => { window.painted ??= performance.now(); }));
        if (document.querySelector("script[src*='voila.js']")) window.started ??= performance.now();
      }).observe(document, {childList: true, subtree: true});
    """)
    page.goto(served.url("executive"))
    page.wait_for_function("window.painted && window.started")
    assert page.evaluate("window.painted <= window.started")


def test_a_page_shows_no_other_company_than_its_address_asks_for(served: Served, visit: Visit, place: Path) -> None:
    """Pages are drawn in advance, of the riskiest company: whoever follows a link to another never sees that one's figures."""
    wanted = pl.read_parquet(place / "data/scores/scores.parquet").sort("pd_12m")["company_id"][0]
    name = pl.read_parquet(place / "data/panel/companies.parquet").filter(company_id=wanted)["name"][0]
    page = visit(served.url("settings")).page
    script = """() => [...document.querySelectorAll(".q-title h1")]
      .filter((node) => getComputedStyle(node).visibility === "visible").map((node) => node.textContent.trim())"""
    page.goto(served.address + f"company?company={wanted}", wait_until="commit")
    seen: set[str] = set()
    until = time.monotonic() + 60
    while not any(name in title for title in seen) and time.monotonic() < until:
        seen |= set(page.evaluate(script))
        time.sleep(0.03)
    assert len(seen) == 1 and name in seen.pop()


def test_language_and_theme_are_switched_and_kept(served: Served, visit: Visit) -> None:
    watched = visit(served.url("executive"), language="en")
    page = watched.page
    assert "Mean PD, one year" in text(watched)
    page.click("[data-speak=es]")
    page.wait_for_function("document.body.dataset.shown.startsWith('es')")
    page.wait_for_selector("text=PD media a un año")
    assert "," in kpi(watched, "PD media a un año")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-turn]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.goto(f"{served.address}model")
    page.wait_for_selector("body[data-live=yes]", state="attached")
    page.wait_for_selector("text=Ordenación por año")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert watched.errors == []


def test_a_table_filters_sorts_and_leads_to_the_company(served: Served, visit: Visit) -> None:
    watched = visit(served.url("portfolio"), language="en")
    page = watched.page
    table = page.locator(".q-table", has=page.locator("[aria-label='Companies of the portfolio']")).first
    table.locator("th button", has_text="Company").click()
    page.wait_for_function("document.querySelector('.q-live th[aria-sort=ascending] button')?.textContent.startsWith('Company')")
    table.locator("input").fill("company 7")
    page.wait_for_function(
        "[...document.querySelectorAll('.q-live td.q-company')].slice(0, 3).every(td => td.textContent.includes('company 7'))"
    )
    name = table.locator("td.q-company").first.inner_text()
    table.locator("td.q-company a").first.click()
    page.wait_for_selector("body[data-live=yes]", state="attached")
    page.wait_for_function(f"document.querySelector('.q-live h1')?.textContent.includes({json.dumps(name)})")
    assert "company 7" in name
    assert watched.errors == []


def test_a_company_is_found_while_typing_and_a_nasty_name_is_only_text(served: Served, visit: Visit) -> None:
    watched = visit(served.url("company"), language="en")
    page = watched.page
    page.on("dialog", lambda dialog: watched.errors.append("a script of the data ran"))
    page.wait_for_function(f"document.querySelector('.q-live h1')?.textContent.includes({json.dumps(NASTY)})")
    assert page.locator("main img").count() == 0
    field = page.locator(".q-search input")
    for typed in ("<img", "'; DROP TABLE empresas; --", "Simulated company 1"):
        field.fill(typed)
        page.wait_for_timeout(200)
    page.wait_for_selector("[role=option]")
    first = page.locator("[role=option]").first.inner_text()
    field.press("ArrowDown")
    field.press("Enter")
    page.wait_for_function(f"document.querySelector('.q-live h1').textContent.includes({json.dumps(first.split(' · ')[0])})")
    known = page.locator("[role=option]").all_inner_texts()
    name = first.split(" · ")[0]
    field.fill("Simulated company 2")
    field.press("Enter")  # at once: what is chosen is what was typed, not what was listed for the text before
    page.wait_for_function("document.querySelector('.q-live h1').textContent.includes('Simulated company 2')")
    page.click("text=Type in a statement")
    page.wait_for_function("document.querySelector('.q-live h1')?.textContent.includes('typed in')")
    field.fill(name)
    page.wait_for_function(
        f"[...document.querySelectorAll('[role=option]')].some((o) => o.textContent.startsWith({json.dumps(name)}))"
    )
    page.locator("[role=option]").first.click()  # also where it is the one that was shown before the form
    page.wait_for_function(f"document.querySelector('.q-live h1').textContent.includes({json.dumps(name)})")
    assert known
    with page.expect_download() as download:
        page.click("text=Tear sheet")
    assert first.split(" · ")[0] in Path(download.value.path()).read_text()
    assert watched.errors == []


def test_a_statement_is_typed_in_scored_and_checked_beside_the_field(served: Served, visit: Visit) -> None:
    watched = visit(served.url("company"), language="en")
    page = watched.page
    page.click("text=Type in a statement")
    page.wait_for_function("document.querySelector('.q-live h1')?.textContent.includes('typed in')")
    before = kpi(watched, "PD, one year")
    box = page.locator(".q-form .widget-vbox", has_text="Net income").locator("input").first
    box.fill("-900")
    page.wait_for_function(f"[...document.querySelectorAll('.q-live .q-kpi .value')][0].textContent !== {json.dumps(before)}")
    assets = page.locator(".q-form .widget-vbox", has_text="Total assets").locator("input").first
    assets.fill("-5")
    page.wait_for_selector(".q-fault >> text=Total assets must be above zero.")
    assert watched.errors == []


def test_an_upload_with_bad_rows_scores_the_rest_and_lists_them(
    served: Served, visit: Visit, place: Path, tmp_path: Path
) -> None:
    ids = pl.read_parquet(place / "data/scores/scores.parquet")["company_id"][:4].to_list()
    rows = ["company_id,exposure", f"{ids[0]},5", f"{ids[1]},many", f"{ids[2]},-3", f"{NASTY},2", f"{ids[3]},7"]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    watched = visit(served.url("portfolio"), language="en")
    page = watched.page
    page.set_input_files("input[type=file]", tmp_path / "mine.csv")
    page.wait_for_selector(".q-toast >> text=Companies scored: 2; rows left out: 3.")
    assert "mine.csv" in text(watched, ".q-title >> visible=true")
    assert kpi(watched, "Exposure") == "12.0"
    listed = text(watched, ".q-table:has([aria-label='Rows with a fault'])")
    assert re.search(r"3\s+exposure = 'many' is not a number", listed)
    assert NASTY in listed
    with page.expect_download() as download:
        page.click("button:text-is('CSV')")
    assert len(Path(download.value.path()).read_text().splitlines()) == 3
    with page.expect_download() as download:
        page.click("button:text-is('Excel')")
    assert pl.read_excel(download.value.path()).height == 2
    assert watched.errors == []


def test_a_file_of_the_wrong_kind_or_size_is_refused_and_the_page_stays(served: Served, visit: Visit, tmp_path: Path) -> None:
    watched = visit(served.url("portfolio"), language="es")
    page = watched.page
    before = kpi(watched, "Empresas")
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    page.set_input_files("input[type=file]", tmp_path / "x.pdf")
    page.wait_for_selector(".q-upload-note >> text=Solo se leen archivos")
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(100_000_000)
    page.set_input_files("input[type=file]", tmp_path / "large.csv")
    page.wait_for_selector(".q-upload-note >> text=100 MB")
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    page.set_input_files("input[type=file]", tmp_path / "wrong.csv")
    page.wait_for_selector(".q-toast >> text=use la plantilla")
    assert kpi(watched, "Empresas") == before
    assert watched.errors == []


def test_sliders_and_scenarios_move_portfolio_and_company(served: Served, visit: Visit) -> None:
    watched = visit(served.url("stress"), language="en")
    page = watched.page
    calm = kpi(watched, "Mean PD, one year")
    page.locator(".q-levers select").first.select_option(label="severe")
    page.wait_for_function(f"document.querySelector('.q-live .q-kpi .value').textContent !== {json.dumps(calm)}")
    severe = kpi(watched, "Mean PD, one year")
    assert float(severe.split("\xa0")[0]) > float(calm.split("\xa0")[0])
    handle = page.locator(".q-levers .noUi-handle").nth(1)
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"document.querySelector('.q-live .q-kpi .value').textContent !== {json.dumps(severe)}")
    before, after = text(watched, ".q-card:has-text('One company') .q-html p").split("→")
    assert before.split()[-2:] != after.split()[-2:]
    page.click("text=Back to now")
    page.wait_for_function(f"document.querySelector('.q-live .q-kpi .value').textContent === {json.dumps(calm)}")
    assert watched.errors == []


def test_no_error_vanishes_whatever_the_browser_sends(served: Served, visit: Visit, place: Path) -> None:
    watched = visit(served.url("executive"), language="es")
    page = watched.page
    page.evaluate(
        """async () => {
          const models = await Promise.all(Object.values(window.jupyterapp.widgetManager._models));
          const table = models.findLast((model) => model.get("query")); // those of the language before may still be there
          table.set("query", { nonsense: 1 });
          table.save_changes();
        }"""
    )
    toast = page.wait_for_selector(".q-toast[role=alert]")
    log_id = re.search(r"\b[0-9a-f]{8}\b", toast.inner_text())
    assert "Algo ha fallado" in toast.inner_text() and log_id
    assert log_id[0] in (place / "data/logs/dashboards.log").read_text()
    assert "Traceback" not in page.inner_text("body")


def test_settings_are_read_only_for_readers_and_two_editors_do_not_overwrite_each_other(
    served: Served, visit: Visit, place: Path
) -> None:
    reader = visit(served.url("settings"), language="en")
    assert reader.page.locator("button", has_text="Save").is_disabled()
    ana, luis = (visit(served.url("settings", person), language="en") for person in ("ana", "luis"))
    for who, value in ((ana, "0.55"), (luis, "0.66")):
        page = who.page
        line = page.locator(".q-fields > .widget-vbox", has_text="Loss given default").locator("input")
        line.fill(value)
        line.press("Enter")
        page.wait_for_selector(f".q-diff >> text=lgd: {value}")
        page.get_by_placeholder("Why is this changed?").fill("a test of two editors")
    ana.page.click("button:has-text('Save')")
    ana.page.wait_for_selector(".q-toast >> text=Saved.")
    assert re.search(r"\bana\b", text(ana, ".q-table >> nth=-1"))
    luis.page.click("button:has-text('Save')")
    luis.page.wait_for_selector(".q-toast >> text=somebody else changed the settings")
    assert "lgd: 0.55" in (place / "params.yaml").read_text()


def test_who_comes_without_a_token_is_asked_for_it(served: Served, visit: Visit) -> None:
    watched = visit(f"{served.address}executive", live=False, language="es")
    page = watched.page
    for given in ("wrong", served.tokens["luis"]):
        field = page.locator("input[type=password] >> visible=true")
        field.fill(given)
        with page.expect_navigation():
            field.press("Enter")
    page.wait_for_selector("body[data-live=yes]", state="attached")
    assert "luis" not in page.url
    assert not watched.outside(served.address)


def test_strangers_are_let_in_nowhere(served: Served) -> None:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    for path in ("", "executive", "company?token=wrong"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(served.address + path, timeout=10)
        assert refused.value.code in (302, 403)
    for path in (
        "voila/files/executive.ipynb",
        "voila/tree",
        "voila/render/executive.ipynb",
        "voila/api/contents",
        "params.yaml",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(f"{served.address}{path}", timeout=10)
        assert refused.value.code in (302, 403, 404)
    assert json.load(urllib.request.urlopen(f"{served.address}health")) == {"status": "ready"}


def test_a_newer_run_is_shown_at_the_next_visit_and_an_unfinished_one_says_so(place: Path, visit: Visit, tmp_path: Path) -> None:
    own = Path(shutil.copytree(place, tmp_path / "own", symlinks=True))
    with serving(own, environment(), "--no-token") as server:
        run = json.loads((own / "data/scores/run.json").read_text())
        (own / "data/scores/run.json").write_text(json.dumps(run | {"run_id": "feedfeedfeed"}))
        watched = visit(server.url("executive"), language="en")
        assert "feedfeedfeed" in text(watched)
        assert kpi(watched, "Alerts open") != "0"
        database = connect(f"sqlite:///{own / 'data/quiebra.db'}")
        for alert_id in list_alerts(database)["alert_id"]:
            close_alert(database, alert_id, "ana", "looked into")
        visit(server.url("executive"), language="en")  # a kernel that was warm before has drawn what stood before
        assert kpi(visit(server.url("executive"), language="en"), "Alerts open") == "0"
        until = time.monotonic() + 60
        while len(forked(server)) < 2 * len(PAGE_TITLES) + 3:  # warm ones, and three open pages'
            assert time.monotonic() < until, "not every page has warm kernels again"
            time.sleep(0.5)
        (own / "data/scores/run.json").unlink()
        watched = visit(server.url("executive"), language="en")
        assert "quiebra run" in text(watched)
        assert watched.errors == []


def test_only_so_many_pages_are_open_at_once_and_warm_kernels_count_for_none(place: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(place, tmp_path / "own", symlinks=True))
    params = own / "params.yaml"
    params.write_text(re.sub(r"open_pages: \d+", "open_pages: 3", params.read_text()))
    with serving(own, environment(), "--no-token") as server:

        def read(page: str) -> str:
            return urllib.request.urlopen(server.url(page), timeout=60).read().decode()

        assert all("q-kpi" in read(page) for page in ("executive", "company"))
        os.utime(params)  # as a decision does: the warm kernels are let go and others made
        assert "q-kpi" in read("executive")
        with pytest.raises(urllib.error.HTTPError) as refused:
            read("company")
        assert refused.value.code == 503
        assert "Too many pages are open" in refused.value.read().decode()


def test_an_open_page_tells_of_a_newer_run_and_of_a_lost_connection(place: Path, visit: Visit, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(place, tmp_path / "workspace", symlinks=True))
    with serving(folder, environment()) as server:
        watched = visit(server.url("stress"), language="es")
        page = watched.page
        news = page.locator(".q-news >> visible=true")
        assert news.count() == 0
        lock = FileLock(folder / "data/.run.lock")
        with lock:  # a run holds this
            page.evaluate("window.dispatchEvent(new Event('focus'))")
            page.wait_for_selector(".q-news >> text=Hay una ejecución en marcha")
        os.utime(folder / "data/scores/run.json", (0, 1))
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        page.wait_for_selector(".q-news >> text=Hay resultados más nuevos")
        with page.expect_response(lambda answer: "/state/" in answer.url):  # the new page has asked
            page.click(".q-news a >> visible=true")
        page.wait_for_selector("body[data-live=yes]", state="attached")
        page.wait_for_timeout(300)
        assert news.count() == 0
        kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
        assert page.evaluate(f"fetch('/state/{kernel}').then((answer) => answer.json())")["lives"]
        for kernel in forked(server):  # every one, as where the memory runs out
            os.kill(kernel, signal.SIGKILL)
        page.wait_for_timeout(500)
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        page.wait_for_selector(".q-news >> text=ha perdido la conexión")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0", "--no-token"), "can be reached by others"),  # noqa: S104  it is refused
        (("--no-token", "--editor", "ana"), "known by their tokens"),
        (("--editor", "<b>"), "use letters"),
        (("--editor", "reader"), "use letters"),
    ],
)
def test_the_launcher_refuses_what_is_not_safe(finished: Path, options: tuple[str, ...], words: str) -> None:
    done = command(finished, "quiebra", "dashboards", *options)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
