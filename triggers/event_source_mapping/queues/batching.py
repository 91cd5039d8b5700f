"""Puts messages together to batches: by number, by size, and by how long the first may wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from triggers.event_source_mapping.queues.message import Message
from triggers.event_source_mapping.settings import MappingSettings
from triggers.events.sqs import event_bytes

EVENT_BYTES = 6 * 1024 * 1024
"""Largest event of one invocation."""

Batch = Sequence[Message]
Deliver = Callable[[Batch], None]


def split(messages: Iterable[Message], most: int, most_bytes: int = EVENT_BYTES) -> list[list[Message]]:
    """Batches in the order of the messages; one that is too large by itself is a batch of its own."""
    batches: list[list[Message]] = []
    size = 0
    for message in messages:
        added = len(message.record) + 1
        if not batches or len(batches[-1]) >= most or size + added > most_bytes:
            batches.append([])
            size = event_bytes([])
        batches[-1].append(message)
        size += added
    return batches


class Batching:
    """Hands batches to `deliver`; `call_later` (the loop's) starts the window of an incomplete one."""

    def __init__(
        self, settings: MappingSettings, deliver: Deliver, call_later: Callable[..., object]
    ) -> None:
        self._most = settings.batch_size
        self._window_seconds = settings.maximum_batching_window_seconds
        self._by_group = settings.is_fifo
        self._deliver = deliver
        self._call_later = call_later
        self._pending: list[Message] = []
        self._window = 0

    @property
    def pending(self) -> int:
        """Messages that wait for others."""
        return len(self._pending)

    def add(self, messages: Sequence[Message]) -> None:
        """What one receive gave, in its order."""
        if self._by_group:
            for group in dict.fromkeys(message.group for message in messages):
                self._deliver_all([message for message in messages if message.group == group])
        elif not self._window_seconds:
            self._deliver_all(messages)
        else:
            self._gather(messages)

    def take(self) -> list[Message]:
        """Give up what waits."""
        self._window += 1
        taken, self._pending = self._pending, []
        return taken

    def _deliver_all(self, messages: Iterable[Message]) -> None:
        for batch in split(messages, self._most):
            self._deliver(batch)

    def _gather(self, messages: Sequence[Message]) -> None:
        was_empty = not self._pending
        *full, last = split([*self._pending, *messages], self._most) or [[]]
        if len(last) >= self._most:
            full, last = [*full, last], []
        self._pending = last
        if full or was_empty:
            self._window += 1
            if last:
                self._call_later(self._window_seconds, self._close_window, self._window)
        for batch in full:
            self._deliver(batch)

    def _close_window(self, window: int) -> None:
        if window == self._window:
            self._deliver_all(self.take())
