"""kombu's JSON envelope around messages on transports that know only bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.foreign_json import UNREADABLE


class Content(msgspec.Struct, frozen=True):
    """What a producer sent: body, headers, properties."""

    body: bytes
    headers: Mapping[str, Any] = {}
    properties: Mapping[str, Any] = {}


class _Envelope(msgspec.Struct, frozen=True, rename="kebab"):
    body: str
    properties: dict[str, Any]
    headers: dict[str, Any]
    content_type: str | None = None
    content_encoding: str | None = None


def opened(entry: bytes) -> Content:
    """What is in an envelope; bytes that are none are the body themselves."""
    try:
        envelope = msgspec.json.decode(entry, type=_Envelope)
        if "delivery_tag" not in envelope.properties:
            return Content(entry)
        body = _body(envelope)
    except UNREADABLE:
        return Content(entry)
    kinds = {"content_type": envelope.content_type, "content_encoding": envelope.content_encoding}
    return Content(body, envelope.headers, {**envelope.properties, **kinds})


def _body(envelope: _Envelope) -> bytes:
    if envelope.properties.get("body_encoding") == "base64":
        return base64.b64decode(envelope.body, validate=True)
    return envelope.body.encode()
