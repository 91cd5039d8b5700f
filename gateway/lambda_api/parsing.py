"""From an HTTP request to the parameters of an operation, as the service model places them.

Types are checked here (SerializationException), constraints in `validation`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from broker.foreign_json import UNREADABLE
from gateway.lambda_api.errors import serialization

Query = Sequence[tuple[str, str]]


def parse_query(query_string: bytes) -> list[tuple[str, str]]:
    """Pairs in order, percent-decoded; a name without a value has the empty one."""
    pairs = []
    for item in query_string.decode("latin-1").split("&"):
        if item:
            name, _, value = item.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def parse_request(
    operation: Any, uri: Mapping[str, str], query: Query, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Parameters by member name; what the request leaves out is absent. Raises ApiError."""
    shape = operation.input_shape
    if shape is None:
        return {}
    payload = shape.serialization.get("payload")
    parameters: dict[str, Any] = {}
    in_body: dict[str, Any] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location is None:
            in_body[name] = member
            continue
        value = _located(member, location, member.serialization.get("name", name), uri, query, headers)
        if value is not None:
            parameters[name] = value
    if payload is not None:
        parameters.update(_parse_payload(payload, shape.members[payload], body))
    elif in_body:
        parameters.update(_parse_members(_json_object(body), in_body))
    return parameters


def _parse_payload(name: str, shape: Any, body: bytes) -> dict[str, Any]:
    if shape.type_name == "blob":
        return {name: body}
    return {name: _convert(shape, _json_object(body))} if body else {}


def _located(
    shape: Any,
    location: str,
    key: str,
    uri: Mapping[str, str],
    query: Query,
    headers: Mapping[str, str],
) -> Any:
    if location == "uri":
        return _from_text(shape, uri.get(key))
    if location == "header":
        return _from_text(shape, headers.get(key.lower()))
    values = [value for name, value in query if name == key]
    if shape.type_name == "list":
        return [_from_text(shape.member, value) for value in values] or None
    return _from_text(shape, values[-1] if values else None)


def _from_text(shape: Any, text: str | None) -> Any:
    """A value that HTTP carries as text."""
    if text is None or shape.type_name == "string":
        return text
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("float", "double"):
            return float(text)
    except ValueError:
        raise serialization(f"'{text}' can not be converted to {_article(shape.type_name)}") from None
    if shape.type_name == "boolean" and text in ("true", "false"):
        return text == "true"
    raise serialization(f"'{text}' can not be converted to {_article(shape.type_name)}")


def _json_object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = json.loads(body, parse_constant=_no_number)
    except UNREADABLE as error:
        raise serialization(f"Could not parse request body into json: {error}") from None
    if not isinstance(document, dict):
        raise serialization(f"{_token(document)} found where the start of a structure was expected")
    return document


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _parse_members(document: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """Known members only: AWS ignores the others, and so do its older clients' newer siblings."""
    parsed = {}
    for name, shape in members.items():
        value = document.get(shape.serialization.get("name", name))
        if value is not None:
            parsed[name] = _convert(shape, value)
    return parsed


def _convert(shape: Any, value: Any) -> Any:
    """A JSON value as the shape's Python type."""
    kind = shape.type_name
    if kind == "structure":
        return _parse_members(_expect(dict, value, "structure or map"), shape.members)
    if kind == "map":
        entries = _expect(dict, value, "structure or map")
        return {key: _convert(shape.value, item) for key, item in entries.items() if item is not None}
    if kind == "list":
        return [_convert(shape.member, item) for item in _expect(list, value, "list") if item is not None]
    if kind == "blob":
        return _blob(value)
    return _scalar(kind, value)


def _scalar(kind: str, value: Any) -> Any:
    if kind == "string" and isinstance(value, str):
        return _text(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if kind in ("float", "double", "timestamp"):
            return float(value)
        if kind in ("integer", "long") and float(value).is_integer():
            return int(value)
    raise serialization(f"{_token(value)} can not be converted to {_article(kind)}")


def _text(value: str) -> str:
    """JSON can spell halves of characters, which nothing behind us could store."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise serialization(f"A string is no valid Unicode: {error.reason}") from None
    return value


def _blob(value: Any) -> bytes:
    if not isinstance(value, str):
        raise serialization(f"{_token(value)} can not be converted to a Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise serialization("A blob is not encoded in base64") from None


def _expect(kind: type, value: Any, expected: str) -> Any:
    if not isinstance(value, kind):
        raise serialization(f"{_token(value)} found where the start of a {expected} was expected")
    return value


def _token(value: Any) -> str:
    """How AWS's parser calls the kind of a JSON value."""
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, (int, float)):
        return "NUMBER_VALUE"
    names = {str: "STRING_VALUE", list: "START_ARRAY", dict: "START_OBJECT", type(None): "NULL_VALUE"}
    return names[type(value)]


def _article(kind: str) -> str:
    name = kind.capitalize()
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"
