"""Access tokens of users who signed in to the API: signed, short-lived, and valid only as long as their session is."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import jwt
from sqlalchemy import Engine

from quiebra.environment import TOKEN_KEYS, token_keys
from quiebra.errors import IdentityError
from quiebra.identity.random_secrets import new_id, new_secret
from quiebra.identity.sessions import check_session, end_session, open_session, renew_session, session_user
from quiebra.identity.users import User, sign_in

ALGORITHM = "HS256"
ISSUER = "quiebra"
LIFETIME = dt.timedelta(minutes=15)
LEEWAY = dt.timedelta(seconds=30)
"""By how much clocks of two machines may differ."""
REQUIRED_CLAIMS = ["exp", "iat", "sub", "sid"]
SHORTEST_KEY = 32
"""Characters of a signing key."""
REFUSED = "the access token is wrong or has expired: get a new one"


@dataclass(frozen=True)
class SigningKeys:
    """Keys that sign access tokens, by id. The first signs, all are accepted: a new one is put first, and the former taken away
    once the tokens that it signed have expired."""

    keys: dict[str, str]

    @property
    def first(self) -> str:
        return next(iter(self.keys))


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gives: an access token for requests, and a refresh token that is valid once, for the next pair."""

    access_token: str
    refresh_token: str
    expires_in: int


def signing_keys() -> SigningKeys:
    """Return the keys of QUIEBRA_TOKEN_KEYS (``id:key,id:key``); without it a new one, so that tokens end with this process.

    IdentityError where it is written otherwise, or a key has fewer than 32 characters.
    """
    given = token_keys()
    if given is None:
        return SigningKeys({new_id(): new_secret()})
    pairs = [part.partition(":") for part in given.split(",")]
    if any(not re.fullmatch(r"[\w-]{1,32}", name) or len(key.strip()) < SHORTEST_KEY for name, _, key in pairs):
        raise IdentityError(f"{TOKEN_KEYS} is id:key,id:key, each key of {SHORTEST_KEY} characters or more; the first signs")
    return SigningKeys({name: key.strip() for name, _, key in pairs})


def issue_tokens(engine: Engine, keys: SigningKeys, name: str, password: str) -> Tokens:
    """Sign a user in and return the tokens of a new session. IdentityError as from `quiebra.identity.sign_in`."""
    user = sign_in(engine, name, password)
    refresh = open_session(engine, user, "api")
    return _tokens(keys, user, refresh)


def renew_tokens(engine: Engine, keys: SigningKeys, refresh_token: str) -> Tokens:
    """Return the next pair of tokens. A refresh token shown twice has been copied: its session ends. IdentityError."""
    session, refresh = renew_session(engine, refresh_token, "api")
    return _tokens(keys, session.user, refresh)


def revoke_tokens(engine: Engine, refresh_token: str) -> None:
    """End the session of a refresh token, and with it its access tokens. IdentityError where it is none that holds."""
    end_session(engine, check_session(engine, refresh_token, "api").session_id)


def token_user(engine: Engine, keys: SigningKeys, access_token: str) -> User:
    """Return the user of an access token, with today's role.

    IdentityError where it was not signed by one of the keys, has expired, or its session or user is no more.
    """
    return session_user(engine, _session_id(keys, access_token), "api")


def _tokens(keys: SigningKeys, user: User, refresh: str) -> Tokens:
    now = dt.datetime.now(dt.UTC)
    claims: dict[str, Any] = {"iss": ISSUER, "aud": ISSUER, "sub": user.name, "sid": refresh.partition(".")[0]}
    claims |= {"iat": now, "exp": now + LIFETIME, "jti": new_id()}
    signed = jwt.encode(claims, keys.keys[keys.first], ALGORITHM, headers={"kid": keys.first})
    return Tokens(signed, refresh, int(LIFETIME.total_seconds()))


def _session_id(keys: SigningKeys, access_token: str) -> str:
    try:
        key = keys.keys.get(str(jwt.get_unverified_header(access_token).get("kid")))
        if key is None:
            raise IdentityError(REFUSED)
        claims = jwt.decode(
            access_token, key, [ALGORITHM], {"require": REQUIRED_CLAIMS}, audience=ISSUER, issuer=ISSUER, leeway=LEEWAY
        )
    except (jwt.InvalidTokenError, ValueError):
        raise IdentityError(REFUSED) from None
    return str(claims["sid"])
