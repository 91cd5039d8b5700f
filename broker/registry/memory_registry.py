"""The registry in memory, for unit tests: the contract's plainest reading."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from broker.errors import FunctionExists, FunctionNotFound
from broker.registry.interface import Change, Totals
from broker.registry.model import FunctionRecord


@dataclass
class Memory:
    """What the registries of several "processes" share."""

    records: dict[str, FunctionRecord] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    generations: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    installation: str = field(default_factory=lambda: uuid.uuid4().hex)


class MemoryRegistry:
    """A `Registry` on a dictionary; others made with the same `memory` see the same functions."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory or Memory()
        self._records = self._memory.records

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def cached(self, name: str) -> FunctionRecord | None:
        return self._records.get(name)

    async def get(self, name: str) -> FunctionRecord:
        if name not in self._records:
            raise FunctionNotFound(name)
        return self._records[name]

    async def at_least(self, name: str, generation: int) -> FunctionRecord:
        return await self.get(name)

    async def create(self, record: FunctionRecord) -> FunctionRecord:
        if record.name in self._records:
            raise FunctionExists(f"function {record.name} exists already")
        return self._store(record)

    async def update(self, name: str, change: Change) -> FunctionRecord:
        return self._store(change(await self.get(name)))

    async def delete(self, name: str) -> None:
        await self.get(name)
        del self._records[name]

    async def names(self, after: str = "", limit: int = 50) -> Sequence[str]:
        return sorted(name for name in self._records if name > after)[:limit]

    async def records(self, after: str = "", limit: int = 50) -> Sequence[FunctionRecord]:
        return [self._records[name] for name in await self.names(after, limit)]

    async def provisioned_names(self) -> Sequence[str]:
        return sorted(name for name, record in self._records.items() if record.provisioned)

    async def totals(self) -> Totals:
        records = self._records.values()
        return Totals(len(records), sum(record.code_bytes for record in records))

    async def installation(self) -> str:
        return self._memory.installation

    async def name_url(self, url_id: str, function_name: str) -> None:
        self._memory.urls[url_id] = function_name

    async def function_of_url(self, url_id: str) -> str | None:
        return self._memory.urls.get(url_id)

    async def forget_url(self, url_id: str) -> None:
        self._memory.urls.pop(url_id, None)

    def _store(self, record: FunctionRecord) -> FunctionRecord:
        stored = msgspec.structs.replace(record, generation=next(self._memory.generations))
        self._records[stored.name] = stored
        return stored
