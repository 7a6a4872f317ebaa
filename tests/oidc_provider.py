"""A small OpenID Connect provider on loopback, which signs in whom a test says and makes the mistakes that a test asks for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "quiebra", "a secret of the client"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """claims: of who signs in. change: applied to the ID token's claims; sign: makes the token; both for mistakes."""

    issuer: str
    key: rsa.RSAPrivateKey
    key_id: str = "k1"
    claims: dict[str, Any] = field(default_factory=lambda: {"preferred_username": "luis"})
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    sign: Callable[[dict[str, Any]], str] | None = None
    issued: dict[str, dict[str, str]] = field(default_factory=dict)
    down: bool = False

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }

    def keys(self) -> dict[str, Any]:
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}, {"kty": "oct", "kid": "k2", "k": "AAAA"}]}

    def token(self, nonce: str) -> str:
        now = int(time.time())
        whole = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 60, "nonce": nonce, **self.claims}
        claims = self.change(whole)
        return self.sign(claims) if self.sign else jwt.encode(claims, self.key, "RS256", headers={"kid": self.key_id})

    def exchange(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Return the answer to a code, which counts once; None where it is refused."""
        asked = self.issued.pop(form.get("code", ""), None)
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or authorization != basic or asked["code_challenge"] != challenge:
            return None
        if asked["redirect_uri"] != form.get("redirect_uri"):
            return None
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.token(asked["nonce"])}


@contextlib.contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, content: object, status: int = 200) -> None:
            self.send_response(503 if provider.down else status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            if path == "/authorize":
                asked = {name: values[0] for name, values in query.items()}
                code = f"code{len(provider.issued)}-{time.monotonic_ns()}"
                provider.issued[code] = asked
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
                self.end_headers()
                return
            known = {"/.well-known/openid-configuration": provider.discovery, "/keys": provider.keys}
            self.answer(known[path]() if path in known else {}, 200 if path in known else 404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            found = provider.exchange(form, self.headers.get("Authorization", ""))
            self.answer(found or {"error": "invalid_grant"}, 200 if found else 400)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}", new_key())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
