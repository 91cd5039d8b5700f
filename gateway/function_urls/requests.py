"""From an HTTP request at a function URL to the event in payload format 2.0."""

from __future__ import annotations

import msgspec

from broker.invocation import now_ms
from gateway.errors import ApiError
from gateway.function_urls.address import Address
from gateway.invoke import Headers
from gateway.invoke_request import SYNC_LIMIT_BYTES
from triggers.events.http_events import event_v2
from triggers.events.http_request import HttpRequest, forwarded

_encode = msgspec.json.Encoder().encode
_PORTS = {"http": 80, "https": 443}


class UrlRequest(msgspec.Struct, frozen=True):
    """One request as it arrived; `address` is read from its path and headers."""

    method: str
    raw_path: bytes
    query_string: bytes
    headers: Headers
    body: bytes
    client: str
    """The peer's IP address; empty where there is none (unix socket)."""
    scheme: str
    http_version: str
    address: Address


def payload_of(
    request: UrlRequest,
    request_id: str,
    account_id: str,
    trace_header: str,
    authorizer: dict[str, object] | None,
) -> bytes:
    """The event's JSON. Raises ApiError where it is larger than a payload may be."""
    host, port = _host(request.headers, request.scheme)
    shown = HttpRequest(
        method=request.method,
        path=request.address.path.decode("latin-1"),
        query_string=request.query_string.decode("latin-1"),
        headers=forwarded(
            request.headers,
            source_ip=request.client,
            port=port,
            protocol=request.scheme,
            trace_header=trace_header,
        ),
        body=request.body,
        source_ip=request.client,
        protocol=f"HTTP/{request.http_version}",
        account_id=account_id,
        api_id=request.address.url_id,
        domain_name=host,
        request_id=request_id,
        time_ms=now_ms(),
        authorizer=authorizer,
    )
    payload = _encode(event_v2(shown))
    if len(payload) > SYNC_LIMIT_BYTES:
        raise too_large()
    return payload


def too_large() -> ApiError:
    """The body, or the event that has it in base64, is over Lambda's limit."""
    text = f"Request must be smaller than {SYNC_LIMIT_BYTES} bytes for the InvokeFunctionUrl operation"
    return ApiError("RequestEntityTooLargeException", 413, text)


def _host(headers: Headers, scheme: str) -> tuple[str, int]:
    """Name and port as the client wrote them."""
    for name, value in headers:
        if name == b"host":
            host, colon, port = value.decode("latin-1").rpartition(":")
            if colon and port.isdigit():
                return host, int(port)
            return value.decode("latin-1"), _PORTS.get(scheme, 80)
    return "", _PORTS.get(scheme, 80)
