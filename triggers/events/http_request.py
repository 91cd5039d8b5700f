"""An HTTP request as a plain value: what events of function URLs and of HTTP API routes are built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Headers = list[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case, in the order of arrival, repeated where they came repeatedly."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Headers about one connection, never passed on (RFC 9110, 7.6.1)."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and where it was received.

    `path` is what the event shows: AWS gives it percent-decoded behind an HTTP API, and as it was sent behind
    a function URL. `query_string` is as it was sent. `source_ip` is the address of the client. `authorizer`
    is what the format has under `requestContext.authorizer`; absent where nobody authorized.
    """

    method: str
    path: str
    query_string: str = ""
    headers: Headers = []
    body: bytes = b""
    source_ip: str
    protocol: str = "HTTP/1.1"
    account_id: str
    api_id: str
    domain_name: str
    request_id: str
    time_ms: int
    route_key: str = "$default"
    stage: str = "$default"
    path_parameters: Mapping[str, str] = {}
    stage_variables: Mapping[str, str] = {}
    authorizer: Mapping[str, Any] | None = None


def forwarded(headers: Headers, *, source_ip: str, port: int, protocol: str, trace_header: str) -> Headers:
    """What a function gets of the headers that a client sent.

    Hop-by-hop headers go. As on AWS, `x-forwarded-port`, `-proto` and `x-amzn-trace-id` are ours, and
    `x-forwarded-for` has the client's address behind what the client claims.
    """
    dropped, addresses = _NOT_FORWARDED, []
    for name, value in headers:
        if name == b"connection":
            dropped = dropped.union(part.strip().lower() for part in value.split(b","))
        elif name == b"x-forwarded-for":
            addresses.append(value)
    kept = [header for header in headers if header[0] not in dropped]
    return [
        *kept,
        (b"x-amzn-trace-id", trace_header.encode()),
        (b"x-forwarded-for", b", ".join([*addresses, source_ip.encode()])),
        (b"x-forwarded-port", str(port).encode()),
        (b"x-forwarded-proto", protocol.encode()),
    ]


_NOT_FORWARDED = HOP_BY_HOP | {
    b"x-amzn-trace-id",
    b"x-forwarded-for",
    b"x-forwarded-port",
    b"x-forwarded-proto",
}
"""What is about the client's connection, and what we say ourselves; `Connection` may name more."""
