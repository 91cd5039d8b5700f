"""Part of a shard's items, in batches, in order."""

from __future__ import annotations

from triggers.event_source_mapping.streams.batches import Batch
from triggers.event_source_mapping.streams.handling import Conduct, Handling, Settle
from triggers.event_source_mapping.streams.invoking import Done, Failed, NotRun
from triggers.event_source_mapping.streams.record_buffer import RecordBuffer


class Lane:
    """One of the lanes that a shard's records are shared out to by their items' keys."""

    def __init__(self, buffer: RecordBuffer, conduct: Conduct, settle: Settle) -> None:
        self._buffer = buffer
        self._conduct = conduct
        self._handling = Handling(conduct, self._run, settle)

    async def run(self) -> None:
        """Until the buffer is closed and empty."""
        while (records := await self._buffer.gather(self._conduct.batching_window_seconds)) is not None:
            await self._handling.finish(Batch(tuple(records)))

    async def _run(self, batch: Batch) -> Done | Failed | NotRun:
        bodies = [record.body for record in batch.records]
        return await self._conduct.invoker.run(bodies, batch.sequence_numbers)
