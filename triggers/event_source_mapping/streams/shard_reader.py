"""Reads one shard from a position on, through lost iterators and outages of the source."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triggers.event_source_mapping.streams.pace import Pace
from triggers.event_source_mapping.streams.source import (
    Position,
    PositionLost,
    SourceUnavailable,
    StreamSource,
)
from triggers.events.dynamodb import epoch_seconds

SKEW_SECONDS = 5.0
"""By how much the source's clock may be behind ours before a new record is taken for an old one."""


class ShardReader:
    """One shard's pages, in order.

    A LATEST position holds for the first iterator only. Should that be lost before a record came, reading
    begins at the horizon, and what is older than `since_seconds` is passed over: nothing is missed.
    """

    def __init__(
        self,
        source: StreamSource,
        shard_id: str,
        position: Position,
        since_seconds: float,
        report: Callable[[str], None],
    ) -> None:
        self._source = source
        self._shard_id = shard_id
        self._position = position
        self._since_seconds = since_seconds - SKEW_SECONDS
        self._passing_over = not position.after and position.kind == "TRIM_HORIZON"
        self._report = report
        self._iterator = ""
        self._at_end = False
        self._pace = Pace(asyncio.get_running_loop().time())
        self._delay_seconds = 0.0

    async def page(self) -> Sequence[Mapping[str, Any]] | None:
        """Wait as long as the shard's pace asks, then read: records, perhaps none; None after the last."""
        if self._at_end:
            return None
        await asyncio.sleep(self._delay_seconds * random.uniform(0.8, 1.0))
        try:
            return await self._read()
        except PositionLost:
            self._lose_iterator(trimmed=not self._iterator)
        except SourceUnavailable as error:
            self._report(f"PROBLEM: {error}")
            self._lose_iterator(trimmed=False)
        self._delay_seconds = self._pace.after_failure()
        return []

    async def _read(self) -> Sequence[Mapping[str, Any]]:
        if not self._iterator:
            self._iterator = await self._source.iterator(self._shard_id, self._position)
        page = await self._source.records(self._iterator)
        self._iterator = page.next_iterator
        self._at_end = not page.next_iterator
        now = asyncio.get_running_loop().time()
        if not page.records:
            self._delay_seconds = self._pace.after_nothing(now)
            return []
        self._delay_seconds = self._pace.after_records(now)
        self._position = Position(after=page.records[-1]["dynamodb"]["SequenceNumber"])
        return self._recent(page.records)

    def _recent(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """All, once the first record has come that is new."""
        if not self._passing_over:
            return records
        recent = [record for record in records if _created(record) >= self._since_seconds]
        self._passing_over = not recent
        return recent

    def _lose_iterator(self, *, trimmed: bool) -> None:
        """Read on behind what was read; from the horizon where that has been trimmed, or nothing was read."""
        self._iterator = ""
        if not self._position.after:
            self._passing_over = True
        if trimmed or not self._position.after:
            self._position = Position()


def _created(record: Mapping[str, Any]) -> float:
    return epoch_seconds(record["dynamodb"].get("ApproximateCreationDateTime", 0))
