"""Reading an Invoke request: what the caller wants of which function, refused early where it is wrong."""

from __future__ import annotations

import base64
from typing import Literal
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from broker.foreign_json import UNREADABLE
from gateway.errors import ApiError
from gateway.lambda_api.errors import validation

SYNC_LIMIT_BYTES = 6_291_456
ASYNC_LIMIT_BYTES = 1_048_576
BODY_LIMIT_BYTES = 2 * SYNC_LIMIT_BYTES
"""More than this is not even read."""
_CLIENT_CONTEXT_LIMIT_BYTES = 3_583
_PREFIX = b"/2015-03-31/functions/"
_SUFFIX = b"/invocations"
_STREAM_PREFIX = b"/2021-11-15/functions/"
_STREAM_SUFFIX = b"/response-streaming-invocations"

InvocationType = Literal["RequestResponse", "Event", "DryRun"]
_TYPES: dict[bytes, InvocationType] = {
    b"RequestResponse": "RequestResponse",
    b"Event": "Event",
    b"DryRun": "DryRun",
}
_json = msgspec.json.Decoder(msgspec.Raw)


class InvokeRequest(msgspec.Struct, frozen=True):
    """The caller's wishes; `payload` is valid JSON."""

    function_name: str
    qualifier: str
    type: InvocationType
    log_tail: bool
    client_context: str
    payload: bytes


def function_name_in(raw_path: bytes) -> str:
    """The percent-decoded FunctionName of an invoke path."""
    return _decoded(raw_path[len(_PREFIX) : -len(_SUFFIX)])


def _decoded(name: bytes) -> str:
    return unquote_to_bytes(name).decode("utf-8", "replace") if b"%" in name else name.decode("latin-1")


def is_invoke_path(raw_path: bytes) -> bool:
    """Whether a path is `/2015-03-31/functions/NAME/invocations`, which Invoke has with POST."""
    return raw_path.startswith(_PREFIX) and raw_path.endswith(_SUFFIX)


def is_stream_path(raw_path: bytes) -> bool:
    """Whether a path is InvokeWithResponseStream's."""
    return raw_path.startswith(_STREAM_PREFIX) and raw_path.endswith(_STREAM_SUFFIX)


def parse_streaming(
    raw_path: bytes, query_string: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> InvokeRequest:
    """Read a request of InvokeWithResponseStream, which knows no `Event`. Raises ApiError."""
    request = _parse(
        _decoded(raw_path[len(_STREAM_PREFIX) : -len(_STREAM_SUFFIX)]), query_string, headers, body
    )
    if request.type == "Event":
        raise _not_in_set(b"Event", "invocationType", "[RequestResponse, DryRun]")
    return request


def parse(
    raw_path: bytes, query_string: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> InvokeRequest:
    """Read a request. Raises ApiError, worded as AWS words it."""
    return _parse(function_name_in(raw_path), query_string, headers, body)


def _parse(
    function_name: str, query_string: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> InvokeRequest:
    kind: InvocationType = "RequestResponse"
    log_tail, client_context = False, ""
    for name, value in headers:
        if name == b"x-amz-invocation-type":
            kind = _invocation_type(value)
        elif name == b"x-amz-log-type":
            log_tail = _log_type(value)
        elif name == b"x-amz-client-context":
            client_context = _client_context(value)
    qualifier = _qualifier(query_string) if query_string else ""
    return InvokeRequest(function_name, qualifier, kind, log_tail, client_context, _payload(body, kind))


def _invocation_type(value: bytes) -> InvocationType:
    kind = _TYPES.get(value)
    if kind is None:
        raise _not_in_set(value, "invocationType", "[Event, RequestResponse, DryRun]")
    return kind


def _log_type(value: bytes) -> bool:
    if value not in (b"Tail", b"None"):
        raise _not_in_set(value, "logType", "[None, Tail]")
    return value == b"Tail"


def _not_in_set(value: bytes, member: str, allowed: str) -> ApiError:
    return validation(
        f"1 validation error detected: Value '{value.decode('latin-1')}' at '{member}' failed to satisfy"
        f" constraint: Member must satisfy enum value set: {allowed}"
    )


def _client_context(value: bytes) -> str:
    """AWS: base64 of JSON, at most 3,583 bytes of it."""
    if len(value) > _CLIENT_CONTEXT_LIMIT_BYTES * 4 // 3 + 4:
        raise _bad_content(f"Client context must be no more than {_CLIENT_CONTEXT_LIMIT_BYTES} bytes.")
    try:
        text = base64.b64decode(value, validate=True)
        _json.decode(text)
        return text.decode()
    except UNREADABLE:
        raise _bad_content("Client context must be a valid Base64-encoded JSON object.") from None


def _payload(body: bytes, kind: InvocationType) -> bytes:
    limit = ASYNC_LIMIT_BYTES if kind == "Event" else SYNC_LIMIT_BYTES
    if len(body) > limit:
        raise too_large(limit)
    if not body:
        return b"{}"
    try:
        _json.decode(body)
        return body
    except UNREADABLE as error:
        raise _bad_content(f"Could not parse request body into json: {error}") from None


def too_large(limit_bytes: int = SYNC_LIMIT_BYTES) -> ApiError:
    """AWS's answer to a payload over the limit."""
    text = f"Request must be smaller than {limit_bytes} bytes for the InvokeFunction operation"
    return ApiError("RequestTooLargeException", 413, text)


def _bad_content(message: str) -> ApiError:
    return ApiError("InvalidRequestContentException", 400, message)


def _qualifier(query_string: bytes) -> str:
    values = parse_qs(query_string.decode("latin-1"), keep_blank_values=True).get("Qualifier", [""])
    return values[0]
