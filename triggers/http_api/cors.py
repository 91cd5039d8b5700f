"""Cross-origin requests: what a browser is told about a route that has CORS settings.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from __future__ import annotations

import msgspec

from triggers.events.http_request import Headers
from triggers.events.http_results import HttpResponse

_WILDCARDS = ("*", "http://*", "https://*")
_PREFIX = b"access-control-"


class CorsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call a route from a browser, and how. `*` allows every origin, method or header.

    `https://*` and `http://*` allow every origin of that scheme.
    """

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...] = ("*",)
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int | None = None
    allow_credentials: bool = False

    def __post_init__(self) -> None:
        if not self.allow_origins:
            raise ValueError("cors.allow_origins is empty; name an origin such as https://example.com, or *")
        for origin in self.allow_origins:
            if origin not in _WILDCARDS and not _is_origin(origin):
                raise ValueError(
                    f"cors.allow_origins: {origin!r} is no origin; write it like https://example.com"
                )
        if self.allow_credentials and "*" in self.allow_origins:
            raise ValueError("cors.allow_credentials does not go with the origin *, as on AWS; name origins")
        if self.max_age_seconds is not None and not -1 <= self.max_age_seconds <= 86_400:
            raise ValueError(f"cors.max_age_seconds is {self.max_age_seconds}; it must be from -1 to 86400")

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin may call."""
        scheme = origin.partition("://")[0].lower()
        return bool({"*", f"{scheme}://*", origin} & set(self.allow_origins))


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks for permission: OPTIONS with the method it means to use."""
    return method == "OPTIONS" and bool(value_of(headers, b"origin") and requested_method(headers))


def requested_method(headers: Headers) -> str:
    """The method that a preflight asks about; empty where it asks about none."""
    return value_of(headers, b"access-control-request-method")


def preflight(settings: CorsSettings, headers: Headers) -> HttpResponse:
    """The answer to a preflight: 204, and permission where the origin is allowed."""
    origin = value_of(headers, b"origin")
    if not settings.allows(origin):
        return HttpResponse(204, [], b"")
    allowed = _common(settings, origin)
    allowed.append(
        (b"access-control-allow-methods", _listed(settings.allow_methods, requested_method(headers)))
    )
    asked_headers = value_of(headers, b"access-control-request-headers")
    if allow_headers := _listed(settings.allow_headers, asked_headers):
        allowed.append((b"access-control-allow-headers", allow_headers))
    if settings.max_age_seconds is not None:
        allowed.append((b"access-control-max-age", str(settings.max_age_seconds).encode()))
    return HttpResponse(204, allowed, b"")


def with_cors(settings: CorsSettings, request_headers: Headers, response: HttpResponse) -> HttpResponse:
    """A response with the route's CORS headers. As on AWS, those that the function set itself are ignored."""
    headers = [header for header in response.headers if not header[0].startswith(_PREFIX)]
    origin = value_of(request_headers, b"origin")
    if origin and settings.allows(origin):
        headers += _common(settings, origin)
        if settings.expose_headers:
            headers.append((b"access-control-expose-headers", ",".join(settings.expose_headers).encode()))
    return HttpResponse(response.status, headers, response.body)


def value_of(headers: Headers, name: bytes) -> str:
    """The first value of a header; empty where it is missing."""
    for found, value in headers:
        if found == name:
            return value.decode("latin-1")
    return ""


def _common(settings: CorsSettings, origin: str) -> Headers:
    if "*" in settings.allow_origins:
        return [(b"access-control-allow-origin", b"*")]
    allowed = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    if settings.allow_credentials:
        allowed.append((b"access-control-allow-credentials", b"true"))
    return allowed


def _listed(allowed: tuple[str, ...], asked: str) -> bytes:
    """`*` is answered with what was asked for: browsers take it literally where there are credentials."""
    return (asked if "*" in allowed and asked else ",".join(allowed)).encode("latin-1")


def _is_origin(text: str) -> bool:
    scheme, separator, host = text.partition("://")
    return bool(scheme and separator and host) and "/" not in host and "*" not in text
