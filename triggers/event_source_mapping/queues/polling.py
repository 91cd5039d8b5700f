"""Receives a mapping's messages: one long poll while little comes, more polls while much does.

A poll asks for no more than can run soon, since what is received is hidden from everybody else: for the slots
that are free, and for what can follow within a tenth of a second, so that short runs need no request each. An
idle mapping costs one request in twenty seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from triggers.aws_calls.errors import ServiceError
from triggers.event_source_mapping.filtering.criteria import FilterCriteria
from triggers.event_source_mapping.queues.batching import Batching
from triggers.event_source_mapping.queues.concurrency import Concurrency
from triggers.event_source_mapping.queues.holding import Holding
from triggers.event_source_mapping.queues.message import Message
from triggers.event_source_mapping.queues.queue import BATCH_ENTRIES
from triggers.event_source_mapping.queues.runs import Runs
from triggers.event_source_mapping.settings import MappingSettings
from triggers.events.sqs import encode_record, record

log = logging.getLogger(__name__)

WAIT_SECONDS = 20
_RECOVERY_WAIT_SECONDS = 1
"""After an outage, so that its end is soon reported."""
MOST_RESERVED = 100
"""Messages that wait for a slot."""
MOST_POLLS = 10
"""Polls of one mapping at the same time."""
_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 20.0
_ROOM_CHECK_SECONDS = 1.0
_LATE_SECONDS = 0.3
"""How long a poll is waited for whose mapping stops."""


class Polling:
    """Feeds `batching`; `function_there` returns when the function can be called (again)."""

    def __init__(
        self,
        settings: MappingSettings,
        holding: Holding,
        batching: Batching,
        runs: Runs,
        concurrency: Concurrency,
        *,
        function_there: Callable[[], Awaitable[None]],
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._filters = FilterCriteria.compile(settings.filters)
        self._holding = holding
        self._batching = batching
        self._runs = runs
        self._concurrency = concurrency
        self._function_there = function_there
        self._report = report
        self._room = asyncio.Event()
        self._asked = 0
        """Messages that the polls under way may bring."""
        self._extra: set[asyncio.Task[None]] = set()

    def freed(self) -> None:
        """There may be room again."""
        self._room.set()

    async def run(self) -> None:
        """Poll until cancelled; survives outages of the queue."""
        retry_seconds, troubled = _FIRST_RETRY_SECONDS, False
        try:
            while True:
                try:
                    await self._poll_once(_RECOVERY_WAIT_SECONDS if troubled else WAIT_SECONDS)
                except ServiceError as error:
                    troubled = True
                    self._report(f"PROBLEM: {error}")
                    await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))
                    retry_seconds = min(_LAST_RETRY_SECONDS, retry_seconds * 2)
                else:
                    if troubled and not self._concurrency.running:
                        self._report("No records processed")
                    retry_seconds, troubled = _FIRST_RETRY_SECONDS, False
        finally:
            for task in self._extra:
                task.cancel()
            await asyncio.gather(*self._extra, return_exceptions=True)

    async def _poll_once(self, wait_seconds: int) -> bool:
        """Whether it brought all it had asked for, so that there may be more. Raises ServiceError."""
        if self._runs.function_gone:
            await self._function_there()
            self._runs.function_gone = False
            self._report("No records processed")
        while (most := self._worth_asking_for()) <= 0:
            self._room.clear()
            with contextlib.suppress(TimeoutError):  # a delete makes room as well, and does not say so
                async with asyncio.timeout(_ROOM_CHECK_SECONDS):
                    await self._room.wait()
        self._asked += most
        try:
            messages = await self._receive(most, wait_seconds)
        finally:
            self._asked -= most
        if not messages:
            self._concurrency.idle()
            return False
        self._take(messages)
        self._poll_more()
        return len(messages) >= most

    async def _receive(self, most: int, wait_seconds: int) -> Sequence[Mapping[str, Any]]:
        receiving = asyncio.ensure_future(self._holding.receive(most, wait_seconds))
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            await self._give_back_late(receiving)
            raise

    async def _give_back_late(self, receiving: asyncio.Future[Sequence[Mapping[str, Any]]]) -> None:
        """We stop; what is on its way to us should not stay hidden from who serves the mapping next."""
        done, _ = await asyncio.wait({receiving}, timeout=_LATE_SECONDS)
        receiving.cancel()
        if done and not receiving.cancelled() and receiving.exception() is None:
            wanted, unwanted = self._read(receiving.result())
            await self._holding.give_back_at_once([*wanted, *unwanted])

    def _worth_asking_for(self) -> int:
        """Messages to ask for now: as many as a request may bring, fewer only where nothing waits to run."""
        most = min(BATCH_ENTRIES, self._free_messages())
        return most if most == BATCH_ENTRIES or not self._runs.waiting else 0

    def _free_messages(self) -> int:
        """How many more messages could start to run soon, or wait for others of their batch."""
        if self._holding.is_full:
            return 0
        batches = self._concurrency.free - self._runs.waiting
        unused = batches * self._settings.batch_size - self._batching.pending - self._asked
        return unused + self._reserve()

    def _reserve(self) -> int:
        """Of a FIFO queue nothing: behind a failure, what was received of a group goes back unrun."""
        if self._settings.is_fifo:
            return 0
        return min(MOST_RESERVED, self._concurrency.soon * self._settings.batch_size)

    def _poll_more(self) -> None:
        """One more poll where there is room for it; it stops when it finds less than it could take."""
        if self._worth_asking_for() > 0 and len(self._extra) < MOST_POLLS - 1:
            task = asyncio.create_task(self._poll_while_full())
            self._extra.add(task)
            task.add_done_callback(self._extra.discard)

    async def _poll_while_full(self) -> None:
        try:
            while await self._poll_once(0):
                pass
        except ServiceError as error:
            log.info("extra_poll_failed", extra={"reason": str(error)})

    def _take(self, received: Sequence[Mapping[str, Any]]) -> None:
        wanted, unwanted = self._read(received)
        self._holding.take([*wanted, *unwanted])
        self._holding.done(unwanted)
        if wanted:
            self._batching.add(wanted)

    def _read(self, received: Sequence[Mapping[str, Any]]) -> tuple[list[Message], list[Message]]:
        """Messages that the filters let pass, and the others."""
        now = asyncio.get_running_loop().time()
        wanted: list[Message] = []
        unwanted: list[Message] = []
        for each in received:
            made = record(each, self._settings.event_source_arn)
            message = self._message(each, encode_record(made), now)
            (wanted if self._filters.admits_message(made) else unwanted).append(message)
        return wanted, unwanted

    def _message(self, received: Mapping[str, Any], encoded: bytes, now: float) -> Message:
        attributes = received.get("Attributes") or {}
        return Message(
            id=received["MessageId"],
            receipt_handle=received["ReceiptHandle"],
            # Standard queues have groups as well (fair queues), and no order within them.
            group=attributes.get("MessageGroupId", "") if self._settings.is_fifo else "",
            record=encoded,
            trace_header=attributes.get("AWSTraceHeader", ""),
            received_at=now,
            hidden_until=now + self._holding.hide_seconds,
        )
