"""What the two ends of a streamed reply tell each other over Redis.

Bytes are numbered by their offset, so the reader knows what is missing and what came twice. The reader says
how far it has read; the writer keeps what is not read yet and sends it again where it got lost.
"""

from __future__ import annotations

import msgspec

CHUNK_PREFIX = b"chunk:"
"""Distinguishes a chunk from replies in an inbox's channel."""


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """Writer to reader. `writer` is the channel for `Progress`."""

    request_id: str
    offset: int
    writer: str
    content_type: str
    data: bytes


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """Reader to writer: all up to `read_bytes` was read.

    `again` asks for everything from `received_bytes` on; `closed` says that nobody reads any more.
    """

    request_id: str
    read_bytes: int
    received_bytes: int
    again: bool = False
    closed: bool = False


_encode = msgspec.msgpack.Encoder().encode
decode_chunk = msgspec.msgpack.Decoder(Chunk).decode
decode_progress = msgspec.msgpack.Decoder(Progress).decode


def encode_chunk(chunk: Chunk) -> bytes:
    """The body of a message to an inbox."""
    return CHUNK_PREFIX + _encode(chunk)


def encode_progress(progress: Progress) -> bytes:
    """The body of a message to a writer."""
    return _encode(progress)
