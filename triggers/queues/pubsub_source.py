"""A Pub/Sub subscription as a queue: pulled, kept while its messages are in hand, acknowledged when done.

A failed message is given back to the subscription, not published again: its topic may have others. How often
it failed is remembered here, and lost with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence
from typing import Any, Self

from triggers.queues.arrivals import Arrivals
from triggers.queues.gathering import Gathering
from triggers.queues.message import (
    FAILURES_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    NotPlaced,
    QueueMessage,
    SourceUnavailable,
)
from triggers.queues.pubsub_calls import ACK_DEADLINE_SECONDS, PubSub
from triggers.queues.settings import QueueSettings

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 1000
_MOST_REMEMBERED = 100_000
_MOST_REASON_BYTES = 1000
"""Pub/Sub allows 1024 for the value of an attribute."""


class PubSubSource:
    """A `QueueSource`; made by `open`. One task pulls, another keeps what is in hand."""

    def __init__(self, settings: QueueSettings, calls: PubSub) -> None:
        self._settings = settings
        self._calls = calls
        self._arrivals = Arrivals()
        self._done = Gathering(self._calls.acknowledge)
        self._numbers = itertools.count(1)
        self._in_hand: set[str] = set()
        self._failures: dict[str, int] = {}
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, settings: QueueSettings) -> Self:
        """Make what is missing, and pull. Raises SourceUnavailable."""
        source = cls(settings, await PubSub.connect(settings))
        try:
            await source._calls.make_ready(settings.exchange, settings.dead_letters)
        except BaseException:
            await source.close()
            raise
        for work in (source._pull, source._keep):
            source._tasks.append(asyncio.create_task(source._until_it_fails(work), name=work.__name__))
        return source

    async def receive(self, most: int, wait_seconds: float | None) -> Sequence[QueueMessage]:
        return await self._arrivals.take(most, wait_seconds)

    async def ack(self, messages: Sequence[QueueMessage]) -> None:
        self._arrivals.check()
        await self._done.add([message.token.ack_id for message in messages])
        for message in messages:
            self._failures.pop(message.token.message.message_id, None)
            self._let_go(message)

    async def retry(self, message: QueueMessage) -> None:
        self._arrivals.check()
        self._failures[message.token.message.message_id] = message.failures + 1
        if len(self._failures) > _MOST_REMEMBERED:  # others may have got the oldest, and settled it
            del self._failures[next(iter(self._failures))]
        self._let_go(message)
        await self._calls.keep([message.token.ack_id], 0)

    async def dead_letter(self, message: QueueMessage, reason: str) -> None:
        self._arrivals.check()
        more = {
            FAILURES_HEADER: str(message.failures + 1),
            REASON_HEADER: reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore"),
            QUEUE_HEADER: self._settings.queue,
        }
        letter = {"data": message.body, "attributes": {**message.headers, **more}}
        try:
            await self._calls.publish(self._settings.dead_letters, letter)
        except SourceUnavailable as error:
            raise NotPlaced(f"topic {self._settings.dead_letters} takes no message: {error}") from error
        await self.ack([message])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._done.idle()
        if self._in_hand:
            with contextlib.suppress(SourceUnavailable):  # then they come again after their deadline
                await self._calls.keep(list(self._in_hand), 0)
        self._in_hand.clear()
        await self._calls.close()

    async def _until_it_fails(self, work: Any) -> None:
        try:
            while True:
                await work()
        except SourceUnavailable as error:
            self._arrivals.fail(str(error))
        except Exception as error:
            log.exception("queue_reader_failed", extra={"queue": self._settings.queue})
            self._arrivals.fail(f"reading failed: {error!r}")

    async def _pull(self) -> None:
        room = min(_MOST_AT_ONCE, self._settings.window - len(self._in_hand))
        if room <= 0:
            self._room.clear()
            await self._room.wait()
            return
        received = await self._calls.pull(room)
        self._in_hand.update(each.ack_id for each in received)
        if received:
            self._arrivals.add([self._message(each) for each in received])

    async def _keep(self) -> None:
        await asyncio.sleep(ACK_DEADLINE_SECONDS / 3)
        if self._in_hand:
            await self._calls.keep(list(self._in_hand))

    def _let_go(self, message: QueueMessage) -> None:
        self._in_hand.discard(message.token.ack_id)
        self._room.set()

    def _message(self, received: Any) -> QueueMessage:
        message = received.message
        failures = self._failures.get(message.message_id, 0)
        return QueueMessage(
            body=message.data,
            item_identifier=str(next(self._numbers)),
            token=received,
            headers={name: value for name, value in message.attributes.items() if name != FAILURES_HEADER},
            properties={
                "message_id": message.message_id,
                "ordering_key": message.ordering_key,
                "publish_time": message.publish_time.isoformat() if message.publish_time else None,
            },
            redelivered=failures > 0,
            failures=failures,
        )
