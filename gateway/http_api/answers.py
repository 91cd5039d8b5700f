"""What an HTTP API says itself, in API Gateway's words, and how a response goes out."""

from __future__ import annotations

from gateway.http_body import Send
from triggers.events.http_results import HttpResponse

_JSON = (b"content-type", b"application/json")
_NO_BODY = (204, 205, 304)


class Refusal(Exception):
    """The request is answered without the route's function."""

    def __init__(self, status: int, message: str, www_authenticate: str = "") -> None:
        super().__init__(message)
        challenge = [(b"www-authenticate", www_authenticate.encode())] if www_authenticate else []
        self.response = HttpResponse(status, [_JSON, *challenge], b'{"message":"%b"}' % message.encode())


def bad_request() -> Refusal:
    """The path is no path."""
    return Refusal(400, "Bad Request")


def unauthorized(challenge: str = "") -> Refusal:
    """Nobody knows who calls."""
    return Refusal(401, "Unauthorized", challenge)


def forbidden(challenge: str = "") -> Refusal:
    """Who calls is known, and may not."""
    return Refusal(403, "Forbidden", challenge)


def not_found() -> Refusal:
    """No route takes the request."""
    return Refusal(404, "Not Found")


def too_large() -> Refusal:
    """The body is over the limit of HTTP APIs, or the event over that of functions."""
    return Refusal(413, "Request Entity Too Large")


def too_many_requests() -> Refusal:
    """The route's token bucket is empty."""
    return Refusal(429, "Too Many Requests")


def headers_too_large() -> Refusal:
    """Request line and headers are over the limit of HTTP APIs."""
    return Refusal(431, "Request Header Fields Too Large")


def internal_error() -> Refusal:
    """The function failed, is missing, or answered nonsense."""
    return Refusal(500, "Internal Server Error")


def unavailable() -> Refusal:
    """The function did not answer in time, or cannot be run at the moment."""
    return Refusal(503, "Service Unavailable")


async def send_out(send: Send, response: HttpResponse, request_id: str) -> None:
    """Send a response. The server leaves the body out where the method is HEAD."""
    body = b"" if response.status in _NO_BODY else response.body
    headers = [*response.headers, (b"apigw-requestid", request_id.encode())]
    if response.status not in _NO_BODY:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
