"""Records of a stream for tests."""

from __future__ import annotations

import msgspec

from triggers.event_source_mapping.streams.records import StreamRecord


def record(number: int, *, item: str = "item", created_seconds: float = 1000.0) -> StreamRecord:
    """The change number `number`, of `item`."""
    body = msgspec.Raw(msgspec.json.encode({"dynamodb": {"SequenceNumber": str(number)}}))
    return StreamRecord(str(number), item.encode(), created_seconds, body)
