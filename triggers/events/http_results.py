"""What a function returned, as the HTTP response that API Gateway makes of it, for each payload format.

Shapes: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.events.http_request import HOP_BY_HOP, Headers

PLAIN_TEXT = b"text/plain; charset=utf-8"
"""The content type of an HTTP API's response whose function names none; function URLs say JSON."""
_JSON = b"application/json"
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE = re.compile(rb"[\r\n\0]")
_DROPPED = HOP_BY_HOP | {b"content-length"}


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole response; `headers` are in lower case and lack the content length."""

    status: int
    headers: Headers
    body: bytes


class MalformedResult(ValueError):
    """A result that is no response of its format. An HTTP API answers 500, a function URL 502."""


def response_v2(result: bytes, default_content_type: bytes = PLAIN_TEXT) -> HttpResponse:
    """The response to a result in format 2.0. Raises MalformedResult.

    Without a `statusCode`, valid JSON is itself the body of a 200; a string stands for its text.
    """
    decoded = _decoded(result)
    if not isinstance(decoded, dict) or decoded.get("statusCode") is None:
        body = _encoded(decoded) if isinstance(decoded, str) else result
        return HttpResponse(200, [(b"content-type", _JSON)], body)
    headers = [*_single_headers(decoded), *_cookies(decoded)]
    return _response(decoded, headers, default_content_type)


def response_v1(result: bytes) -> HttpResponse:
    """The response to a result in format 1.0, which must be a response object. Raises MalformedResult."""
    decoded = _decoded(result)
    if not isinstance(decoded, dict):
        raise MalformedResult(f"the result is not an object, but {type(decoded).__name__}")
    headers = list(dict.fromkeys([*_multi_headers(decoded), *_single_headers(decoded)]))
    return _response(decoded, headers, PLAIN_TEXT)


def _response(result: dict[str, Any], headers: Headers, default_content_type: bytes) -> HttpResponse:
    status, body = _status(result.get("statusCode")), _body(result)
    kept = [header for header in headers if header[0] not in _DROPPED]
    if body and all(name != b"content-type" for name, _ in kept):
        kept.append((b"content-type", default_content_type))
    return HttpResponse(status, kept, body)


def _decoded(result: bytes) -> Any:
    try:
        return msgspec.json.decode(result)
    except UNREADABLE as error:
        raise MalformedResult(f"the result is no valid JSON: {error}") from error


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    # 1xx would not end the exchange with the client.
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise MalformedResult(f"statusCode is no HTTP status from 200 to 599: {value!r}")
    return value


def _body(result: dict[str, Any]) -> bytes:
    text = _scalar(result.get("body"), "body")
    if not _is_base64(result.get("isBase64Encoded")):
        return _encoded(text)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedResult(f"isBase64Encoded is set, but body is no base64: {error}") from error


def _is_base64(value: Any) -> bool:
    if value in (None, False, "false"):
        return False
    if value in (True, "true"):
        return True
    raise MalformedResult(f"isBase64Encoded is neither true nor false: {value!r}")


def _single_headers(result: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in _mapping(result, "headers").items():
        if value is not None:
            yield _header(name, value)


def _multi_headers(result: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name, values in _mapping(result, "multiValueHeaders").items():
        if not isinstance(values, list):
            raise MalformedResult(f"multiValueHeaders.{name} is no list")
        for value in values:
            yield _header(name, value)


def _cookies(result: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    cookies = result.get("cookies")
    if cookies is None:
        return
    if not isinstance(cookies, list):
        raise MalformedResult("cookies is no list")
    for cookie in cookies:
        yield _header("set-cookie", cookie)


def _mapping(result: dict[str, Any], member: str) -> dict[str, Any]:
    value = result.get(member)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedResult(f"{member} is no object")
    return value


def _header(name: str, value: Any) -> tuple[bytes, bytes]:
    """A header that can be sent: a name of RFC 9110's characters, a value without a line's end."""
    raw_name, raw_value = _encoded(name).lower(), _encoded(_scalar(value, name)).strip()
    if not _TOKEN.fullmatch(raw_name):
        raise MalformedResult(f"{name!r} is no header name")
    if _UNSAFE.search(raw_value):
        raise MalformedResult(f"the value of header {name!r} has a line's end or a null in it")
    return raw_name, raw_value


def _scalar(value: Any, member: str) -> str:
    """Numbers and truth values count as the text that JSON has for them."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise MalformedResult(f"{member} is no string, but {type(value).__name__}")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedResult(f"half a surrogate pair is no text: {error}") from error
