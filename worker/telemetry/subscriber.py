"""One subscriber: gathers events into batches, sends them one after the other, drops what is too much."""

from __future__ import annotations

import asyncio
import time

from worker.telemetry.delivery import NotDelivered, Sender
from worker.telemetry.records import Event, encoded
from worker.telemetry.subscription import Subscription

FIRST_PAUSE_SECONDS = 0.05
MOST_TRIES = 6

FALLEN_BEHIND = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."


class Subscriber:
    """At most two batches are in memory: one on its way, one that grows. Nothing is sent while the
    environment is paused."""

    def __init__(self, subscription: Subscription, sender: Sender) -> None:
        self._subscription = subscription
        self._sender = sender
        self._loop = asyncio.get_running_loop()
        self._events: list[bytes] = []
        self._bytes = 0
        self._dropped = [0, 0]
        self._due: asyncio.TimerHandle | None = None
        self._is_due = False
        self._awake = asyncio.Event()
        self._awake.set()
        self.sending: asyncio.Task[None] | None = None
        """While a batch is on its way."""

    def tell(self, event: Event) -> None:
        """Add an event, where it is one of those asked for."""
        if event.category not in self._subscription.types:
            return
        data = encoded(event, self._subscription.schema)
        if data is None:
            return
        limits = self._subscription.buffering
        if self._is_full(len(data)):
            self._flush_if_possible()
        if self._is_full(len(data)):
            self._dropped[0] += 1
            self._dropped[1] += len(data)
            return
        self._events.append(data)
        self._bytes += len(data)
        if self._due is None:
            self._due = self._loop.call_later(limits.timeout_ms / 1000, self.flush)

    def _is_full(self, more_bytes: int) -> bool:
        limits = self._subscription.buffering
        over = self._bytes + more_bytes > limits.max_bytes or len(self._events) >= limits.max_items
        return over and bool(self._events)

    def flush(self) -> None:
        """Send what there is as soon as the batch before it is gone."""
        self._is_due = True
        self._flush_if_possible()

    def pause(self) -> None:
        """The environment is frozen: nobody would answer."""
        self._awake.clear()

    def resume(self) -> None:
        """It goes on."""
        self._awake.set()

    def close(self) -> None:
        """The environment is gone. Idempotent."""
        if self._due is not None:
            self._due.cancel()
        if self.sending is not None:
            self.sending.cancel()
        self._sender.close()

    def _flush_if_possible(self) -> None:
        if self.sending is not None or not self._events:
            return
        if self._due is not None:
            self._due.cancel()
            self._due = None
        batch, self._events, self._bytes, self._is_due = self._events, [], 0, False
        self.sending = asyncio.create_task(self._send(batch), name="deliver telemetry")

    async def _send(self, batch: list[bytes]) -> None:
        reason = await self._try_to_send(batch)
        self.sending = None
        if reason:
            self._tell_of_loss(reason, len(batch), sum(map(len, batch)))
        if self._dropped[0]:
            lost, self._dropped = self._dropped, [0, 0]
            self._tell_of_loss(FALLEN_BEHIND, *lost)
        if self._is_due:
            self._flush_if_possible()

    async def _try_to_send(self, batch: list[bytes]) -> str:
        """Why it was given up; empty when it was sent."""
        reason = ""
        for number in range(MOST_TRIES):
            await self._awake.wait()
            try:
                await self._sender.send(batch)
            except NotDelivered as error:
                reason = str(error)
            else:
                return ""
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**number)
        return f"Could not send events: {reason}"

    def _tell_of_loss(self, reason: str, records: int, size: int) -> None:
        record = {"reason": reason, "droppedRecords": records, "droppedBytes": size}
        self.tell(Event(time.time(), "platform", "platform.logsDropped", record))
