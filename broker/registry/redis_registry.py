"""The registry in Redis: one hash per function, compare-and-set by generation, a cache in each process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from broker.cancellation import end
from broker.errors import BrokerError, BrokerUnavailable, FunctionExists, FunctionNotFound
from broker.redis_client import redis_client, translated
from broker.registry.announcements import Announcements
from broker.registry.cache import RecordCache
from broker.registry.interface import Change, Totals
from broker.registry.model import FunctionRecord
from broker.registry.read_ahead import ReadAhead
from broker.registry.redis_scripts import DELETE, STORE
from broker.single_flight import SingleFlight

_START_TIMEOUT_SECONDS = 10.0

# JSON, not msgpack: records carry members of API requests as raw JSON.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FunctionRecord).decode


class RedisRegistry:
    """A `Registry` on Redis at `url`, under keys that start with `namespace`."""

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client = redis_client(url)
        self._prefix = f"{namespace}:registry"
        self._cache = RecordCache()
        self._ahead = ReadAhead(self._read_missing, self._cache.records)
        changed = self._ahead.changed
        self._announcements = Announcements(self._client, f"{self._prefix}:changes", self._cache, changed)
        self._listener: asyncio.Task[None] | None = None
        self._reads: SingleFlight[FunctionRecord] = SingleFlight()
        self._store = self._client.register_script(STORE)
        self._delete = self._client.register_script(DELETE)
        self.cached = self._cache.records.get

    async def start(self) -> None:
        with translated("start the registry"):
            await self._client.ping()
        self._listener = asyncio.create_task(self._announcements.run(), name="registry-announcements")
        try:
            await asyncio.wait_for(self._announcements.subscribed(), _START_TIMEOUT_SECONDS)
        except TimeoutError:
            raise BrokerUnavailable("cannot subscribe to the registry's changes") from None

    async def close(self) -> None:
        if self._listener is not None:
            await end(self._listener)
            self._listener = None
        await self._ahead.close()
        await self._reads.close()
        await self._client.aclose()

    async def get(self, name: str) -> FunctionRecord:
        return self.cached(name) or await self._read(name)

    async def at_least(self, name: str, generation: int) -> FunctionRecord:
        record = self.cached(name)
        if record is None or record.generation < generation:
            record = await self._read(name)
        if record.generation < generation:
            # The read above may have been one that began before the change.
            record = await self._read_now(name)
        return record

    async def create(self, record: FunctionRecord) -> FunctionRecord:
        stored = await self._swap("", record)
        if stored is None:
            raise FunctionExists(f"function {record.name} exists already")
        return stored

    async def update(self, name: str, change: Change) -> FunctionRecord:
        while True:
            current = await self._read_now(name)
            stored = await self._swap(str(current.generation), change(current))
            if stored is not None:
                return stored

    async def delete(self, name: str) -> None:
        with translated(f"delete function {name}"):
            generation = await self._delete(keys=self._keys(name), args=[name])
        if generation is None:
            raise FunctionNotFound(name)
        self._cache.drop_older(name, int(generation))

    async def names(self, after: str = "", limit: int = 50) -> Sequence[str]:
        start = f"({after}" if after else "-"
        with translated("list functions"):
            found = await self._client.zrangebylex(f"{self._prefix}:names", start, "+", 0, limit)
        return [str(name, "ascii") if isinstance(name, bytes) else name for name in found]

    async def records(self, after: str = "", limit: int = 50) -> Sequence[FunctionRecord]:
        found: list[FunctionRecord] = []
        while len(found) < limit and (names := await self.names(after, limit - len(found))):
            found += await self._read_all(names)
            after = names[-1]
        return found

    async def provisioned_names(self) -> Sequence[str]:
        with translated("list provisioned functions"):
            names: set[Any] = await self._client.smembers(f"{self._prefix}:provisioned")
        return sorted(name.decode() for name in names)

    async def totals(self) -> Totals:
        with translated("count functions"):
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.zcard(f"{self._prefix}:names")
                pipeline.get(f"{self._prefix}:code_bytes")
                functions, code_bytes = await pipeline.execute()
        return Totals(functions=functions, code_bytes=int(code_bytes or 0))

    async def installation(self) -> str:
        key = f"{self._prefix}:installation"
        with translated("read the installation's id"):
            await self._client.set(key, uuid.uuid4().hex, nx=True)
            found: Any = await self._client.get(key)
        identifier: str = found.decode()
        return identifier

    async def name_url(self, url_id: str, function_name: str) -> None:
        with translated("name a function URL"):
            await self._client.hset(f"{self._prefix}:urls", url_id, function_name)

    async def function_of_url(self, url_id: str) -> str | None:
        with translated("find a function URL"):
            found = await self._client.hget(f"{self._prefix}:urls", url_id)
        return None if found is None else str(found, "ascii") if isinstance(found, bytes) else found

    async def forget_url(self, url_id: str) -> None:
        with translated("forget a function URL"):
            await self._client.hdel(f"{self._prefix}:urls", url_id)

    async def _read(self, name: str) -> FunctionRecord:
        return await self._reads.run(name, lambda: self._read_now(name))

    async def _read_now(self, name: str) -> FunctionRecord:
        since = self._cache.now()
        found = await self._read_all([name])
        if not found:
            raise FunctionNotFound(name)
        self._cache.remember(found[0], since)
        return found[0]

    async def _read_missing(self, names: Collection[str]) -> None:
        since = self._cache.now()
        for record in await self._read_all(list(names)):
            self._cache.remember(record, since)

    async def _read_all(self, names: Sequence[str]) -> list[FunctionRecord]:
        """The records of those names that exist, in order."""
        with translated(f"read function {names[0]}"):
            async with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.hmget(self._key(name), "generation", "record")
                rows = await pipeline.execute()
        return [_record(name, *row) for name, row in zip(names, rows, strict=True) if row[0] is not None]

    async def _swap(self, expected: str, record: FunctionRecord) -> FunctionRecord | None:
        since = self._cache.now()
        with translated(f"store function {record.name}"):
            generation = await self._store(
                keys=self._keys(record.name),
                args=[
                    record.name,
                    expected,
                    _encode(record),
                    record.code_bytes,
                    int(bool(record.provisioned)),
                ],
            )
        if generation is None:
            return None
        stored = msgspec.structs.replace(record, generation=int(generation))
        self._cache.drop_older(stored.name, stored.generation)
        self._cache.remember(stored, since)
        return stored

    def _key(self, name: str) -> str:
        return f"{self._prefix}:function:{name}"

    def _keys(self, name: str) -> list[str]:
        rest = ("names", "generation", "code_bytes", "provisioned", "changes")
        return [self._key(name), *(f"{self._prefix}:{key}" for key in rest)]


def _record(name: str, generation: bytes, body: bytes) -> FunctionRecord:
    try:
        return msgspec.structs.replace(_decode(body), generation=int(generation))
    except msgspec.DecodeError as error:  # also of its subclass ValidationError
        raise BrokerError(f"the stored record of function {name} cannot be read: {error}") from error
