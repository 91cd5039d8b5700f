"""Invoke requests, signed before the clock starts.

A SigV4 signature lives for minutes, so the measured loop only writes bytes that were made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tests.signed_requests import Endpoint, sign


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One HTTP request and the answer it must get.

    `expected` is the body, compared as bytes and, where they differ, as JSON; None leaves the body to
    whoever collects it.
    """

    request: bytes
    status: int
    expected: bytes | None


def invoke(endpoint: Endpoint, function: str, payload: bytes, *, kind: str = "RequestResponse") -> Call:
    """An Invoke call of a function that echoes. `kind` is the API's InvocationType."""
    path = f"/2015-03-31/functions/{function}/invocations"
    headers = {"X-Amz-Invocation-Type": kind, "Content-Type": "application/json"}
    request = sign(endpoint, "POST", path, headers, payload)
    if kind == "Event":
        return Call(request, 202, b"")
    return Call(request, 200, payload)


def request_url(url: str, body: bytes) -> Call:
    """A POST to a public function URL whose function echoes the body."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    return Call(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, 200, body)


def write_calls(path: Path, calls: Sequence[Call]) -> None:
    """Hand calls to the load generator's process."""
    path.write_bytes(msgspec.msgpack.encode(calls))


def read_calls(path: Path) -> list[Call]:
    """What `write_calls` wrote."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Call])
