"""Links under which a function's code can be fetched for a while, as GetFunction gives them out.

AWS answers with a presigned link to its own store; here the gateway serves the package itself. A link
names the code's digest and an end, sealed with a key derived from the installation's secrets, so that every
gateway accepts every other's links.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, urlencode

from gateway.auth import Credentials

LIFETIME_SECONDS = 600
PATH_PREFIX = "/lightswitch/v1/code/"


class CodeLinks:
    """Makes and checks links; the first of `credentials` seals, any of them is accepted."""

    def __init__(self, credentials: Iterable[Credentials], clock: Callable[[], float] = time.time) -> None:
        self._keys = [
            hmac.digest(key.secret_access_key.encode(), b"lightswitch code link", "sha256")
            for key in credentials
        ]
        self._clock = clock

    def link(self, base_url: str, digest: str) -> str:
        """A link to the package of that digest, below `base_url` (scheme and host)."""
        expires = str(int(self._clock()) + LIFETIME_SECONDS)
        query = urlencode({"expires": expires, "seal": _seal(self._keys[0], digest, expires)})
        return f"{base_url}{PATH_PREFIX}{digest}?{query}"

    def accepts(self, digest: str, query_string: str) -> bool:
        """Whether the query of a link to `digest` is one of ours and has not expired."""
        fields = parse_qs(query_string)
        expires, seal = fields.get("expires", [""])[0], fields.get("seal", [""])[0]
        if not expires.isascii() or not expires.isdigit() or int(expires) < self._clock():
            return False
        given = seal.encode()
        return any(hmac.compare_digest(_seal(key, digest, expires).encode(), given) for key in self._keys)


def _seal(key: bytes, digest: str, expires: str) -> str:
    return hmac.digest(key, f"{digest}:{expires}".encode(), "sha256").hex()
