"""Sign-in by an OpenID Connect provider, a real one on loopback: what it may say wrong, and what a browser may bring back."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from browser import serving
from conftest import copy_workspace, environment
from http_browser import Browser
from oidc_provider import CLIENT, SECRET, Provider, new_key, running_provider
from sqlalchemy import Engine

from quiebra import store
from quiebra.environment import OidcProvider, oidc_provider, redact_secrets
from quiebra.errors import IdentityError
from quiebra.identity import add_user, disable_user, enable_user
from quiebra.identity.oidc import OidcClient, SignInAttempt, find_user
from quiebra.workspace import Workspace

GOOD = "correct horse battery"
BACK = "http://127.0.0.1:1/oidc/callback"


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as running:
        yield running


@pytest.fixture
def client(provider: Provider) -> OidcClient:
    return OidcClient(OidcProvider(provider.issuer, CLIENT, SECRET))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = store.connect(f"sqlite:///{tmp_path / 'test.db'}")
    store.upgrade_schema(engine)
    ana = add_user(engine, "ana", "admin", GOOD, None)
    add_user(engine, "luis", "analyst", GOOD, ana)
    add_user(engine, "eva@example.com", "approver", GOOD, ana)
    return engine


def code_of(address: str) -> tuple[str, str]:
    """Follow the address to the provider as a browser does, and return the code and the state that it sends back."""
    with pytest.raises(urllib.error.HTTPError) as sent:
        urllib.request.build_opener(Stay).open(address, timeout=10)
    query = parse_qs(urlsplit(sent.value.headers["Location"]).query)
    return query["code"][0], query["state"][0]


def sign_in(client: OidcClient, attempt: SignInAttempt) -> dict[str, Any]:
    code, state = code_of(client.address_to_sign_in(attempt, BACK))
    assert attempt.fits(state)
    return client.claims(attempt, code, BACK)


def test_the_flow_names_who_signed_in_and_a_code_counts_once(client: OidcClient, provider: Provider, engine: Engine) -> None:
    attempt = SignInAttempt.start()
    address = client.address_to_sign_in(attempt, BACK)
    asked = parse_qs(urlsplit(address).query)
    assert asked["code_challenge_method"] == ["S256"] and attempt.verifier not in address and SECRET not in address
    code, _ = code_of(address)
    assert find_user(engine, client.claims(attempt, code, BACK)).name == "luis"
    with pytest.raises(IdentityError):
        client.claims(attempt, code, BACK)


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, "none", headers={"kid": "k1"})


def of_another_key(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, new_key(), "RS256", headers={"kid": "k1"})


def by_the_public_key_as_a_password(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "the public key, as its bytes would be " * 2, "HS256", headers={"kid": "k1"})


def of_an_unknown_key(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, new_key(), "RS256", headers={"kid": "k9"})


def tampered(claims: dict[str, Any]) -> str:
    head, body, signature = of_another_key(claims).split(".")
    other = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**other, "preferred_username": "ana"}).encode()).decode().rstrip("=")
    return ".".join((head, changed, signature))


@pytest.mark.parametrize("sign", [unsigned, of_another_key, by_the_public_key_as_a_password, of_an_unknown_key, tampered])
def test_a_token_that_no_key_of_the_provider_signed_is_refused(
    sign: Callable[[dict[str, Any]], str], client: OidcClient, provider: Provider
) -> None:
    provider.sign = sign
    with pytest.raises(IdentityError, match="not completed"):
        sign_in(client, SignInAttempt.start())
    provider.sign = None
    assert sign_in(client, SignInAttempt.start())["preferred_username"] == "luis"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "of another attempt"},
        {"exp": 1_000_000_000},
        {"aud": "another client"},
        {"aud": [CLIENT, "another client"]},
        {"azp": "another client"},
        {"iss": "http://127.0.0.1:9"},
        {"iat": 9_999_999_999},
        {"sub": None},
        {"nonce": None},
        {"exp": None},
    ],
    ids=lambda wrong: "-".join(f"{name}={value}" for name, value in wrong.items())[:40],
)
def test_a_token_for_another_time_client_or_attempt_is_refused(
    wrong: dict[str, Any], client: OidcClient, provider: Provider
) -> None:
    provider.change = lambda claims: {k: v for k, v in {**claims, **wrong}.items() if v is not None}
    with pytest.raises(IdentityError, match="not completed"):
        sign_in(client, SignInAttempt.start())


def test_a_code_is_of_no_use_without_the_browsers_verifier(client: OidcClient) -> None:
    mine, thiefs = SignInAttempt.start(), SignInAttempt.start()
    code, state = code_of(client.address_to_sign_in(mine, BACK))
    assert not thiefs.fits(state)
    with pytest.raises(IdentityError):
        client.claims(thiefs, code, BACK)
    assert not SignInAttempt(mine.state, mine.nonce, mine.verifier, mine.started_at - 3600).fits(state)


def test_the_provider_changes_its_key_and_may_be_away(client: OidcClient, provider: Provider) -> None:
    assert sign_in(client, SignInAttempt.start())
    provider.key, provider.key_id = new_key(), "k7"
    client._keys_at -= 60  # unknown keys are asked for anew, but not all the time
    assert sign_in(client, SignInAttempt.start())
    provider.down = True
    with pytest.raises(IdentityError, match="does not answer"):
        sign_in(client, SignInAttempt.start())
    away = OidcClient(OidcProvider("http://127.0.0.1:1", CLIENT, SECRET))
    with pytest.raises(IdentityError, match="does not answer"):
        away.address_to_sign_in(SignInAttempt.start(), BACK)


def test_addresses_without_tls_and_another_issuer_are_refused(client: OidcClient, provider: Provider) -> None:
    for name, wrong in (("issuer", "http://127.0.0.1:9"), ("token_endpoint", "http://evil.example/token"), ("jwks_uri", 5)):
        found = {**provider.discovery(), name: wrong}
        provider.discovery = lambda found=found: found  # type: ignore[method-assign]
        with pytest.raises(IdentityError, match="answers something else"):
            client.metadata()
        provider.discovery = Provider.discovery.__get__(provider)  # type: ignore[method-assign]


def test_the_user_is_one_who_is_there_and_an_address_must_be_verified(engine: Engine) -> None:
    from quiebra.identity import User

    assert find_user(engine, {"preferred_username": "LUIS"}).name == "luis"
    assert find_user(engine, {"email": "eva@example.com", "email_verified": True}).role == "approver"
    for claims in (
        {},
        {"email": "eva@example.com"},
        {"email": "eva@example.com", "email_verified": "true"},
        {"preferred_username": "nobody"},
        {"preferred_username": ["luis"]},
        {"preferred_username": ""},
        {"sub": "luis", "name": "luis"},
    ):
        with pytest.raises(IdentityError, match="no user of that name"):
            find_user(engine, claims)
    disable_user(engine, "luis", User("ana", "admin"))
    with pytest.raises(IdentityError):
        find_user(engine, {"preferred_username": "luis"})
    enable_user(engine, "luis", User("ana", "admin"))


def test_the_environment_names_a_provider_wholly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert oidc_provider() is None
    monkeypatch.setenv("QUIEBRA_OIDC_ISSUER", "https://login.example.com")
    with pytest.raises(IdentityError, match="QUIEBRA_OIDC_CLIENT_SECRET"):
        oidc_provider()
    monkeypatch.setenv("QUIEBRA_OIDC_CLIENT_ID", CLIENT)
    monkeypatch.setenv("QUIEBRA_OIDC_CLIENT_SECRET", SECRET)
    assert oidc_provider() == OidcProvider("https://login.example.com", CLIENT, SECRET)
    assert SECRET not in redact_secrets(f"cannot post {SECRET}")
    monkeypatch.setenv("QUIEBRA_OIDC_ISSUER", "http://login.example.com")
    with pytest.raises(IdentityError, match="https"):
        oidc_provider()


def test_a_browser_signs_in_by_the_provider_and_brings_back_nothing_else(finished: Path, tmp_path: Path) -> None:
    own = copy_workspace(finished, tmp_path / "own")
    engine = store.open_database(Workspace(own))
    ana = add_user(engine, "ana", "admin", GOOD, None)
    add_user(engine, "luis", "analyst", GOOD, ana)
    with running_provider() as provider:
        names = {"ISSUER": provider.issuer, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET}
        env = environment(**{f"QUIEBRA_OIDC_{name}": value for name, value in names.items()})
        log = tmp_path / "log"
        with serving(own, env, "--pool", "0", log=log) as server:
            luis = Browser(server)
            assert "Sign in with 127.0.0.1" in luis.ask("GET", "/login?next=%2Fcompany").text  # type: ignore[attr-defined]
            started = luis.ask("GET", "/oidc/start?next=%2Fcompany")
            assert started.status == 302
            code, state = code_of(started.headers["Location"])
            planted = Browser(server).ask("GET", f"/oidc/callback?code={code}&state={state}")  # another browser than who asked
            assert planted.status == 401 and "was not completed" in planted.text  # type: ignore[attr-defined]
            before = dict(luis.cookies)
            assert luis.ask("GET", f"/oidc/callback?code={code}&state=another").status == 401
            luis.cookies = before
            done = luis.ask("GET", f"/oidc/callback?code={code}&state={state}")
            assert done.status == 302 and done.headers["Location"] == "/company"
            assert "<b>luis</b>" in luis.ask("GET", "/").text  # type: ignore[attr-defined]
            provider.claims = {"preferred_username": "nobody"}
            stranger = Browser(server)
            code, state = code_of(stranger.ask("GET", "/oidc/start").headers["Location"])
            refused = stranger.ask("GET", f"/oidc/callback?code={code}&state={state}")
            assert refused.status == 401 and "no user of that name" in refused.text  # type: ignore[attr-defined]
            assert stranger.ask("GET", "/").status == 302
        said = log.read_text()
        assert SECRET not in said and code not in said and state not in said
