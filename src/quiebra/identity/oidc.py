"""Sign-in by a company's OpenID Connect provider: authorization code flow with PKCE, state and nonce.

The user is found among those of the database; nobody is added, and the provider says nothing about roles. Sources: OpenID Connect
Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9700, section 2.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
from sqlalchemy import Engine, select

from quiebra.environment import OidcProvider
from quiebra.errors import IdentityError
from quiebra.identity.users import User
from quiebra.store.engine import read_only
from quiebra.store.tables import UserRow
from quiebra.text.person_input import person_key
from quiebra.text.words import translatable

ALGORITHMS = ("RS256", "ES256")
"""Signatures of ID tokens that are accepted."""
SECONDS = 10.0
"""How long the provider may take to answer."""
LARGEST_ANSWER = 1_000_000
"""Bytes of an answer of the provider."""
METADATA_SECONDS = 3600.0
"""How long the provider's addresses and keys are kept; unknown keys are asked for anew, at most once in `KEYS_AGAIN_SECONDS`."""
KEYS_AGAIN_SECONDS = 30.0
LEEWAY_SECONDS = 30
"""How far the clocks of the provider and of this machine may differ."""
ATTEMPT_SECONDS = 600.0
"""How long a sign-in may take at the provider."""
UNAVAILABLE = translatable(
    "the sign-in service does not answer, or answers something else: try again, or sign in with a password"
)
REFUSED = translatable("the sign-in was not completed, or took too long: start it again")
UNKNOWN_USER = translatable("the sign-in service knows you, but there is no user of that name here: ask an administrator")


@dataclass(frozen=True)
class SignInAttempt:
    """What a browser keeps, unseen by others, between leaving for the provider and coming back."""

    state: str
    nonce: str
    verifier: str
    started_at: float

    @classmethod
    def start(cls) -> SignInAttempt:
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), time.time())

    def fits(self, state: str) -> bool:
        """Return whether a provider's answer is to this attempt, and came in time."""
        fresh = 0 <= time.time() - self.started_at <= ATTEMPT_SECONDS
        return fresh and hmac.compare_digest(self.state.encode(), state.encode())

    @property
    def challenge(self) -> str:
        """The verifier's SHA-256, of PKCE."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class OidcClient:
    """A provider as this server asks it. Answers about its addresses and keys are kept for a while."""

    provider: OidcProvider
    _metadata: dict[str, Any] = field(default_factory=dict)
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    _asked_at: float = -METADATA_SECONDS
    _keys_at: float = -METADATA_SECONDS

    def address_to_sign_in(self, attempt: SignInAttempt, back_to: str) -> str:
        """Return the provider's address for a sign-in. back_to: this server's address that it sends the browser back to."""
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": back_to,
            "scope": "openid profile email",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        address = str(self.metadata()["authorization_endpoint"])
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"

    def claims(self, attempt: SignInAttempt, code: str, back_to: str) -> dict[str, Any]:
        """Return what the provider says about who signed in, for the code that the browser brought back.

        IdentityError if the provider does not answer, or its token is not of this attempt, not for this client, has expired, or
        is not signed by one of its keys.
        """
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back_to, "code_verifier": attempt.verifier}
        basic = (self.provider.client_id, self.provider.client_secret)
        answer = self._ask("POST", str(self.metadata()["token_endpoint"]), data=form, auth=basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise IdentityError(REFUSED)
        return self.check_token(token, attempt.nonce)

    def check_token(self, token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token. IdentityError as from `claims`."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise IdentityError(REFUSED)
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(str(header.get("kid", "")), str(header["alg"])),
                algorithms=[str(header["alg"])],
                audience=self.provider.client_id,
                issuer=self.provider.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
            )
        except jwt.PyJWTError:
            raise IdentityError(REFUSED) from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", self.provider.client_id) != self.provider.client_id or (several and "azp" not in claims):
            raise IdentityError(REFUSED)
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise IdentityError(REFUSED)
        return claims

    def metadata(self) -> dict[str, Any]:
        """Return the provider's discovery document. IdentityError if it is of another issuer, or has addresses without TLS."""
        if time.monotonic() - self._asked_at > METADATA_SECONDS:
            found = self._ask("GET", f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != self.provider.issuer or not all(_is_safe(found.get(name)) for name in names):
                raise IdentityError(UNAVAILABLE)
            self._metadata, self._asked_at = found, time.monotonic()
        return self._metadata

    def _key(self, key_id: str, algorithm: str) -> jwt.PyJWK:
        """Return a signing key of the provider; asked for anew where it is not known, as providers change keys."""
        age = time.monotonic() - self._keys_at
        if age > METADATA_SECONDS or (key_id not in self._keys and age > KEYS_AGAIN_SECONDS):
            listed = self._ask("GET", str(self.metadata()["jwks_uri"])).get("keys")
            self._keys, self._keys_at = _signing_keys(listed if isinstance(listed, list) else []), time.monotonic()
        key = self._keys.get(key_id)
        if key is None or key.algorithm_name != algorithm:
            raise IdentityError(REFUSED)
        return key

    def _ask(self, method: str, address: str, **options: Any) -> dict[str, Any]:
        """Return the JSON object that an address of the provider answers. IdentityError otherwise."""
        try:
            with (
                httpx.Client(timeout=SECONDS, follow_redirects=False) as client,
                client.stream(method, address, **options) as got,
            ):
                body = b""
                for part in got.iter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        raise IdentityError(UNAVAILABLE)
                if got.status_code != httpx.codes.OK:
                    raise IdentityError(REFUSED if method == "POST" and got.is_client_error else UNAVAILABLE)
                found = httpx.Response(200, content=body).json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            raise IdentityError(UNAVAILABLE) from None
        if not isinstance(found, dict):
            raise IdentityError(UNAVAILABLE)
        return found


def find_user(engine: Engine, claims: dict[str, Any]) -> User:
    """Return the user whose name is ``preferred_username``, or else a verified ``email``, of a provider's claims. IdentityError
    if there is none who is enabled."""
    named = [claims.get("preferred_username"), claims.get("email") if claims.get("email_verified") is True else None]
    with read_only(engine) as connection:
        for name in named:
            if not isinstance(name, str) or not person_key(name):
                continue
            row = connection.execute(select(UserRow.__table__).where(UserRow.user_id == person_key(name))).first()
            if row is not None and not row.disabled:
                return User(row.name, row.role)
    raise IdentityError(UNKNOWN_USER)


def _signing_keys(listed: list[Any]) -> dict[str, jwt.PyJWK]:
    """Return key id → key, of those that sign by an accepted algorithm."""
    found = {}
    for entry in listed:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "kid" not in entry:
            continue
        algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
        if algorithm is None or entry.get("alg", algorithm) != algorithm:
            continue
        try:
            found[str(entry["kid"])] = jwt.PyJWK(entry, algorithm)
        except jwt.PyJWTError:
            continue
    return found


def _is_safe(address: Any) -> bool:
    """Return whether an address of the provider is under TLS, or on this machine, as in tests."""
    parts = urlsplit(address) if isinstance(address, str) else urlsplit("")
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
