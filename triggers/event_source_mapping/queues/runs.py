"""Runs the function on a mapping's batches and settles their messages by what it answered.

A function that may not run now (its concurrency is used up, the broker is away) is asked again after a while,
with the messages still in hand: a queue counts receives, and a throttle must not use them up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from broker.errors import (
    BrokerError,
    BrokerUnavailable,
    FunctionNotFound,
    FunctionNotReady,
    RecursiveLoop,
    Throttled,
)
from broker.invocation import Reply
from broker.lineage import is_recursive, merged
from broker.registry.changes import QualifierNotFound
from triggers.event_source_mapping.batch_results import failed_items
from triggers.event_source_mapping.queues.batching import EVENT_BYTES, Batch
from triggers.event_source_mapping.queues.concurrency import Concurrency
from triggers.event_source_mapping.queues.holding import Holding
from triggers.event_source_mapping.queues.message import Message
from triggers.event_source_mapping.queues.message_groups import MessageGroups
from triggers.event_source_mapping.queues.queue import MOST_HIDDEN_SECONDS
from triggers.events.sqs import event

log = logging.getLogger(__name__)

Call = Callable[[bytes, str], Awaitable[Reply]]
"""Runs the function with an event and a trace header; raises what `Caller.call` does."""

_FIRST_WAIT_SECONDS = 0.25
_LAST_WAIT_SECONDS = 10.0
_MOST_HELD_SECONDS = MOST_HIDDEN_SECONDS - 600


class Runs:
    """Batches that wait for a slot, and those that run. `freed` is called when there is room again."""

    def __init__(
        self,
        call: Call,
        holding: Holding,
        concurrency: Concurrency,
        *,
        report_failures: bool,
        report: Callable[[str], None],
        freed: Callable[[], None],
    ) -> None:
        self._call = call
        self._holding = holding
        self._concurrency = concurrency
        self._report_failures = report_failures
        self._report = report
        self._freed = freed
        self._loop = asyncio.get_running_loop()
        self._groups = MessageGroups()
        self._ready: deque[Batch] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.function_gone = False
        """The last call found no function to call; set to False to try again."""

    @property
    def waiting(self) -> int:
        """Batches without a slot yet."""
        return len(self._ready)

    def add(self, batch: Batch) -> None:
        """Run a batch as soon as there is a slot and its message group is free."""
        if self._groups.admit(batch):
            self._ready.append(batch)
            self._start()

    async def drain(self, within_seconds: float) -> None:
        """Give back what waits; let what runs end, and no longer wait for what does not in time."""
        waiting = [message for batch in self._ready for message in batch] + self._groups.take()
        self._ready.clear()
        await self._holding.give_back_at_once(waiting)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> None:
        while self._ready and self._concurrency.free:
            self._concurrency.begin()
            task = asyncio.create_task(self._run(self._ready.popleft()))
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, self._loop.time()))

    def _ended(self, started_at: float, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._concurrency.end(self._loop.time() - started_at)
        if not task.cancelled() and task.exception():
            log.error("batch_not_settled", exc_info=task.exception())
        self._start()
        self._freed()

    async def _run(self, batch: Batch) -> None:
        try:
            await self._run_and_settle(batch)
        except Exception:
            await self._holding.give_back([*batch, *self._groups.failed(batch)])
            raise

    async def _run_and_settle(self, batch: Batch) -> None:
        try:
            reply = await self._reply(batch)
        except RecursiveLoop as loop:
            await self._stop_loop(batch, loop)
            return
        failed = self._failed(batch, reply)
        self._holding.done([message for message in batch if message.id not in failed])
        back = [message for message in batch if message.id in failed]
        if back:
            await self._holding.give_back([*back, *self._groups.failed(batch)])
        else:
            following = self._groups.succeeded(batch)
            if following is not None:
                self._ready.append(following)

    async def _stop_loop(self, batch: Batch, loop: RecursiveLoop) -> None:
        """Leave what the function sent to itself too often to the queue's redrive; run the others."""
        self._report(f"PROBLEM: {loop}")
        name = loop.function_name
        innocent = [message for message in batch if not is_recursive(message.trace_header, name)]
        if batch[0].group:  # they have an order, and go back together
            innocent = []
        kept = frozenset(message.id for message in innocent)
        looping = [message for message in batch if message.id not in kept]
        await self._holding.give_back([*looping, *self._groups.failed(batch)])
        if innocent:
            self._ready.append(innocent)

    def _failed(self, batch: Batch, reply: Reply | None) -> frozenset[str]:
        """Ids of the messages that did not succeed."""
        identifiers = frozenset(message.id for message in batch)
        if reply is None:
            return identifiers
        if reply.failure:
            self._report("PROBLEM: Function call failed")
            return identifiers
        self._report("OK")
        return failed_items(reply.payload, identifiers) if self._report_failures else frozenset()

    async def _reply(self, batch: Batch) -> Reply | None:
        """What the function answers; None where it was not run to an end. Raises RecursiveLoop."""
        payload = event([message.record for message in batch])
        if len(payload) > EVENT_BYTES:
            self._report(f"PROBLEM: a message makes an event of {len(payload)} bytes, over {EVENT_BYTES}")
            return None
        trace_header = merged(message.trace_header for message in batch)
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                return await self._call(payload, trace_header)
            except (Throttled, BrokerUnavailable) as error:
                self._hold_back(error)
            except (FunctionNotFound, QualifierNotFound, FunctionNotReady) as error:
                self.function_gone = True
                self._report(f"PROBLEM: {error}")
                return None
            except RecursiveLoop:
                raise
            except BrokerError as error:
                self._report(f"PROBLEM: {error}")
                return None
            if _age_seconds(batch) > _MOST_HELD_SECONDS:
                return None
            await asyncio.sleep(wait_seconds * random.uniform(0.5, 1.0))
            wait_seconds = min(_LAST_WAIT_SECONDS, wait_seconds * 2)

    def _hold_back(self, error: Throttled | BrokerUnavailable) -> None:
        if isinstance(error, Throttled):
            self._concurrency.throttled()
            self._report("PROBLEM: Function throttled")
        else:
            self._report(f"PROBLEM: {error}")


def _age_seconds(batch: Sequence[Message]) -> float:
    return asyncio.get_running_loop().time() - min(message.received_at for message in batch)
