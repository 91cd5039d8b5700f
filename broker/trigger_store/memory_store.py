"""The trigger store in memory, for unit tests: the contract's plainest reading."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from broker.errors import TriggerExists, TriggerNotFound
from broker.trigger_store.interface import Change
from broker.trigger_store.model import Changes, TriggerRecord, TriggerStatus


class MemoryTriggerStore:
    """A `TriggerStore` on dictionaries; processes share it by sharing the object."""

    def __init__(self) -> None:
        self._generation = 0
        self._records: dict[str, TriggerRecord] = {}
        self._deleted: dict[str, int] = {}
        self._statuses: dict[str, TriggerStatus] = {}
        self._checkpoints: dict[str, dict[str, bytes]] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._owners: dict[str, float] = {}

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def create(self, record: TriggerRecord) -> TriggerRecord:
        if record.id in self._records:
            raise TriggerExists(record.id)
        return self._keep(record)

    async def get(self, trigger_id: str) -> TriggerRecord:
        if trigger_id not in self._records:
            raise TriggerNotFound(trigger_id)
        return self._records[trigger_id]

    async def update(self, trigger_id: str, change: Change) -> TriggerRecord:
        return self._keep(change(await self.get(trigger_id)))

    async def delete(self, trigger_id: str) -> None:
        await self.get(trigger_id)
        self._generation += 1
        del self._records[trigger_id]
        self._deleted[trigger_id] = self._generation
        for kept in (self._statuses, self._checkpoints, self._leases):
            kept.pop(trigger_id, None)

    async def changes(self, since: int) -> Changes:
        records = sorted(self._records.values(), key=lambda record: record.generation)
        changed = tuple(record for record in records if record.generation > since)
        deleted = tuple(id_ for id_, generation in self._deleted.items() if 0 < since < generation)
        return Changes(self._generation, changed, deleted, whole=since == 0 and self._generation > 0)

    async def put_statuses(self, statuses: Mapping[str, TriggerStatus]) -> None:
        self._statuses |= {id_: status for id_, status in statuses.items() if id_ in self._records}

    async def statuses(self, trigger_ids: Sequence[str]) -> Mapping[str, TriggerStatus]:
        return {id_: self._statuses[id_] for id_ in trigger_ids if id_ in self._statuses}

    async def checkpoints(self, trigger_id: str) -> Mapping[str, bytes]:
        return dict(self._checkpoints.get(trigger_id, {}))

    async def save_checkpoints(
        self, owner: str, trigger_id: str, checkpoints: Mapping[str, bytes | None]
    ) -> bool:
        if self._owner(trigger_id) != owner:
            return False
        kept = {**self._checkpoints.get(trigger_id, {}), **checkpoints}
        self._checkpoints[trigger_id] = {name: value for name, value in kept.items() if value is not None}
        return True

    async def attend(self, owner: str, ttl_ms: int) -> int:
        now = time.monotonic()
        self._owners[owner] = now + ttl_ms / 1000
        self._owners = {name: until for name, until in self._owners.items() if until > now}
        return len(self._owners)

    async def claim(
        self, owner: str, trigger_ids: Sequence[str], ttl_ms: int, most_new: int
    ) -> frozenset[str]:
        held = [id_ for id_ in trigger_ids if self._owner(id_) == owner]
        free = [id_ for id_ in trigger_ids if id_ in self._records and not self._owner(id_)]
        held += free[:most_new]
        until = time.monotonic() + ttl_ms / 1000
        self._leases |= dict.fromkeys(held, (owner, until))
        return frozenset(held)

    async def release(self, owner: str, trigger_ids: Sequence[str]) -> None:
        for id_ in trigger_ids:
            if self._owner(id_) == owner:
                del self._leases[id_]

    async def leave(self, owner: str) -> None:
        self._owners.pop(owner, None)

    def _keep(self, record: TriggerRecord) -> TriggerRecord:
        self._generation += 1
        stored = replace(record, generation=self._generation)
        self._records[stored.id] = stored
        self._deleted.pop(stored.id, None)
        return stored

    def _owner(self, trigger_id: str) -> str:
        owner, until = self._leases.get(trigger_id, ("", 0.0))
        return owner if until > time.monotonic() else ""
