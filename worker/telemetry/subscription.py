"""PUT /2022-07-01/telemetry and PUT /2020-08-15/logs: what an extension asks to be told, and where."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from worker.telemetry.records import LOGS_SCHEMAS, Category, Schema

HOSTS = ("sandbox.localdomain", "sandbox")
RESERVED_PORT = 9001
"""The Runtime API's on AWS."""


class InvalidSubscription(ValueError):
    """The message says what is wrong with it."""


class Buffering(msgspec.Struct, frozen=True):
    """When a batch is sent: as soon as one of these is reached. The limits are AWS's."""

    max_items: Annotated[int, msgspec.Meta(ge=1_000, le=10_000)] = msgspec.field(
        name="maxItems", default=10_000
    )
    max_bytes: Annotated[int, msgspec.Meta(ge=262_144, le=1_048_576)] = msgspec.field(
        name="maxBytes", default=262_144
    )
    timeout_ms: Annotated[int, msgspec.Meta(ge=25, le=30_000)] = msgspec.field(
        name="timeoutMs", default=1_000
    )


class _Destination(msgspec.Struct):
    protocol: Literal["HTTP", "TCP"]
    uri: str = msgspec.field(name="URI", default="")
    port: int = 0
    method: Literal["POST", "PUT"] = "POST"


class _Request(msgspec.Struct):
    destination: _Destination
    types: Annotated[list[Category], msgspec.Meta(min_length=1)]
    schema_version: Schema | None = msgspec.field(name="schemaVersion", default=None)
    buffering: Buffering = Buffering()


class Subscription(msgspec.Struct, frozen=True):
    """What one extension asked for. `path` and `method` are for HTTP."""

    types: frozenset[Category]
    schema: Schema
    buffering: Buffering
    protocol: Literal["HTTP", "TCP"]
    port: int
    path: str = "/"
    method: Literal["POST", "PUT"] = "POST"


def parsed(body: bytes, *, logs: bool) -> Subscription:
    """The subscription in a request of either API. Raises InvalidSubscription."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.MsgspecError as error:
        raise InvalidSubscription(str(error)) from error
    schema = request.schema_version or ("2020-08-15" if logs else None)
    if schema is None or (schema in LOGS_SCHEMAS) != logs:
        raise InvalidSubscription(f"schemaVersion {schema} is not one of this API's")
    port, path = _place(request.destination)
    if not 0 < port < 65_536 or port == RESERVED_PORT:
        raise InvalidSubscription(f"URI port {port} cannot be used")
    return Subscription(
        frozenset(request.types),
        schema,
        request.buffering,
        request.destination.protocol,
        port,
        path,
        request.destination.method,
    )


def _place(destination: _Destination) -> tuple[int, str]:
    if destination.protocol == "TCP" and destination.port:
        return destination.port, ""
    try:
        parts = urlsplit(destination.uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidSubscription(f"URI {destination.uri!r}: {error}") from error
    if host not in HOSTS:
        raise InvalidSubscription(f"URI host must be {HOSTS[0]}, not {host}")
    if port is None:
        raise InvalidSubscription("URI port is not provided")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise InvalidSubscription(f"URI path {path!r} cannot be used")
    return port, path
