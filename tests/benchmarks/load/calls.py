"""Invoke requests, signed before the clock starts.

A SigV4 signature lives for minutes, so the measured loop only writes bytes that were made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One HTTP request and the answer it must get.

    `expected` is the body, compared as bytes and, where they differ, as JSON; None leaves the body to
    whoever collects it.
    """

    request: bytes
    status: int
    expected: bytes | None


class Endpoint(msgspec.Struct, frozen=True):
    """Where a system listens, and the key that may call it."""

    host: str
    port: int
    access_key: str
    secret_key: str
    region: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def invoke(endpoint: Endpoint, function: str, payload: bytes, *, kind: str = "RequestResponse") -> Call:
    """An Invoke call of a function that echoes. `kind` is the API's InvocationType."""
    path = f"/2015-03-31/functions/{function}/invocations"
    headers = {"X-Amz-Invocation-Type": kind, "Content-Type": "application/json"}
    request = sign(endpoint, "POST", path, headers, payload)
    if kind == "Event":
        return Call(request, 202, b"")
    return Call(request, 200, payload)


def sign(endpoint: Endpoint, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a signed HTTP/1.1 request."""
    request = AWSRequest(method=method, url=endpoint.url + path, headers=dict(headers), data=body)
    signer = SigV4Auth(Credentials(endpoint.access_key, endpoint.secret_key), "lambda", endpoint.region)
    signer.add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {endpoint.host}:{endpoint.port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def write_calls(path: Path, calls: Sequence[Call]) -> None:
    """Hand calls to the load generator's process."""
    path.write_bytes(msgspec.msgpack.encode(calls))


def read_calls(path: Path) -> list[Call]:
    """What `write_calls` wrote."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Call])
