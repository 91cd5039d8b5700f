"""Serves one shard: reads it, shares its records out to lanes, and writes down how far they have come."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from triggers.event_source_mapping.filtering.criteria import FilterCriteria
from triggers.event_source_mapping.streams.checkpoint import ShardCheckpoint
from triggers.event_source_mapping.streams.checkpointer import Checkpointer, Save
from triggers.event_source_mapping.streams.handling import Conduct
from triggers.event_source_mapping.streams.lane import Lane
from triggers.event_source_mapping.streams.progress import Progress
from triggers.event_source_mapping.streams.record_buffer import RecordBuffer
from triggers.event_source_mapping.streams.records import StreamRecord, read_record
from triggers.event_source_mapping.streams.shard_reader import ShardReader
from triggers.event_source_mapping.streams.window_lane import WindowLane
from triggers.event_source_mapping.streams.windows import OpenWindow


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """What of a mapping's settings concerns each of its shards."""

    stream_arn: str
    batch_size: int
    parallelization_factor: int = 1
    tumbling_window_seconds: int = 0
    """With windows a shard has one lane: its state goes from run to run."""
    criteria: FilterCriteria = field(default_factory=FilterCriteria)


class ShardRun:
    """One shard from a checkpoint to its end."""

    def __init__(
        self,
        shard_id: str,
        settings: ShardSettings,
        reader: ShardReader,
        conduct: Conduct,
        checkpoint: ShardCheckpoint,
        save: Save,
    ) -> None:
        self._shard_id = shard_id
        self._settings = settings
        self._reader = reader
        self._conduct = conduct
        self._progress = Progress(checkpoint.after)
        self._window = checkpoint.window
        self._checkpointer = Checkpointer(save)
        count = 1 if settings.tumbling_window_seconds else settings.parallelization_factor
        self._buffers = [RecordBuffer(settings.batch_size) for _ in range(count)]

    async def run(self) -> None:
        """Return at the shard's end, when all its records are settled and that is kept."""
        async with asyncio.TaskGroup() as tasks:
            saving = tasks.create_task(self._checkpointer.run(), name="checkpointer")
            await self._serve()
            saving.cancel()
        await self._checkpointer.finish(ShardCheckpoint(self._progress.position, finished=True))

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes():
                tasks.create_task(lane.run(), name=f"lane-{self._shard_id}")
            while (page := await self._reader.page()) is not None:
                await self._share_out(page)
            for buffer in self._buffers:
                await buffer.close()

    def _lanes(self) -> Sequence[Lane | WindowLane]:
        if not self._settings.tumbling_window_seconds:
            return [Lane(buffer, self._conduct, self._settle) for buffer in self._buffers]
        lane = WindowLane(
            self._buffers[0],
            self._conduct,
            self._settle_window,
            width_seconds=self._settings.tumbling_window_seconds,
            shard_id=self._shard_id,
            stream_arn=self._settings.stream_arn,
            window=self._window,
        )
        return [lane]

    async def _share_out(self, page: Sequence[Mapping[str, Any]]) -> None:
        if not page and not self._progress.outstanding:
            self._conduct.report("No records processed")
        for found in page:
            record, entry = read_record(found, self._settings.stream_arn)
            self._progress.begin(record.sequence_number)
            if self._settings.criteria.admits(entry):
                await self._buffers[self._lane_of(record)].put(record)
            else:
                self._settle((record,))

    def _lane_of(self, record: StreamRecord) -> int:
        """The same for all changes of an item, so that they stay in order."""
        return zlib.crc32(record.item_key) % len(self._buffers)

    def _settle(self, records: tuple[StreamRecord, ...]) -> None:
        if self._progress.done(record.sequence_number for record in records):
            self._checkpointer.put(ShardCheckpoint(self._progress.position, window=self._window))

    def _settle_window(self, records: tuple[StreamRecord, ...], window: OpenWindow | None) -> None:
        self._window = window
        self._progress.done(record.sequence_number for record in records)
        self._checkpointer.put(ShardCheckpoint(self._progress.position, window=window))
