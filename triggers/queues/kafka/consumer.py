"""A topic served in this process: its reader, a lane for each partition, and their end."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Self

from triggers.queues.consumer import DRAIN_SECONDS
from triggers.queues.kafka.dead_letters import DeadLetters
from triggers.queues.kafka.driver import make_topic
from triggers.queues.kafka.lane import Lane
from triggers.queues.kafka.topic_reader import TopicReader
from triggers.queues.message import QueueMessage
from triggers.queues.runs import BatchRuns
from triggers.queues.settings import QueueSettings

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 1000


class TopicConsumer:
    """Made by `open`. `run` serves until cancelled, then starts nothing more and waits up to `DRAIN_SECONDS`
    for what runs; `close` commits what is done."""

    def __init__(
        self,
        settings: QueueSettings,
        runs: BatchRuns,
        reader: TopicReader,
        dead_letters: DeadLetters | None,
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._runs = runs
        self._reader = reader
        self._report = report
        self._dead_letters = dead_letters
        self._most_failures = math.inf if dead_letters is None else settings.max_receives
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @classmethod
    async def open(
        cls,
        settings: QueueSettings,
        group: str,
        runs: BatchRuns,
        report: Callable[[str], None],
        *,
        set_aside: bool = True,
    ) -> Self:
        """Make the dead-letter topic where it is missing, and read. Raises SourceUnavailable.

        Without `set_aside` there is none: what fails is run until it succeeds.
        """
        reader = await TopicReader.open(settings, group, report)
        try:
            if set_aside:
                await asyncio.to_thread(make_topic, settings, settings.dead_letters)
        except BaseException:
            await asyncio.shield(reader.close())
            raise
        return cls(settings, runs, reader, DeadLetters(settings) if set_aside else None, report)

    async def run(self) -> None:
        """Raises SourceUnavailable when reading is over."""
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    while True:
                        for message in await self._reader.receive(_MOST_AT_ONCE):
                            self._lane(message.token.partition, group).add(message)
                except asyncio.CancelledError:
                    await self._drain()
                    raise
        except* Exception as errors:
            raise errors.exceptions[0] from None

    async def close(self) -> None:
        """Idempotent, never raises."""
        await self._reader.close()

    def settle(self, messages: Sequence[QueueMessage]) -> None:
        self._reader.settle(messages)

    async def dead_letter(self, message: QueueMessage, reason: str) -> str:
        if self._dead_letters is None:
            log.error("record_given_up", extra={"record": message.item_identifier, "reason": reason})
            return "the log"
        await self._dead_letters.add(message, reason)
        return f"the dead-letter topic {self._settings.dead_letters}"

    def _lane(self, partition: int, group: asyncio.TaskGroup) -> Lane:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(
                self._settings, self._most_failures, self._runs, self._slots, self, self._report
            )
            self._tasks[partition] = group.create_task(lane.run(), name=f"partition-{partition}")
        return lane

    async def _drain(self) -> None:
        for lane in self._lanes.values():
            lane.stop()
        busy = [self._tasks[partition] for partition, lane in self._lanes.items() if lane.busy]
        if busy:
            await asyncio.wait(busy, timeout=DRAIN_SECONDS)
