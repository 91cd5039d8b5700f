"""The messages that a mapping holds: kept hidden as long as they wait or run, shown again when they failed.

A queue shows a message again when its visibility timeout has passed, however long the function still runs. So
what is held is hidden anew when half of the timeout has passed. What failed becomes visible as on AWS: one
visibility timeout after it was received, at once where that has passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from triggers.aws_calls.errors import ServiceError
from triggers.event_source_mapping.queues.message import Message
from triggers.event_source_mapping.queues.queue import MOST_HIDDEN_SECONDS, Queue, in_batches

log = logging.getLogger(__name__)

SHORTEST_HIDE_SECONDS = 10
"""A queue with a shorter timeout would have to be asked all the time."""
MOST_HELD_BYTES = 64 * 1024 * 1024
"""A mapping that holds so much receives nothing more; there may be many mappings in a process."""
MOST_UNDELETED = 1_000
"""Nor one whose queue deletes more slowly than its function runs: what waits must be hidden again and again,
which would leave such a queue even less time."""
_CHECK_SECONDS = 1.0
_FOLLOW_SECONDS = 300.0
_DELETE_GATHER_SECONDS = 0.002
_DELETE_FIRST_RETRY_SECONDS = 0.2
_DELETE_LAST_RETRY_SECONDS = 10.0


class Holding:
    """What one mapping holds of `queue`; `run` keeps it hidden and deletes what succeeded."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self._held: dict[str, Message] = {}
        """By receipt handle, until it is deleted or given back."""
        self._held_bytes = 0
        self._undeleted = 0
        self._deletable: list[Message] = []
        self._to_delete = asyncio.Event()
        self._all_deleted = asyncio.Event()
        self._all_deleted.set()

    @property
    def visibility_seconds(self) -> int:
        """The queue's own timeout."""
        return self.queue.facts.visibility_timeout_seconds

    @property
    def hide_seconds(self) -> int:
        """How long a receive hides a message, and each extension."""
        return max(self.visibility_seconds, SHORTEST_HIDE_SECONDS)

    @property
    def is_full(self) -> bool:
        """Whether what is held is as much as this process, or the queue, can bear."""
        return self._held_bytes >= MOST_HELD_BYTES or self._undeleted >= MOST_UNDELETED

    async def receive(self, most: int, wait_seconds: int) -> Sequence[Mapping[str, Any]]:
        """As `Queue.receive`; `take` what comes. Raises ServiceError."""
        hide_seconds = self.hide_seconds if self.hide_seconds != self.visibility_seconds else None
        return await self.queue.receive(most, wait_seconds, hide_seconds)

    def take(self, messages: Iterable[Message]) -> None:
        """Hold what was received."""
        for message in messages:
            self._held[message.receipt_handle] = message
            self._held_bytes += len(message.record)

    def done(self, messages: Sequence[Message]) -> None:
        """These succeeded: delete them soon, together with others; until then they stay hidden."""
        if messages:
            self._deletable += messages
            self._undeleted += len(messages)
            self._all_deleted.clear()
            self._to_delete.set()

    async def give_back(self, messages: Sequence[Message]) -> None:
        """These failed: let the queue show them when it would have without us."""
        now = asyncio.get_running_loop().time()
        await self._show(
            messages, {m.receipt_handle: m.received_at + self.visibility_seconds - now for m in messages}
        )

    async def give_back_at_once(self, messages: Sequence[Message]) -> None:
        """These were not run: let others have them."""
        await self._show(messages, dict.fromkeys((m.receipt_handle for m in messages), 0.0))

    async def settled(self) -> None:
        """Wait until nothing is left to delete."""
        await self._all_deleted.wait()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_hidden())
            group.create_task(self._delete_what_is_done())
            group.create_task(self._follow_queue())

    def _forget(self, message: Message) -> None:
        if self._held.pop(message.receipt_handle, None) is not None:
            self._held_bytes -= len(message.record)

    async def _show(self, messages: Sequence[Message], seconds: dict[str, float]) -> None:
        """Change by when messages are visible, where it makes a difference of a second or more."""
        now = asyncio.get_running_loop().time()
        for message in messages:
            self._forget(message)
        changed = [m for m in messages if m.hidden_until - now - max(0.0, seconds[m.receipt_handle]) >= 1]

        def rounded(message: Message) -> int:
            return max(0, math.ceil(seconds[message.receipt_handle]))

        for wanted, same in groupby(sorted(changed, key=rounded), key=rounded):
            await self._hide([message.receipt_handle for message in same], wanted)

    async def _keep_hidden(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = loop.time()
            late = [m for m in self._held.values() if m.hidden_until - now < self.hide_seconds / 2]
            due = [m for m in late if now + self.hide_seconds - m.received_at < MOST_HIDDEN_SECONDS]
            for message in due:
                message.hidden_until = now + self.hide_seconds
            if due:
                await self._hide([message.receipt_handle for message in due], self.hide_seconds)

    async def _follow_queue(self) -> None:
        """Somebody may change the queue's visibility timeout."""
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS * random.uniform(0.5, 1.0))
            with contextlib.suppress(ServiceError):
                await self.queue.refresh()

    async def _hide(self, receipt_handles: Sequence[str], seconds: int) -> None:
        """Best effort: a message whose timeout could not be moved comes again, which loses nothing."""
        try:
            left = await in_batches(receipt_handles, partial(self._hide_batch, seconds=seconds))
        except ServiceError as error:
            log.warning("visibility_not_changed", extra={"reason": str(error)})
        else:
            if left:
                log.warning("visibility_not_changed", extra={"messages": len(left)})

    async def _hide_batch(self, receipt_handles: Sequence[str], seconds: int) -> frozenset[str]:
        return await self.queue.hide(receipt_handles, seconds)

    async def _delete_what_is_done(self) -> None:
        delay_seconds = _DELETE_FIRST_RETRY_SECONDS
        while True:
            await self._to_delete.wait()
            await asyncio.sleep(_DELETE_GATHER_SECONDS)
            self._to_delete.clear()
            taken, self._deletable = self._deletable, []
            left = await self._delete(taken)
            if not left:
                delay_seconds = _DELETE_FIRST_RETRY_SECONDS
                if not self._deletable:
                    self._all_deleted.set()
                continue
            self._deletable += left
            self._to_delete.set()
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(_DELETE_LAST_RETRY_SECONDS, delay_seconds * 2)

    async def _delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete them; what is to be tried again. What SQS refuses for good comes again by itself."""
        handles = [message.receipt_handle for message in messages]
        left: frozenset[str] = frozenset()
        try:
            left = await in_batches(handles, self.queue.delete)
        except ServiceError as error:
            log.warning("messages_not_deleted", extra={"reason": str(error), "messages": len(handles)})
        for message in messages:
            if message.receipt_handle not in left:
                self._undeleted -= 1
                self._forget(message)
        return [message for message in messages if message.receipt_handle in left]
