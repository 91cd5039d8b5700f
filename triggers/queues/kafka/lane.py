"""One partition's records on their way to the function, in order: the next batch waits for this one's end.

Of a batch that failed all comes again, each alone and in order, from the first record that failed on. A
record that fails alone waits longer each time, and the partition with it; after `most_failures` it is set
aside.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from triggers.queues.message import NotPlaced, QueueMessage
from triggers.queues.runs import LAST_DELAY_SECONDS, BatchRuns, Ended
from triggers.queues.settings import QueueSettings


class Outlet(Protocol):
    """Where a lane says what became of its messages."""

    def settle(self, messages: Sequence[QueueMessage]) -> None:
        """They, and all before them, are done."""

    async def dead_letter(self, message: QueueMessage, reason: str) -> str:
        """Set it aside, surely; where it is now. Raises NotPlaced."""


class Lane:
    """Runs what `add` brings until `stop`; `run` is its only task. `busy` while the function runs."""

    def __init__(
        self,
        settings: QueueSettings,
        most_failures: float,
        runs: BatchRuns,
        slots: asyncio.Semaphore,
        outlet: Outlet,
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._most_failures = most_failures
        self._runs = runs
        self._slots = slots
        self._outlet = outlet
        self._report = report
        self._waiting: deque[QueueMessage] = deque()
        self._more = asyncio.Event()
        self._stopping = asyncio.Event()
        self.busy = False

    def add(self, message: QueueMessage) -> None:
        self._waiting.append(message)
        self._more.set()

    def stop(self) -> None:
        """Start nothing more; `run` returns once what runs has ended."""
        self._stopping.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            await self._fill()
            async with self._slots:
                if self._stopping.is_set():
                    return
                self.busy = True
                batch = self._take()
                ended = await self._runs.run(batch)
            delay_seconds = await self._settle(batch, ended)
            self.busy = False
            await self._pause(delay_seconds)

    async def _fill(self) -> None:
        """Return when the first waits, and a batch is full or its window over."""
        await self._until(1)
        window_seconds = self._settings.batching_window_seconds
        if window_seconds and not self._waiting[0].failures:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(window_seconds):
                    await self._until(self._settings.batch_size)

    async def _until(self, count: int) -> None:
        while len(self._waiting) < count:
            self._more.clear()
            await self._more.wait()

    def _take(self) -> list[QueueMessage]:
        """The next batch: one message that failed before, or fresh ones."""
        batch = [self._waiting.popleft()]
        while not batch[0].failures and self._waiting and len(batch) < self._settings.batch_size:
            if self._waiting[0].failures:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _settle(self, batch: list[QueueMessage], ended: Ended) -> float:
        """Until the first message that failed; how long to wait then."""
        for place, message in enumerate(batch):
            if message in ended.failed:
                return await self._after_failure(batch[place:], ended, alone=len(batch) == 1)
            if message in ended.hopeless and not await self._set_aside(message, ended.hopeless[message]):
                self._put_back(batch[place:], ended)
                return 0
            self._outlet.settle([message])
        return 0

    async def _after_failure(self, rest: list[QueueMessage], ended: Ended, *, alone: bool) -> float:
        """`rest` begins with the message that failed. Nobody is set aside for another's failure."""
        first = rest[0]
        if alone and first.failures + 1 >= self._most_failures:
            if await self._set_aside(first, ended.failed[first]):
                self._outlet.settle([first])
            return 0
        self._put_back(rest, ended)
        doublings = min(first.failures, 16)
        return min(LAST_DELAY_SECONDS, self._settings.retry_delay_seconds * float(2**doublings))

    def _put_back(self, rest: list[QueueMessage], ended: Ended) -> None:
        again = [
            replace(message, failures=message.failures + 1, redelivered=True)
            if message in ended.failed
            else message
            for message in rest
        ]
        self._waiting.extendleft(reversed(again))
        self._more.set()

    async def _set_aside(self, message: QueueMessage, reason: str) -> bool:
        """Insist until the message is in the dead-letter topic; false where we stop before."""
        delay_seconds = self._settings.retry_delay_seconds
        while not self._stopping.is_set():
            try:
                place = await self._outlet.dead_letter(message, reason)
            except NotPlaced as error:
                self._report(f"PROBLEM: {error}")
                await self._pause(delay_seconds)
                delay_seconds = min(LAST_DELAY_SECONDS, delay_seconds * 2)
            else:
                self._report(f"PROBLEM: a message went to {place}: {reason}")
                return True
        return False

    async def _pause(self, seconds: float) -> None:
        """Less when we stop."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
