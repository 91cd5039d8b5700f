"""How an invocation is written into Redis: a header line that scripts can read, then msgpack."""

from __future__ import annotations

import zlib
from functools import lru_cache

import msgspec

from broker.invocation import Invocation, Kind
from broker.redis_broker.batch import Group
from broker.redis_broker.wire import Argument

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Invocation).decode


class Undecodable(Exception):
    """A stored message that is no invocation."""


class Received(msgspec.Struct, frozen=True):
    """A decoded message with what its header counted."""

    invocation: Invocation
    attempt: int
    deliveries: int
    losses: int


@lru_cache(maxsize=16384)
def lanes_of(function_name: str, version: str, lanes: int) -> tuple[int, int]:
    """The two lanes of a function version (shuffle sharding): different where there are two.

    A noisy function fills its two lanes; another shares both with it only once in lanes * (lanes - 1).
    """
    key = zlib.crc32(f"{function_name}:{version}".encode())
    first = key % lanes
    return first, (first + 1 + (key // lanes) % max(1, lanes - 1)) % lanes


@lru_cache(maxsize=16384)
def _route(
    kind: Kind, gate: str, version: str, provisioned: bool, lanes: int
) -> tuple[bytes, tuple[Argument, ...]]:
    """The header line; function, class, lane a, lane b, version whose provisioned environments are asked for
    or nothing."""
    a, b = lanes_of(gate, version, lanes)
    class_ = lane_class(kind)
    wanted = offer_name(gate, version) if provisioned and gate else ""
    return f"{class_} {a} {b} 1 1 0 {gate}\n".encode(), (gate, class_, a, b, wanted)


def lane_class(kind: Kind) -> str:
    """`async` where the message is durable, else `sync`: the scripts know no other classes.

    A poll is not: its event source keeps what it was made from, and delivers it again.
    """
    return "async" if kind == "async" else "sync"


def gate_of(invocation: Invocation) -> str:
    """Whose reserved concurrency the message counts against: nobody's once its function has run."""
    return invocation.function_name if invocation.sequel is None else ""


def publish_group(invocation: Invocation, lanes: int) -> Group:
    """What `publish` takes for one message: its route, which neighbours may share; id and value."""
    header, route = _route(
        invocation.kind, gate_of(invocation), invocation.version, invocation.provisioned, lanes
    )
    return Group(route, (invocation.request_id, header + _encode(invocation)))


def publish_arguments(invocation: Invocation, lanes: int) -> tuple[Argument, ...]:
    """What the other scripts take for one message: id, value, then its route."""
    route, own = publish_group(invocation, lanes)
    return *own, *route


def offer_name(function_name: str, version: str) -> str:
    """How a version is called where workers offer environments of it."""
    return f"{function_name}:{version}"


def read(value: bytes) -> Received:
    """Decode a stored message. Raises Undecodable."""
    try:
        header, _, body = value.partition(b"\n")
        fields = header.split(b" ")
        return Received(_decode(body), int(fields[3]), int(fields[4]), int(fields[5]))
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise Undecodable(f"a message of {len(value)} bytes is no invocation: {error}") from error
