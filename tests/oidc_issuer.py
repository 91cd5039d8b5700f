"""A token issuer on loopback: OIDC discovery and keys over real HTTP, tokens signed with its own RSA keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm


class OidcIssuer:
    """`broken` makes it answer 500; `asked` are the paths that it was asked for."""

    def __init__(self) -> None:
        self.broken = False
        self.asked: list[str] = []
        self.changes: dict[str, Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="oidc-issuer")
        self._number = 0
        self.rotate()

    def rotate(self) -> None:
        """From here on there is another key, and only that."""
        self._number += 1
        self.key_id = f"key-{self._number}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token but for what is said; a claim that is None is left out."""
        now = int(time.time())
        good = {"iss": self.url, "aud": "shop", "sub": "me", "iat": now, "nbf": now, "exp": now + 60}
        told = {name: value for name, value in (good | claims).items() if value is not None}
        return jwt.encode(
            told, self.key if key is None else key, "RS256", headers={"kid": self.key_id} | (headers or {})
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def documents(self) -> dict[str, Any]:
        """What it publishes, by path."""
        key = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        published = {**key, "kid": self.key_id, "use": "sig", "alg": "RS256"}
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"/.well-known/openid-configuration": discovery, "/keys": {"keys": [published]}} | self.changes

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                document = None if issuer.broken else issuer.documents().get(self.path)
                body = json.dumps(document).encode()
                self.send_response(500 if document is None else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@contextmanager
def oidc_issuer() -> Iterator[OidcIssuer]:
    """A running issuer for the block."""
    issuer = OidcIssuer()
    issuer.start()
    try:
        yield issuer
    finally:
        issuer.stop()
