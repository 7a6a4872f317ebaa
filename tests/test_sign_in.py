"""Sign-in on the dashboards' server, once there are users: sessions, roles, open pages, and what a stranger or thief can do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Served, serving
from conftest import command, copy_workspace, environment
from http_browser import Browser
from sqlalchemy import Engine, text
from tornado.httpclient import HTTPClientError

from quiebra import store
from quiebra.dashboards.pages.visitor import VISITOR_FOLDER, current_visitor, deciding_person
from quiebra.dashboards.server.limits import FREE_GUESSES
from quiebra.errors import IdentityError
from quiebra.identity import Permission, add_user, change_role, disable_user, enable_user, end_session, open_session
from quiebra.store.audit import audit_entries
from quiebra.workspace import Workspace

GOOD = "correct horse battery"
PEOPLE = {"ana": "admin", "luis": "analyst", "eva": "approver", "rosa": "reader"}


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(finished, tmp_path_factory.mktemp("signed") / "workspace")


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
    with serving(place, environment(), "--pool", "0", log=log) as server:
        yield server


def signed_in(served: Served, name: str) -> Browser:
    browser = Browser(served)
    assert browser.sign_in(name, GOOD).status == 302
    return browser


def test_a_name_and_password_open_the_pages_and_signing_out_ends_them(served: Served, engine: Engine) -> None:
    luis = Browser(served)
    asked = luis.ask("GET", "/company?company=X")
    assert asked.status == 302 and asked.headers["Location"] == "/login?next=%2Fcompany%3Fcompany%3DX"
    answer = luis.sign_in("Luis", GOOD, "/login?next=%2Fcompany%3Fcompany%3DX")
    assert answer.status == 302 and answer.headers["Location"] == "/company?company=X"
    page = luis.ask("GET", "/company").text  # type: ignore[attr-defined]
    assert "<b>luis</b>" in page and "Analyst" in page and "Analista" in page and "<!--visitor-->" not in page
    kernel = luis.open("executive")
    assert luis.join(kernel) == 101
    before = dict(luis.cookies)
    form = {"X-XSRFToken": luis.cookies["_xsrf"], "Origin": f"http://{luis.netloc}"}
    left = luis.ask("POST", "/logout", "", **form)
    assert (left.status, left.headers["Location"]) == (302, "/login")
    luis.cookies = before  # a copy of the cookies opens nothing any more
    assert luis.ask("GET", "/executive").status == 302
    assert luis.join(kernel) in (403, 404)
    assert luis.ask("GET", f"/state/{kernel}").status == 403
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sesiones WHERE ended_at IS NOT NULL")).scalar() == 1


def test_the_session_cookie_is_out_of_reach_of_scripts_and_of_other_sites(served: Served) -> None:
    browser = Browser(served)
    given = browser.sign_in("luis", GOOD).headers.get_all("Set-Cookie")
    cookie = next(one for one in given if one.startswith("quiebra-session"))
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "samesite=lax", "path=/"}
    forged = Browser(served)
    forged.cookies = {**browser.cookies, "_xsrf": "x"}
    assert forged.ask("POST", "/logout", "").status == 403  # another site cannot sign her out
    assert browser.ask("GET", "/company").status == 200
    assert browser.ask("POST", "/login", "name=luis&password=x", Origin="http://evil.example").status in (403, 404)


def test_a_token_given_before_signing_in_is_not_taken_up(served: Served, engine: Engine) -> None:
    """Session fixation: what a thief plants in a browser stays worthless, and each sign-in has a token of its own."""
    thief, eva = signed_in(served, "rosa"), Browser(served)
    name = next(cookie for cookie in thief.cookies if cookie.startswith("quiebra-session"))
    planted = thief.cookies[name]
    eva.ask("GET", "/login")
    eva.cookies[name] = planted
    assert eva.sign_in("eva", GOOD).status == 302
    assert eva.cookies[name] != planted
    assert "<b>eva</b>" in eva.ask("GET", "/").text  # type: ignore[attr-defined]
    assert thief.ask("GET", "/").status == 302  # the session that was signed in before has ended
    again = dict(eva.cookies)
    assert eva.sign_in("eva", GOOD).status == 302
    assert eva.cookies[name] != again[name]
    stale = Browser(served)
    stale.cookies = again
    assert stale.ask("GET", "/").status == 302


def test_a_stolen_kernel_is_of_no_use_to_another_session_even_of_the_same_person(served: Served) -> None:
    luis, again, eva, stranger = (signed_in(served, name) for name in ("luis", "luis", "eva", "rosa"))
    stranger.cookies = {}
    kernel = luis.open("company")
    for thief in (again, eva, stranger):
        assert thief.join(kernel) in (403, 404)
        assert thief.ask("GET", f"/api/kernels/{kernel}").status in (403, 404)
        assert '"lives": true' not in thief.ask("GET", f"/state/{kernel}").text  # type: ignore[attr-defined]
        thief.post(f"/voila/api/shutdown/{kernel}")
    assert luis.join(kernel) == 101
    browser_before = dict(luis.cookies)
    assert luis.sign_in("eva", GOOD).status == 302  # another person in the same browser
    assert luis.join(kernel) == 404
    luis.cookies = browser_before
    assert luis.ask("GET", "/").status == 302
    for open_page in (again, eva):
        open_page.post("/logout")


def test_who_is_refused_learns_nothing_of_who_exists_and_guesses_are_limited_by_address(served: Served, log: Path) -> None:
    guesser = Browser(served, "127.0.0.21")
    answers = [guesser.sign_in(name, "wrong password " * 2) for name in ("luis", "nobody", "x" * 5000)]
    assert {answer.status for answer in answers} == {401}
    first, second = (answer.text.replace("luis", "").replace("nobody", "") for answer in answers[:2])  # type: ignore[attr-defined]
    strip = r'value="2|'
    assert "nombre o contraseña equivocados" in first and "wrong name or password" in first
    assert [line for line in first.splitlines() if strip not in line] == [
        line for line in second.splitlines() if strip not in line
    ]
    for _ in range(FREE_GUESSES - 3):
        guesser.sign_in("nobody", "wrong password")
    refused = guesser.sign_in("luis", GOOD)  # right, and not even looked at
    assert refused.status == 429 and int(refused.headers["Retry-After"]) >= 1
    assert Browser(served, "127.0.0.22").sign_in("luis", GOOD).status == 302
    assert GOOD not in log.read_text() and "wrong password" not in log.read_text()


def test_tokens_and_passwords_in_the_address_let_nobody_in(served: Served, log: Path) -> None:
    browser = signed_in(served, "luis")
    token = next(value for name, value in browser.cookies.items() if name.startswith("quiebra-session"))
    for path in (f"/executive?token={token}", f"/executive?name=luis&password={GOOD.replace(' ', '+')}"):
        assert Browser(served).ask("GET", path).status == 302
    assert Browser(served).ask("GET", "/executive", Authorization=f"token {token}").status == 302
    assert Browser(served).ask("GET", "/login?name=luis&password=x").status == 200
    assert token not in browser.ask("GET", "/").text and token not in log.read_text()  # type: ignore[attr-defined]
    assert token not in browser.ask("GET", "/api/me").text  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["signed out", "disabled", "idle", "expired"])
def test_an_open_page_ends_within_a_minute_of_its_session(end: str, served: Served, engine: Engine) -> None:
    rosa = signed_in(served, "rosa")
    kernel = rosa.open("executive")

    async def watch() -> float:
        wire = await rosa.wire(kernel)
        began = time.monotonic()
        with engine.begin() as connection:
            mine = "SELECT session_id FROM sesiones WHERE ended_at IS NULL AND user_id = 'rosa' ORDER BY created_at DESC"
            session_id = connection.execute(text(mine)).scalar()
            past = {"idle": "last_used_at", "expired": "expires_at"}.get(end)
            if past:
                connection.execute(
                    text(f"UPDATE sesiones SET {past} = '2026-01-01 00:00:00.000000' WHERE session_id = :id"),
                    {"id": session_id},
                )
        if end == "signed out":
            end_session(engine, session_id)
        elif end == "disabled":
            disable_user(engine, "rosa", by_ana(engine))
        while await asyncio.wait_for(wire.read_message(), 60) is not None:
            pass
        return time.monotonic() - began

    assert asyncio.run(watch()) < 60
    assert rosa.ask("GET", f"/state/{kernel}").status == 403
    assert '"sign_in": true' in rosa.ask("GET", f"/state/{kernel}").text  # type: ignore[attr-defined]
    assert rosa.join(kernel) in (403, 404)
    if end == "disabled":
        assert Browser(served, "127.0.0.31").sign_in("rosa", GOOD).status == 401
        enable_user(engine, "rosa", by_ana(engine))


def by_ana(engine: Engine) -> object:
    from quiebra.identity import User

    return User("ana", "admin")


def test_a_page_that_only_asks_how_it_is_does_not_keep_its_session_alive(served: Served, engine: Engine) -> None:
    eva = signed_in(served, "eva")
    kernel = eva.open("executive")
    used = "SELECT max(last_used_at) FROM sesiones WHERE user_id = 'eva' AND ended_at IS NULL"
    with engine.begin() as connection:
        connection.execute(text("UPDATE sesiones SET last_used_at = datetime(last_used_at, '-10 minutes') WHERE user_id = 'eva'"))
        before = connection.execute(text(used)).scalar()
    assert eva.ask("GET", f"/state/{kernel}").status == 200
    with engine.connect() as connection:
        assert connection.execute(text(used)).scalar() == before
    assert eva.ask("GET", "/").status == 200
    with engine.connect() as connection:
        assert connection.execute(text(used)).scalar() > before


def test_a_role_opens_what_it_may_and_no_more(served: Served) -> None:
    rosa, luis = signed_in(served, "rosa"), signed_in(served, "luis")
    for page in ("portfolio", "stress"):
        refused = rosa.ask("GET", f"/{page}")
        assert refused.status == 403 and "not for your role" in refused.text  # type: ignore[attr-defined]
        assert luis.open(page)
    assert rosa.open("executive")
    luis.post("/logout")


def test_too_many_sign_ins_at_once_are_told_to_come_back(served: Served) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(40) as pool:
        tries = pool.map(lambda n: Browser(served, f"127.0.1.{n}").sign_in("luis", GOOD).status, range(1, 41))
        statuses = list(tries)
    assert set(statuses) <= {302, 503} and statuses.count(302) >= 18


def test_a_kernel_knows_its_visitor_by_the_session_alone_and_the_role_of_now(
    engine: Engine, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISITOR_FOLDER, str(tmp_path))
    monkeypatch.setenv("VOILA_KERNEL_ID", "k1")
    workspace, ana = Workspace(place), by_ana(engine)
    assert not current_visitor(workspace).permissions  # nobody has opened the page yet
    for forged in ({"person": "ana"}, {"person": "luis", "role": "admin"}, {"session": "0" * 12}, {"session": "' OR 1=1 --"}):
        (tmp_path / "k1.json").write_text(json.dumps(forged))
        assert not current_visitor(workspace).permissions
        with pytest.raises(IdentityError):
            deciding_person(engine, Permission.DECIDE, "close an alert")
    with engine.connect() as connection:
        luis = connection.execute(text("SELECT name, role FROM usuarios WHERE user_id = 'luis'")).one()
    from quiebra.identity import User

    session_id = open_session(engine, User(*luis), "browser").partition(".")[0]
    (tmp_path / "k1.json").write_text(json.dumps({"session": session_id}))
    assert current_visitor(workspace).name == "luis" and current_visitor(workspace).may(Permission.DECIDE)
    assert deciding_person(engine, Permission.DECIDE, "close an alert") == "luis"
    with pytest.raises(IdentityError, match="may not approve a grade"):
        deciding_person(engine, Permission.APPROVE, "approve a grade")
    assert audit_entries(engine, 1)[0]["action"] == "denied"
    change_role(engine, "luis", "reader", ana)
    assert not current_visitor(workspace).may(Permission.DECIDE)
    with pytest.raises(IdentityError):
        deciding_person(engine, Permission.DECIDE, "close an alert")
    change_role(engine, "luis", "analyst", ana)
    end_session(engine, session_id)
    assert not current_visitor(workspace).permissions


def test_with_users_editors_and_open_doors_are_refused_and_it_is_said_how_to_sign_in(place: Path, engine: Engine) -> None:
    for option in (("--editor", "ana"), ("--no-token",)):
        done = command(place, "quiebra", "dashboards", *option)
        assert done.returncode == 1
        assert "signs in with name and password" in done.stderr and "Traceback" not in done.stderr


def test_the_first_user_closes_the_doors_of_a_server_that_runs(finished: Path, tmp_path: Path) -> None:
    own = copy_workspace(finished, tmp_path / "own")
    with serving(own, environment(), "--editor", "luis", "--pool", "0") as server:
        luis = Browser(server)
        kernel = luis.open("settings", server.tokens["luis"])

        async def watch() -> None:
            wire = await luis.wire(kernel)
            add_user(store.open_database(Workspace(own)), "ana", "admin", GOOD, None)
            while await asyncio.wait_for(wire.read_message(), 60) is not None:
                pass

        asyncio.run(watch())
        assert luis.ask("GET", f"/settings?token={server.tokens['luis']}").status == 302
        assert luis.ask("GET", "/settings").headers["Location"].startswith("/login")
        with pytest.raises(HTTPClientError):
            asyncio.run(luis.wire(kernel))
        assert luis.sign_in("ana", GOOD).status == 302
        assert luis.ask("GET", "/settings").status == 200
