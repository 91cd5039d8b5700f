"""ReportBatchItemFailures: which messages of a batch a function says have failed."""

from __future__ import annotations

from collections.abc import Set

import msgspec

from broker.foreign_json import UNREADABLE


class _Offset(msgspec.Struct):
    """How a record of Kafka is named: its `topic-partition`, and its place there."""

    partition: str
    offset: int


class _Item(msgspec.Struct, rename={"item_identifier": "itemIdentifier"}):
    item_identifier: str | _Offset

    @property
    def name(self) -> str:
        named = self.item_identifier
        return named if isinstance(named, str) else f"{named.partition}:{named.offset}"


class _Result(msgspec.Struct, rename={"failures": "batchItemFailures"}):
    failures: list[_Item] | None = None


def failed_items(result: bytes, known: Set[str]) -> set[str] | None:
    """The identifiers in `batchItemFailures`; None: the whole batch, as for anything malformed."""
    if not result.strip():
        return set()
    try:
        parsed = msgspec.json.decode(result, type=_Result | None)
    except UNREADABLE:
        return None
    if parsed is None:
        return set()
    identifiers = {item.name for item in parsed.failures or ()}
    return identifiers if identifiers <= known else None
