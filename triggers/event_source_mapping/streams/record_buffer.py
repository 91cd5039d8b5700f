"""Between the reader of a shard and who calls the function: records wait here, bounded, to become batches."""

from __future__ import annotations

import asyncio
from collections import deque

from triggers.event_source_mapping.streams.records import StreamRecord

MOST_PAYLOAD_BYTES = 6_000_000
"""What fits into one invocation with room for the rest of the event."""


class RecordBuffer:
    """One producer, one consumer. Holds up to two batches, and no more bytes than one payload may have."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._records: deque[StreamRecord] = deque()
        self._bytes = 0
        self._closed = False
        self._moved = asyncio.Condition()

    async def put(self, record: StreamRecord) -> None:
        """Wait for room, then append."""
        async with self._moved:
            await self._moved.wait_for(self._has_room)
            self._records.append(record)
            self._bytes += len(bytes(record.body))
            self._moved.notify_all()

    async def close(self) -> None:
        """No more records will come."""
        async with self._moved:
            self._closed = True
            self._moved.notify_all()

    async def gather(
        self, window_seconds: float, wait_seconds: float | None = None
    ) -> list[StreamRecord] | None:
        """The next batch: full, or what came within `window_seconds` of its first record.

        Empty after `wait_seconds` without a record; None when it is closed and nothing is left. Cancelling
        takes nothing.
        """
        async with self._moved:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._moved.wait_for(lambda: self._records or self._closed)
            except TimeoutError:
                return []
            if not self._records:
                return None
            try:
                async with asyncio.timeout(window_seconds):
                    await self._moved.wait_for(self._is_full)
            except TimeoutError:
                pass
            batch = self._take()
            self._moved.notify_all()
            return batch

    def _take(self) -> list[StreamRecord]:
        batch: list[StreamRecord] = []
        taken_bytes = 0
        while self._records and len(batch) < self._batch_size:
            size = len(bytes(self._records[0].body))
            if batch and taken_bytes + size > MOST_PAYLOAD_BYTES:
                break
            taken_bytes += size
            batch.append(self._records.popleft())
        self._bytes -= taken_bytes
        return batch

    def _has_room(self) -> bool:
        return len(self._records) < 2 * self._batch_size and self._bytes < MOST_PAYLOAD_BYTES

    def _is_full(self) -> bool:
        return self._closed or len(self._records) >= self._batch_size or self._bytes >= MOST_PAYLOAD_BYTES
