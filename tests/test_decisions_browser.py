"""Decisions in a real browser: people sign in, see to alerts, propose grades, approve and refuse them, and sign out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from browser import CHROMIUM, Served, Watched, browsing, leave, serving
from conftest import copy_workspace, environment
from sqlalchemy import Engine
from test_registry import decided

from quiebra import store
from quiebra.alerts.analyst_decisions import list_overrides, watch_list_entries
from quiebra.alerts.lifecycle import alert_history, list_alerts
from quiebra.identity import add_user
from quiebra.registry.register import read_registers
from quiebra.services.decisions import propose_override
from quiebra.store.audit import audit_entries
from quiebra.workspace import Workspace

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
GOOD = "correct horse battery"
PEOPLE = {"ana": "admin", "luis": "analyst", "eva": "approver", "otto": "model_owner", "rosa": "reader"}
GRADES = {"AAA": 0.0003, "BB": 0.02, "C": 1.0}


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(finished, tmp_path_factory.mktemp("decided") / "workspace")


@pytest.fixture(scope="module")
def engine(place: Path) -> Engine:
    engine = store.open_database(Workspace(place))
    ana = add_user(engine, "ana", "admin", GOOD, None)
    for name, role in PEOPLE.items():
        if name != "ana":
            add_user(engine, name, role, GOOD, ana)
    return engine


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def served(place: Path, engine: Engine, log: Path) -> Iterator[Served]:
    with serving(place, environment(), "--pool", "1", log=log) as server:
        yield server


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., Watched]]:
    with browsing() as visit:
        yield visit


@pytest.fixture
def enter(served: Served, opened: Callable[..., Watched]) -> Iterator[Callable[..., Watched]]:
    """Gives ``enter(name, page)``: opens a page in a new browser and signs in."""
    pages: list[Watched] = []

    def go(name: str, page: str, language: str = "en", width: int = 1280) -> Watched:
        watched = opened(f"{served.address}{page}", language=language, width=width, live=False)
        pages.append(watched)
        form = watched.page
        form.locator("input[name=name] >> visible=true").fill(name)
        password = form.locator("input[type=password] >> visible=true")
        password.fill(GOOD)
        password.press("Enter")
        form.wait_for_selector("body[data-live=yes]", state="attached", timeout=60_000)
        form.wait_for_function(f"document.body.dataset.shown?.startsWith('{language}')", timeout=60_000)
        return watched

    yield go
    for watched in pages:
        leave(watched)


def riskiest(place: Path, rank: int) -> str:
    scores = pl.read_parquet(place / "data/scores/scores.parquet").sort("pd_12m", descending=True)
    return str(scores["company_id"][rank])


def test_an_analyst_sees_to_an_alert_and_its_history_says_so(enter: Callable[..., Watched], engine: Engine) -> None:
    watched = enter("luis", "work")
    page = watched.page
    page.locator("button.q-choice", has_text="company").first.click()
    case = page.locator(".q-case")
    name = case.locator("h2").inner_text()
    case.get_by_label("Comment, or why it is closed").fill("called their bank")
    case.get_by_role("button", name="Acknowledge and assign").click()
    page.wait_for_selector(".q-toast.q-ok >> text=Acknowledged.")
    page.wait_for_function("document.querySelector('.q-case .q-table')?.textContent.includes('called their bank')")
    seen_to = list_alerts(engine).filter(pl.col("state") == "acknowledged")
    assert (
        set(seen_to["owner"]) == {"luis"} and set(seen_to["note"]) == {"called their bank"} and seen_to["subject"].n_unique() == 1
    )
    case.get_by_label("Comment, or why it is closed").fill("they answered")
    case.get_by_role("button", name="Comment only").click()
    page.wait_for_function("document.querySelector('.q-case .q-table')?.textContent.includes('they answered')")
    case.get_by_role("button", name="Close for good").click()  # without a reason
    page.wait_for_selector(".q-toast >> text=say why the alert is closed")
    case.get_by_label("Comment, or why it is closed").fill("the loan was repaid")
    case.get_by_role("button", name="Close for good").click()
    page.wait_for_selector(".q-toast >> text=Closed: the same cause")
    page.wait_for_function(f"![...document.querySelectorAll('button.q-choice')].some((b) => b.textContent === {name!r})")
    (alert_id, *_) = seen_to["alert_id"]
    assert [entry["action"] for entry in alert_history(engine, alert_id)] == [
        "alert raised",
        "alert acknowledged",
        "alert commented",
        "alert closed",
    ]
    assert watched.errors == []


def test_a_grade_takes_two_people_and_an_unapproved_one_is_refused(
    enter: Callable[..., Watched], engine: Engine, place: Path, served: Served, log: Path
) -> None:
    first, second = riskiest(place, 0), riskiest(place, 1)
    luis = enter("luis", f"company?company={first}")
    page = luis.page
    for company, reason in ((first, "the parent guarantees it"), (second, "the owner says so")):
        if company != first:
            page.goto(f"{served.address}company?company={company}")
            page.wait_for_selector("body[data-live=yes]", state="attached")
        page.wait_for_function(f"document.querySelector('.q-live .q-title .note')?.textContent.includes('{company}')")
        card = page.locator(".q-pending", has_text="Another grade than the model's")
        card.get_by_label("Grade").select_option("BB")
        card.get_by_label("Reason").fill(reason)
        card.get_by_role("button", name="Propose the grade").click()
        page.wait_for_selector(".q-toast >> text=Proposed: it waits for another person.")
        waits = page.locator(".q-pending", has_text="You asked for this")
        waits.wait_for()
        assert waits.get_by_role("button", name="Approve").count() == 0
    eva = enter("eva", "work", language="es").page
    eva.wait_for_selector("text=2 decisiones le esperan.")
    good = eva.locator(".q-pending", has_text="the parent guarantees it")
    good.get_by_role("button", name="Aprobar").click()
    eva.wait_for_selector(".q-toast >> text=Aprobada: cuenta desde ahora.")
    bad = eva.locator(".q-pending", has_text="the owner says so")
    bad.get_by_role("button", name="Rechazar").click()  # without a reason
    eva.wait_for_selector(".q-toast >> text=diga por qué")
    bad.get_by_label("Motivo, si se rechaza").fill("nothing in writing")
    bad.get_by_role("button", name="Rechazar").click()
    eva.wait_for_selector(".q-toast >> text=Rechazada.")
    eva.wait_for_selector("text=Nada espera a una segunda persona.")
    kept = {row["company_id"]: row for row in list_overrides(engine, store.current_source(engine), past=True).to_dicts()}
    assert (kept[first]["author"], kept[first]["approver"], kept[first]["ended_on"]) == ("luis", "eva", None)
    assert kept[second]["approver"] is None and kept[second]["ended_on"] is not None
    page.goto(f"{served.address}company?company={first}")
    page.wait_for_selector("text=approved by eva")
    page.wait_for_function("document.querySelector('.q-live')?.textContent.includes('Grade approved')")

    (cookie,) = [c for c in page.context.cookies() if c["name"].startswith("quiebra-session")]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax" and cookie["expires"] == -1
    assert page.evaluate("document.cookie").find("quiebra-session") == -1
    secret = cookie["value"].partition(".")[2]
    assert not [url for url in luis.requests if secret in url or "token=" in url or "password" in url]
    assert secret not in page.content() and secret not in log.read_text() and GOOD not in log.read_text()
    stored = (place / "data/quiebra.db").read_bytes()
    assert secret.encode() not in stored and GOOD.encode() not in stored
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.go_back()
    page.wait_for_url("**/login**")
    assert page.locator("input[name=name] >> visible=true").count() == 1
    assert not [c for c in page.context.cookies() if c["name"].startswith("quiebra-session")]
    assert luis.outside(served.address) == []


def test_what_a_reader_may_not_do_is_not_shown_and_a_crafted_message_is_refused(
    enter: Callable[..., Watched], engine: Engine, place: Path
) -> None:
    company = riskiest(place, 2)
    number = propose_override(engine, company, "BB", "luis", "a test of readers", GRADES)
    watched = enter("rosa", f"company?company={company}")
    page = watched.page
    page.wait_for_selector("text=Decisions on this company")
    page.wait_for_function("document.querySelector('.q-live')?.textContent.includes('a test of readers')")
    for name in ("Propose the grade", "Put it on the watch list", "Approve", "Refuse", "Withdraw", "Type in a statement"):
        assert page.get_by_role("button", name=name).filter(visible=True).count() == 0
    assert page.locator(".q-head nav a >> visible=true").all_inner_texts() == [
        "Executive",
        "Decisions",
        "Company",
        "Model",
        "Settings",
    ]
    before = audit_entries(engine, 1)[0]["entry_id"]
    page.evaluate(
        """async () => {
          const models = await Promise.all(Object.values(window.jupyterapp.widgetManager._models));
          for (const name of ["Propose the grade", "Put it on the watch list"]) {
            const reasons = models.filter((model) => model.get("placeholder") === "It is kept with the decision");
            for (const reason of reasons) { reason.set("value", "as I say so"); reason.save_changes(); }
            const button = models.findLast((model) => model.get("description") === name);
            button.set("disabled", false);
            button.save_changes();
            button.send({ event: "click" });
          }
        }"""
    )
    page.wait_for_selector(".q-toast >> text=may not propose a grade")
    page.wait_for_selector(".q-toast >> text=may not keep the watch list")
    entries = [entry for entry in audit_entries(engine, 10) if entry["entry_id"] > before]
    assert {(entry["who"], entry["action"]) for entry in entries} == {("rosa", "denied")}
    source = store.current_source(engine)
    assert company not in watch_list_entries(engine, source)["company_id"]
    assert list_overrides(engine, source, past=True).filter(pl.col("company_id") == company)["override_id"].to_list() == [number]


def test_the_page_of_decisions_fits_a_telephone_in_both_languages(enter: Callable[..., Watched]) -> None:
    for language in ("en", "es"):
        watched = enter("eva", "work", language=language, width=380)
        page = watched.page
        page.locator("button.q-choice").nth(2).click()
        page.locator(".q-case").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        assert watched.errors == []


def test_a_model_owner_changes_settings_in_forms_with_numbers_as_she_types_them(
    enter: Callable[..., Watched], place: Path
) -> None:
    page = enter("otto", "settings", language="es").page
    page.locator("button.q-choice", has_text="PD alta").click()
    editor = page.locator(".q-setting-form", has=page.locator("h3", has_text="PD alta"))
    high = editor.get_by_label("Alerta desde (%)")
    high.fill("17,5")
    high.press("Enter")
    page.wait_for_selector(".q-diff >> text=raise: 0.175")
    day = page.locator(".q-setting-form").get_by_label("Día del mes")
    day.select_option("9")
    page.wait_for_selector("text=Los ciclos se ejecutan el día 9 de cada mes a las 06:00 (UTC).")
    bound = page.locator(".q-setting-form").get_by_label("hasta una PD del, %").first
    bound.fill("0,04")
    bound.press("Enter")
    page.wait_for_selector(".q-diff >> text=AAA: 0.0004")
    page.get_by_placeholder("¿Por qué se cambia?").fill("the committee of May")
    page.get_by_role("button", name="Guardar").click()
    page.wait_for_selector(".q-toast >> text=Guardado")
    text = (place / "params.yaml").read_text()
    assert "raise: 0.175" in text and "cron: 0 6 9 * *" in text and "AAA: 0.0004" in text


def test_a_model_is_put_in_charge_by_two_people_and_rolled_back_by_one(enter: Callable[..., Watched], place: Path) -> None:
    w = Workspace(place)
    before = read_registers(w)["demo"].champion
    after, _ = decided(w, "trained later")
    assert after != before

    def in_charge() -> str | None:
        return read_registers(w)["demo"].champion

    otto = enter("otto", "model").page
    forms = otto.locator(".q-pending", has_text="Put a model in charge, or go back")
    offered = forms.get_by_label("Model")
    offered.select_option(
        label=next(text for text in offered.locator("option").all_inner_texts() if text.startswith(str(before)))
    )
    forms.locator(".widget-checkbox", has_text="although it ranks worse").locator("input").check()
    forms.get_by_role("button", name="Propose it").click()
    otto.wait_for_selector(".q-toast >> text=Proposed: it waits for another person.")
    assert in_charge() == after
    eva = enter("eva", "work").page
    proposed = eva.locator(".q-pending", has_text=f"Model {before} in charge")
    assert "even if it ranks worse" in proposed.inner_text()
    proposed.get_by_role("button", name="Confirm, even if it ranks worse").click()
    eva.wait_for_selector(".q-toast >> text=Confirmed.")
    assert in_charge() == before
    forms.get_by_role("button", name="Roll back to the model before").click()
    forms.get_by_role("button", name="Yes, roll back now").click()
    otto.wait_for_selector(".q-toast >> text=The model before is in charge again.")
    assert in_charge() == after
    eva.reload()
    eva.wait_for_selector("body[data-live=yes]", state="attached")
    eva.locator(".q-pending", has_text=f"Rollback to model {after}").get_by_role("button", name="Confirm").click()
    eva.wait_for_selector(".q-toast >> text=Confirmed.")
