"""From messages to runs: batches, concurrency, and what follows a success or a failure.

A message that failed waits in our hands for its delay, then goes to the end of its queue with one more
failure; others pass it meanwhile. From then on it runs alone, so that it spoils no further batch. After
`max_receives` failures it is dead-lettered, and what can never run is at once (`runs.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from triggers.queues.message import NotPlaced, QueueMessage, QueueSource
from triggers.queues.runs import LAST_DELAY_SECONDS, BatchRuns, Invoke, MakeEvent
from triggers.queues.settings import QueueSettings

DRAIN_SECONDS = 3.0


class QueueConsumer:
    """Serves one open source until cancelled; `run` raises SourceUnavailable when the source is lost.

    Cancelled, it starts nothing more and waits up to `DRAIN_SECONDS` for what runs.
    """

    def __init__(
        self,
        source: QueueSource,
        settings: QueueSettings,
        make_event: MakeEvent,
        invoke: Invoke,
        report: Callable[[str], None],
    ) -> None:
        self._source = source
        self._settings = settings
        self._runs = BatchRuns(settings, make_event, invoke, report)
        self._report = report
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._alone: deque[QueueMessage] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    while True:
                        await self._slots.acquire()
                        self._start(group, await self._collect())
                except asyncio.CancelledError:
                    await self._drain()
                    raise
        except* Exception as errors:
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None

    def _start(self, group: asyncio.TaskGroup, batch: Sequence[QueueMessage]) -> None:
        task = group.create_task(self._serve(batch), name=f"batch-{self._settings.queue}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _drain(self) -> None:
        """Give what runs a moment to end; what waits for its delay is put back now."""
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_SECONDS)

    async def _collect(self) -> list[QueueMessage]:
        """The next batch: one message that failed before, or as many fresh ones as the window brings."""
        if self._alone:
            return [self._alone.popleft()]
        fresh: list[QueueMessage] = []
        loop = asyncio.get_running_loop()
        wait_seconds: float | None = None
        ends_at = 0.0
        while len(fresh) < self._settings.batch_size:
            messages = await self._source.receive(self._settings.batch_size - len(fresh), wait_seconds)
            fresh += [message for message in messages if not message.failures]
            self._alone.extend(message for message in messages if message.failures)
            if self._alone and not fresh:
                return [self._alone.popleft()]
            ends_at = ends_at or loop.time() + self._settings.batching_window_seconds
            wait_seconds = ends_at - loop.time()
            if wait_seconds <= 0:
                break
        return fresh

    async def _serve(self, batch: Sequence[QueueMessage]) -> None:
        try:
            ended = await self._runs.run(batch)
        finally:
            self._slots.release()
        unsettled = {**ended.failed, **ended.hopeless}
        succeeded = [message for message in batch if message not in unsettled]
        if succeeded:
            await self._source.ack(succeeded)
        async with asyncio.TaskGroup() as group:
            for message, reason in ended.failed.items():
                group.create_task(self._after_failure(message, reason), name="after-failure")
            for message, reason in ended.hopeless.items():
                group.create_task(self._dead_letter(message, reason), name="dead-letter")

    async def _after_failure(self, message: QueueMessage, reason: str) -> None:
        if message.failures + 1 >= self._settings.max_receives:
            await self._dead_letter(message, reason)
            return
        delay_seconds = self._settings.retry_delay_seconds * 2 ** min(message.failures, 16)
        await self._insist(lambda: self._source.retry(message), min(LAST_DELAY_SECONDS, delay_seconds))

    async def _dead_letter(self, message: QueueMessage, reason: str) -> None:
        await self._insist(lambda: self._source.dead_letter(message, reason), 0)
        place = self._settings.dead_letters
        self._report(f"PROBLEM: a message went to the dead-letter queue {place}: {reason}")

    async def _insist(self, place: Callable[[], Awaitable[None]], delay_seconds: float) -> None:
        """Until the message is where it belongs, or we stop; it is ours so long."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_seconds):
                    await self._stopping.wait()
            try:
                await place()
                return
            except NotPlaced as error:
                self._report(f"PROBLEM: {error}")
            if self._stopping.is_set():
                return
            delay_seconds = min(
                LAST_DELAY_SECONDS, max(self._settings.retry_delay_seconds, delay_seconds * 2)
            )
