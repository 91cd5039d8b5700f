"""The seam to a table's stream: what is asked of it, and what it may answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from triggers.event_source_mapping.streams.lineage import Shard


class SourceUnavailable(Exception):
    """The source does not answer, refuses us or is overloaded; trying again later may help."""


class PositionLost(Exception):
    """The iterator has expired or what it points at was trimmed: ask for another one."""


class Position(msgspec.Struct, frozen=True):
    """Where to read on: behind `after`, or else at the `kind`."""

    after: str = ""
    kind: Literal["TRIM_HORIZON", "LATEST"] = "TRIM_HORIZON"


class Page(msgspec.Struct, frozen=True):
    """Records as the API's JSON has them; `next_iterator` is empty at the end of a closed shard."""

    records: Sequence[Mapping[str, Any]]
    next_iterator: str


class StreamSource(Protocol):
    """One stream. Every call raises SourceUnavailable and may be cancelled."""

    async def shards(self) -> Sequence[Shard]:
        """All shards that it still lists."""

    async def iterator(self, shard_id: str, position: Position) -> str:
        """A place to read from. Raises PositionLost where it was trimmed."""

    async def records(self, iterator: str) -> Page:
        """The next page, at most 1,000 records and 1 MB. Raises PositionLost."""
