"""The trigger store in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.errors import BrokerError, TriggerExists, TriggerNotFound
from broker.redis_client import redis_client, translated
from broker.trigger_store import redis_scripts as scripts
from broker.trigger_store.interface import Change
from broker.trigger_store.model import Changes, TriggerRecord, TriggerStatus

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TriggerRecord).decode
_decode_status = msgspec.json.Decoder(TriggerStatus).decode
_CONNECTIONS = 8


class RedisTriggerStore:
    """A `TriggerStore` on Redis at `url`, under keys that start with `namespace`."""

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client = redis_client(url, _CONNECTIONS)
        self._prefix = f"{namespace}:triggers"
        self._store = self._client.register_script(scripts.STORE)
        self._delete = self._client.register_script(scripts.DELETE)
        self._changes = self._client.register_script(scripts.CHANGES)
        self._put_statuses = self._client.register_script(scripts.PUT_STATUSES)
        self._save_checkpoints = self._client.register_script(scripts.SAVE_CHECKPOINTS)
        self._attend = self._client.register_script(scripts.ATTEND)
        self._claim = self._client.register_script(scripts.CLAIM)
        self._release = self._client.register_script(scripts.RELEASE)

    async def start(self) -> None:
        with translated("start the trigger store"):
            await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()

    async def create(self, record: TriggerRecord) -> TriggerRecord:
        stored = await self._swap("", record)
        if stored is None:
            raise TriggerExists(record.id)
        return stored

    async def get(self, trigger_id: str) -> TriggerRecord:
        with translated(f"read trigger {trigger_id}"):
            row: list[Any] = await self._client.hmget(
                f"{self._prefix}:trigger:{trigger_id}", "generation", "record"
            )
        if row[0] is None or row[1] is None:
            raise TriggerNotFound(trigger_id)
        return _record(row[0], row[1])

    async def update(self, trigger_id: str, change: Change) -> TriggerRecord:
        while True:
            current = await self.get(trigger_id)
            stored = await self._swap(str(current.generation), change(current))
            if stored is not None:
                return stored

    async def delete(self, trigger_id: str) -> None:
        with translated(f"delete trigger {trigger_id}"):
            generation = await self._delete(keys=[self._prefix], args=[trigger_id])
        if generation is None:
            raise TriggerNotFound(trigger_id)

    async def changes(self, since: int) -> Changes:
        with translated("read the changes of triggers"):
            generation, whole, deleted, *rows = await self._changes(keys=[self._prefix], args=[since])
        pairs = zip(rows[::2], rows[1::2], strict=True)
        records = tuple(_record(generation, body) for generation, body in pairs)
        return Changes(generation, records, tuple(id_.decode() for id_ in deleted), whole == 1)

    async def put_statuses(self, statuses: Mapping[str, TriggerStatus]) -> None:
        arguments = [part for id_, status in statuses.items() for part in (id_, _encode(status))]
        if arguments:
            with translated("keep how triggers fare"):
                await self._put_statuses(keys=[self._prefix], args=arguments)

    async def statuses(self, trigger_ids: Sequence[str]) -> Mapping[str, TriggerStatus]:
        if not trigger_ids:
            return {}
        with translated("read how triggers fare"):
            found: list[Any] = await self._client.hmget(f"{self._prefix}:status", list(trigger_ids))
        pairs = zip(trigger_ids, found, strict=True)
        return {id_: _decode_status(body) for id_, body in pairs if body is not None}

    async def checkpoints(self, trigger_id: str) -> Mapping[str, bytes]:
        with translated(f"read the checkpoints of trigger {trigger_id}"):
            found: dict[Any, Any] = await self._client.hgetall(f"{self._prefix}:checkpoints:{trigger_id}")
        return {name.decode(): value for name, value in found.items()}

    async def save_checkpoints(
        self, owner: str, trigger_id: str, checkpoints: Mapping[str, bytes | None]
    ) -> bool:
        arguments: list[str | bytes] = [owner, trigger_id]
        for name, value in checkpoints.items():
            arguments += [name, "0" if value is None else "1", value or b""]
        with translated(f"keep the checkpoints of trigger {trigger_id}"):
            saved = await self._save_checkpoints(keys=[self._prefix], args=arguments)
        return bool(saved == 1)

    async def attend(self, owner: str, ttl_ms: int) -> int:
        with translated("attend to triggers"):
            return int(await self._attend(keys=[self._prefix], args=[owner, ttl_ms]))

    async def claim(
        self, owner: str, trigger_ids: Sequence[str], ttl_ms: int, most_new: int
    ) -> frozenset[str]:
        arguments: list[str | int] = [owner, ttl_ms, most_new, *trigger_ids]
        with translated("claim triggers"):
            held = await self._claim(keys=[self._prefix], args=arguments)
        return frozenset(id_.decode() for id_ in held)

    async def release(self, owner: str, trigger_ids: Sequence[str]) -> None:
        if trigger_ids:
            with translated("release triggers"):
                await self._release(keys=[self._prefix], args=[owner, *trigger_ids])

    async def leave(self, owner: str) -> None:
        with translated("leave"):
            await self._client.zrem(f"{self._prefix}:owners", owner)

    async def _swap(self, expected: str, record: TriggerRecord) -> TriggerRecord | None:
        arguments: list[str | bytes] = [record.id, expected, _encode(record)]
        with translated(f"store trigger {record.id}"):
            generation = await self._store(keys=[self._prefix], args=arguments)
        return None if generation is None else replace(record, generation=int(generation))


def _record(generation: bytes, body: bytes) -> TriggerRecord:
    try:
        return replace(_decode(body), generation=int(generation))
    except msgspec.DecodeError as error:
        raise BrokerError(f"the stored record of a trigger cannot be read: {error}") from error
