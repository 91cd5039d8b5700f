"""What is known of one object, and how thousands of them are kept in little room."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping

import msgspec

_TAG_BYTES = 8


class ObjectState(msgspec.Struct, frozen=True, array_like=True):
    """What was last seen of an object, by a webhook or a scan.

    `tag` stands for its ETag, empty where that was not told; `time_ms` is the store's clock: when it was
    changed. `sequencer` is a webhook's, empty otherwise. `noted_ms` is Redis's clock: when a note of it was
    written; 0 for what is no note (any more).
    """

    present: bool
    tag: bytes
    time_ms: int
    sequencer: str = ""
    noted_ms: int = 0


class _Page(msgspec.Struct, array_like=True):
    """Columns compress better than rows."""

    keys: list[str]
    tags: bytes
    seconds: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Page).decode


def tag_of(etag: str) -> bytes:
    """Eight bytes that differ where ETags do; empty for an empty ETag."""
    return hashlib.blake2b(etag.encode(), digest_size=_TAG_BYTES).digest() if etag else b""


def _tag(kept: bytes) -> bytes:
    return kept if any(kept) else b""


def pack(states: Mapping[str, ObjectState]) -> bytes:
    """Objects that are present, in the order of the mapping; about 12 bytes and a key's novelty each."""
    there = [(key, state) for key, state in states.items() if state.present]
    tags = b"".join(state.tag.ljust(_TAG_BYTES, b"\0") for _, state in there)
    page = _Page([key for key, _ in there], tags, [-(-state.time_ms // 1000) for _, state in there])
    return zlib.compress(_encode(page), 1)


def unpack(page: bytes) -> dict[str, ObjectState]:
    """What `pack` packed: times are rounded up to seconds, notes' members are gone."""
    columns = _decode(zlib.decompress(page))
    rows = zip(columns.keys, range(0, len(columns.tags), _TAG_BYTES), columns.seconds, strict=True)
    return {
        key: ObjectState(True, _tag(columns.tags[at : at + _TAG_BYTES]), seconds * 1000)
        for key, at, seconds in rows
    }
