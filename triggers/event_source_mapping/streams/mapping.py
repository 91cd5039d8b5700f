"""One mapping of a stream: finds its shards, serves each after its parents, remembers where it began."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from triggers.event_source_mapping.streams.checkpoint import (
    START,
    ShardCheckpoint,
    Start,
    decode_checkpoint,
    decode_start,
    encode,
)
from triggers.event_source_mapping.streams.lineage import Shard, forgettable, readable
from triggers.event_source_mapping.streams.pace import Pace
from triggers.event_source_mapping.streams.results import NOTHING, Results
from triggers.event_source_mapping.streams.source import Position, SourceUnavailable, StreamSource
from triggers.interface import RunningTrigger

PROMPT_SECONDS = 5.0
"""A mapping that is served so soon after it was made reads from the newest record on; a later one from the
first record after it was made."""

_LOOK_SECONDS = 15.0
"""How often new shards are looked for while some are read; at once when one ends."""
_LOOK_WITHOUT_SHARDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ShardStart:
    """Where the reading of a shard begins. Without a position of its own, records older than
    `since_seconds` are passed over."""

    position: Position
    since_seconds: float
    checkpoint: ShardCheckpoint


ServeShard = Callable[[str, ShardStart, Callable[[str], None]], Awaitable[None]]
"""Reads one shard to its end, by its id, reporting as it goes."""


class StreamMapping:
    """Serves one trigger until cancelled."""

    def __init__(
        self, trigger: RunningTrigger, source: StreamSource, starting_position: str, serve: ServeShard
    ) -> None:
        self._trigger = trigger
        self._source = source
        self._from_latest = starting_position == "LATEST"
        self._serve = serve
        self._results = Results(trigger.report)
        self._checkpoints: dict[str, ShardCheckpoint] = {}
        self._latest: frozenset[str] = frozenset()
        self._finished: set[str] = set()
        self._serving: set[str] = set()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Raises what its shards raise, e.g. LeaseGone, in an ExceptionGroup."""
        saved = await self._trigger.checkpoints()
        self._checkpoints = {name: decode_checkpoint(value) for name, value in saved.items() if name != START}
        start = await self._start(saved)
        self._finished = {name for name, kept in self._checkpoints.items() if kept.finished}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._look(tasks, start)
                self._ended.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(
                        _LOOK_SECONDS if self._serving else _LOOK_WITHOUT_SHARDS_SECONDS
                    ):
                        await self._ended.wait()

    async def _start(self, saved: Mapping[str, bytes]) -> Start:
        """Where the mapping began; decided once and kept, so that a restart does not begin elsewhere."""
        if START in saved:
            return decode_start(saved[START])
        if not self._from_latest:
            start = Start(0.0)
        else:
            shards = await self._shards()
            start = Start(self._trigger.record.created_ms / 1000, _closed(shards))
            if time.time() - start.started_seconds < PROMPT_SECONDS:
                self._latest = frozenset(shard.shard_id for shard in shards)
        await self._trigger.save_checkpoints({START: encode(start)})
        return start

    async def _look(self, tasks: asyncio.TaskGroup, start: Start) -> None:
        """Begin to serve what may be read now; forget what the stream has forgotten."""
        shards = await self._shards()
        await self._forget(shards)
        for shard in readable(shards, self._finished | set(start.past)):
            if shard.shard_id not in self._serving:
                self._serving.add(shard.shard_id)
                tasks.create_task(self._serve_one(shard.shard_id, start), name=shard.shard_id)
        if not self._serving:
            self._trigger.report(NOTHING)

    async def _serve_one(self, shard_id: str, start: Start) -> None:
        checkpoint = self._checkpoints.get(shard_id, ShardCheckpoint())
        position = Position(checkpoint.after, "LATEST" if shard_id in self._latest else "TRIM_HORIZON")
        where = ShardStart(position, start.started_seconds, checkpoint)
        await self._serve(shard_id, where, self._results.of(shard_id))
        self._results.forget(shard_id)
        self._serving.discard(shard_id)
        self._finished.add(shard_id)
        self._ended.set()

    async def _forget(self, shards: Sequence[Shard]) -> None:
        gone = forgettable(self._finished, shards)
        if gone:
            await self._trigger.save_checkpoints(dict.fromkeys(gone))
            self._finished.difference_update(gone)

    async def _shards(self) -> Sequence[Shard]:
        """All shards, as soon as the source tells of them."""
        report = self._results.of("")
        pace = Pace(0.0)
        while True:
            try:
                shards = await self._source.shards()
            except SourceUnavailable as error:
                report(f"PROBLEM: {error}")
                await asyncio.sleep(pace.after_failure())
            else:
                self._results.forget("")
                return shards


def _closed(shards: Sequence[Shard]) -> tuple[str, ...]:
    return tuple(shard.shard_id for shard in shards if shard.is_closed)
