"""Where function URLs are: below a path that works from everywhere, or at a host name of their own.

- `http://HOST:PORT/lightswitch/url/URL_ID/...`: no names to resolve; the function sees only what follows.
- `http://URL_ID.lambda-url.REGION.ANYTHING/...`: for those who point such names at a gateway, as AWS's are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

import msgspec

PATH_PREFIX = b"/lightswitch/url/"
_HOST_MARK = b".lambda-url."
_ID_LENGTH = 32
_ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ID = re.compile(rb"[a-z2-7]{32}")


class Address(msgspec.Struct, frozen=True):
    """What a request's address says: whose URL it is, and the path that the function sees."""

    url_id: str
    path: bytes


def new_url_id() -> str:
    """As AWS's are: 32 characters that a host name may have. With 160 random bits nobody guesses one."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))


def url_of(base_url: str, url_id: str) -> str:
    """The address to give away, for the `scheme://host:port` by which the gateway was reached."""
    return f"{base_url}{PATH_PREFIX.decode()}{url_id}/"


def read_address(raw_path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Address | None:
    """The function URL that a request is for; None where it is for something else."""
    if raw_path.startswith(PATH_PREFIX):
        url_id, slash, rest = raw_path[len(PATH_PREFIX) :].partition(b"/")
        return Address(url_id.decode("latin-1"), slash + rest or b"/")
    for name, value in headers:
        if name == b"host":
            url_id, mark, _ = value.partition(_HOST_MARK)
            return Address(url_id.decode(), raw_path) if mark and _ID.fullmatch(url_id) else None
    return None
