"""A Redis list as a queue: entries are bytes as a producer pushed them, or kombu's envelopes.

kombu's own transport is not used: it cannot read plain entries, takes them with a pop that loses one when the
connection dies, and gives unsettled ones to others after a fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Self

from broker.errors import BrokerError
from broker.redis_list import RedisList
from triggers.queues.arrivals import Arrivals
from triggers.queues.gathering import Gathering
from triggers.queues.kombu_envelope import opened
from triggers.queues.message import QueueMessage, SourceUnavailable
from triggers.queues.settings import QueueSettings, masked_url

log = logging.getLogger(__name__)

_BLOCK_SECONDS = 5.0
_MOST_AT_ONCE = 50
_CANCEL_SECONDS = 0.1
_WORTH_A_REQUEST = 4
"""The share of what the window holds beyond one batch that is to be free before more is read."""


class RedisSource:
    """A `QueueSource`; made by `open`. A task of its own waits in Redis for entries."""

    def __init__(self, settings: QueueSettings, reader: str) -> None:
        self._settings = settings
        self._list = RedisList(settings.url, settings.queue, settings.dead_letters, reader)
        self._arrivals = Arrivals()
        self._done = Gathering(self._list.forget)
        self._numbers = itertools.count(1)
        self._in_hand = 0
        spare = settings.window - settings.batch_size  # a batch must fill whatever is not worth a request
        self._worth = max(1, min(_MOST_AT_ONCE, spare // _WORTH_A_REQUEST))
        self._room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: QueueSettings, reader: str) -> Self:
        """Put back what an earlier reader of that name had, and read. Raises SourceUnavailable."""
        source = cls(settings, reader)
        try:
            await source._list.open()
        except BrokerError as error:
            await source.close()
            raise source._unavailable(error) from error
        source._reader = asyncio.create_task(source._read(), name=f"queue-{settings.queue}")
        return source

    async def receive(self, most: int, wait_seconds: float | None) -> Sequence[QueueMessage]:
        return await self._arrivals.take(most, wait_seconds)

    async def ack(self, messages: Sequence[QueueMessage]) -> None:
        with self._settling(len(messages)):
            await self._done.add([message.token for message in messages])

    async def retry(self, message: QueueMessage) -> None:
        with self._settling(1):
            await self._list.put_back(message.token, message.failures + 1)

    async def dead_letter(self, message: QueueMessage, reason: str) -> None:
        with self._settling(1):
            await self._list.dead_letter(message.token)

    async def close(self) -> None:
        if self._reader is not None:
            while not self._reader.done():  # redis-py may swallow a cancellation in the middle of a command
                self._reader.cancel()
                await asyncio.wait({self._reader}, timeout=_CANCEL_SECONDS)
            await self._done.idle()
            await self._list.close()
            with contextlib.suppress(BrokerError):  # then the next reader puts it back
                await self._list.open()
        await self._list.close()

    @contextlib.contextmanager
    def _settling(self, count: int) -> Iterator[None]:
        self._arrivals.check()
        try:
            yield
        except BrokerError as error:
            raise self._unavailable(error) from error
        self._in_hand -= count
        self._room.set()

    async def _read(self) -> None:
        try:
            while True:
                await self._read_some()
        except BrokerError as error:
            self._arrivals.fail(str(self._unavailable(error)))
        except Exception as error:
            log.exception("queue_reader_failed", extra={"queue": self._settings.queue})
            self._arrivals.fail(str(self._unavailable(error)))

    async def _read_some(self) -> None:
        room = min(_MOST_AT_ONCE, self._settings.window - self._in_hand)
        if room < self._worth:
            self._room.clear()
            await self._room.wait()
            return
        entries = await self._list.take(room, _BLOCK_SECONDS)
        self._in_hand += len(entries)
        if entries:
            self._arrivals.add([self._message(entry) for entry in entries])
        elif not self._in_hand:
            await self._list.open()  # for what a broken connection of an earlier reader took last

    def _message(self, entry: bytes) -> QueueMessage:
        content = opened(entry)
        failures = self._list.failures(entry)
        return QueueMessage(
            body=content.body,
            item_identifier=str(next(self._numbers)),
            token=entry,
            headers=content.headers,
            properties=content.properties,
            redelivered=failures > 0,
            failures=failures,
        )

    def _unavailable(self, error: Exception) -> SourceUnavailable:
        reason = str(error) if isinstance(error, BrokerError) else f"reading failed: {error!r}"
        return SourceUnavailable(f"{masked_url(self._settings.url)}: {reason}")
