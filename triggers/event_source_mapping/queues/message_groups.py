"""One batch of a message group at a time, in order; different groups side by side."""

from __future__ import annotations

from collections import deque

from triggers.event_source_mapping.queues.batching import Batch
from triggers.event_source_mapping.queues.message import Message


class MessageGroups:
    """Keeps batches of a group that runs waiting behind it. Without a group nothing waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Batch]] = {}

    def admit(self, batch: Batch) -> bool:
        """Whether the batch may run now; else it is kept."""
        group = batch[0].group
        if not group:
            return True
        if group in self._waiting:
            self._waiting[group].append(batch)
            return False
        self._waiting[group] = deque()
        return True

    def succeeded(self, batch: Batch) -> Batch | None:
        """The batch of the same group that runs next, if any."""
        group = batch[0].group
        waiting = self._waiting.get(group)
        if waiting:
            return waiting.popleft()
        self._waiting.pop(group, None)
        return None

    def failed(self, batch: Batch) -> list[Message]:
        """The messages behind a failure: they must not overtake it, and go back as well."""
        waiting = self._waiting.pop(batch[0].group, ())
        return [message for kept in waiting for message in kept]

    def take(self) -> list[Message]:
        """Give up all that waits."""
        taken = [message for waiting in self._waiting.values() for kept in waiting for message in kept]
        self._waiting.clear()
        return taken
