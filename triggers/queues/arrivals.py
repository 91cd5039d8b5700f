"""Messages that a source has read and nobody has asked for yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from triggers.queues.message import QueueMessage, SourceUnavailable


class Arrivals:
    """Filled by a source, emptied by its consumer, on one loop. A failure is told to whoever waits."""

    def __init__(self) -> None:
        self._messages: deque[QueueMessage] = deque()
        self._changed = asyncio.Event()
        self._failure: str | None = None

    def add(self, messages: Sequence[QueueMessage]) -> None:
        self._messages.extend(messages)
        self._changed.set()

    def fail(self, reason: str) -> None:
        """From now on everything raises SourceUnavailable."""
        self._failure = self._failure or reason
        self._changed.set()

    def check(self) -> None:
        """Raises SourceUnavailable after `fail`."""
        if self._failure is not None:
            raise SourceUnavailable(self._failure)

    async def take(self, most: int, wait_seconds: float | None) -> list[QueueMessage]:
        """As `QueueSource.receive`."""
        self.check()
        if not self._messages:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()
            except TimeoutError:
                return []
            self.check()
        return [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
