"""Receive while a slot is free, run each delivery in its own task, stop when told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine

from broker.errors import BrokerUnavailable
from broker.interface import Consumer, Delivery

log = logging.getLogger(__name__)

_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.2

Execute = Callable[[Delivery], Coroutine[None, None, None]]


class Loop:
    """The worker's loop; `run` receives, `drain` ends what runs."""

    def __init__(self, consumer: Consumer, execute: Execute, capacity: int) -> None:
        self._consumer = consumer
        self._execute = execute
        self._create_task = asyncio.get_running_loop().create_task
        self._capacity = capacity
        self._running: set[asyncio.Task[None]] = set()
        self._slot_freed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, or LeaseLost: then the process must start afresh."""
        while True:
            free = self._capacity - len(self._running)
            if free <= 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            try:
                deliveries = await self._consumer.receive(free, _WAIT_SECONDS)
            except BrokerUnavailable as error:
                log.warning("receive_failed", extra={"reason": str(error)})
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            for delivery in deliveries:
                self._begin(delivery)

    async def drain(self, grace_seconds: float) -> None:
        """Let running invocations end within the grace, then cancel them: each hands its message back."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=grace_seconds)
        for task in self._running:
            task.cancel()
        while self._running:
            await asyncio.wait(set(self._running))

    def abandon(self) -> None:
        """Stop every run at once without settling: others have the messages."""
        for task in self._running:
            task.cancel()

    def _begin(self, delivery: Delivery) -> None:
        task = self._create_task(self._execute(delivery), name=f"invocation-{delivery.invocation.request_id}")
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slot_freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The delivery stays leased; failing the lease on purpose would fail the healthy ones too.
            log.critical("execution_failed", extra={"task": task.get_name()}, exc_info=error)


async def until(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Await `work` until it ends or `stop` is set, which cancels it. Raises what `work` raises."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
