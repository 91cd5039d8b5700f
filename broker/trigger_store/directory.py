"""A live copy of all triggers in one process.

It asks for what changed twice a second, which costs one short command and, unlike a subscription, cannot
miss anything. While the store is away it keeps what it knew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from broker.cancellation import end
from broker.errors import BrokerError
from broker.trigger_store.interface import TriggerStore
from broker.trigger_store.model import Changes, TriggerRecord

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


class Directory:
    """All triggers by id. `start` before use; `refresh` after one's own changes."""

    def __init__(self, store: TriggerStore) -> None:
        self._store = store
        self._records: dict[str, TriggerRecord] = {}
        self._generation = 0
        self._listeners: list[Callable[[], None]] = []
        self._refreshing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def records(self) -> Mapping[str, TriggerRecord]:
        """By id, as of the last look. Not to be changed, and not to be kept across awaits."""
        return self._records

    @property
    def generation(self) -> int:
        """Of the last change that `records` shows; never that of a change still to come."""
        return self._generation

    def of_kind(self, kind: str) -> list[TriggerRecord]:
        """All triggers of a kind, in the order of their ids."""
        return sorted((r for r in self._records.values() if r.kind == kind), key=lambda record: record.id)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener`, on the loop, after every look that found a change. Must not raise."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Read all triggers and follow them from here on. Raises BrokerUnavailable."""
        await self.refresh()
        self._task = asyncio.create_task(self._follow(), name="trigger-directory")

    async def close(self) -> None:
        """Follow no longer. Idempotent."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def refresh(self) -> None:
        """Look now. Raises BrokerUnavailable."""
        async with self._refreshing:
            changes = await self._store.changes(self._generation)
            if self._apply(changes):
                for listener in self._listeners:
                    listener()

    def _apply(self, changes: Changes) -> bool:
        """Whether anything is different now."""
        self._generation = changes.generation
        if changes.whole:
            self._records = {record.id: record for record in changes.records}
            return True
        for record in changes.records:
            self._records[record.id] = record
        for trigger_id in changes.deleted:
            self._records.pop(trigger_id, None)
        return bool(changes.records or changes.deleted)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.refresh()
            except BrokerError as error:
                log.warning("triggers_not_read", extra={"reason": str(error)})
