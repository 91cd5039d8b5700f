"""A change of a table on its way to the function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from triggers.events.dynamodb import stream_record

_encode = msgspec.json.Encoder().encode


class StreamRecord(msgspec.Struct, frozen=True):
    """One change, encoded once however often it is sent.

    `item_key`: the encoded key of the item; changes of one item keep their order. `created_seconds`: epoch
    seconds of the change, as the source says approximately.
    """

    sequence_number: str
    item_key: bytes
    created_seconds: float
    body: msgspec.Raw
    """The entry of `Records`."""


def read_record(record: Mapping[str, Any], stream_arn: str) -> tuple[StreamRecord, dict[str, Any]]:
    """A record of GetRecords, and the same as the plain object that filters look at."""
    entry = stream_record(record, stream_arn)
    change = entry["dynamodb"]
    read = StreamRecord(
        sequence_number=change["SequenceNumber"],
        item_key=_encode(change.get("Keys", {})),
        created_seconds=float(change.get("ApproximateCreationDateTime", 0)),
        body=msgspec.Raw(_encode(entry)),
    )
    return read, entry
