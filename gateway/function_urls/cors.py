"""Cross-origin resource sharing of function URLs: preflights answered here, headers on all other responses.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html (section CORS): the configuration
wins over headers of the same name that the function returns.
"""

from __future__ import annotations

from broker.registry.model import Cors

Headers = list[tuple[bytes, bytes]]

_PREFIX = b"access-control-"


def is_preflight(method: str, headers: Headers) -> bool:
    """A browser asks whether it may send a request."""
    return method == "OPTIONS" and bool(_value(headers, b"access-control-request-method"))


def preflight_headers(cors: Cors, headers: Headers) -> Headers:
    """The answer's headers; none that permits anything where the origin or the method is not allowed."""
    origin = _allowed_origin(cors, headers)
    method = _value(headers, b"access-control-request-method").decode("latin-1")
    if origin is None or not {"*", method} & set(cors.allow_methods):
        return []
    answer = _common(cors, origin)
    answer.append((b"access-control-allow-methods", ",".join(cors.allow_methods).encode()))
    if cors.allow_headers:
        answer.append((b"access-control-allow-headers", ",".join(cors.allow_headers).encode()))
    if cors.max_age is not None:
        answer.append((b"access-control-max-age", str(cors.max_age).encode()))
    return answer


def with_cors(cors: Cors, request: Headers, response: Headers) -> Headers:
    """A response's headers: the function's own access-control headers give way to the configuration."""
    kept = [header for header in response if not header[0].startswith(_PREFIX)]
    origin = _allowed_origin(cors, request)
    if origin is None:
        return kept
    added = _common(cors, origin)
    if cors.expose_headers:
        added.append((b"access-control-expose-headers", ",".join(cors.expose_headers).encode()))
    return kept + added


def _common(cors: Cors, origin: bytes) -> Headers:
    headers = [(b"access-control-allow-origin", origin)]
    if origin != b"*":
        headers.append((b"vary", b"Origin"))
    if cors.allow_credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    return headers


def _allowed_origin(cors: Cors, headers: Headers) -> bytes | None:
    """What Access-Control-Allow-Origin says; browsers take no `*` together with credentials."""
    origin = _value(headers, b"origin")
    if not origin:
        return None
    if "*" in cors.allow_origins:
        return origin if cors.allow_credentials else b"*"
    return origin if origin.decode("latin-1") in cors.allow_origins else None


def _value(headers: Headers, wanted: bytes) -> bytes:
    return next((value for name, value in headers if name == wanted), b"")
