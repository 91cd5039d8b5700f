"""Raw signed HTTP requests, for tests that need the bytes rather than a client."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


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


def sign(endpoint: Endpoint, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a signed HTTP/1.1 request."""
    request = AWSRequest(method=method, url=endpoint.url + path, headers=dict(headers), data=body)
    signer = SigV4Auth(Credentials(endpoint.access_key, endpoint.secret_key), "lambda", endpoint.region)
    signer.add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {endpoint.host}:{endpoint.port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body
