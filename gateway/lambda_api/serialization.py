"""From an operation's result to an HTTP response, as the service model places its members."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response; `headers` lack the content length."""

    status: int
    headers: RawHeaders
    body: bytes


def serialize(operation: Any, result: Mapping[str, Any], request_id: str) -> Response:
    """The success that `result` (by member name) describes; unknown members are our mistake: KeyError.

    Members that are None are left out.
    """
    shape = operation.output_shape
    status: int = operation.http.get("responseCode", 200)
    headers: RawHeaders = [(b"x-amzn-requestid", request_id.encode())]
    document: dict[str, Any] = {}
    for name, value in result.items():
        member = shape.members[name]
        location = member.serialization.get("location")
        if value is None:
            continue
        if location == "statusCode":
            status = value
        elif location == "header":
            headers.append((member.serialization["name"].lower().encode(), str(value).encode()))
        else:
            document[member.serialization.get("name", name)] = _encode(member, value)
    if status == 204 or shape is None:
        return Response(status, headers, b"")
    headers.append((b"content-type", b"application/json"))
    return Response(status, headers, json.dumps(document, separators=(",", ":")).encode())


def _encode(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return {
            shape.members[name].serialization.get("name", name): _encode(shape.members[name], item)
            for name, item in value.items()
            if item is not None
        }
    if kind == "list":
        return [_encode(shape.member, item) for item in value]
    if kind == "map":
        return {key: _encode(shape.value, item) for key, item in value.items()}
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind == "timestamp":
        return _timestamp(shape, value)
    return value


def _timestamp(shape: Any, epoch_seconds: float) -> float | str:
    """Epoch seconds, unless the shape asks for ISO 8601."""
    if shape.serialization.get("timestampFormat") == "iso8601":
        return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return epoch_seconds
