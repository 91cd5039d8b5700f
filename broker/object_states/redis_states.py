"""Object states in Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace as changed

from broker.object_states import redis_scripts as scripts
from broker.object_states.interface import Stretch
from broker.object_states.model import ObjectState, pack, unpack
from broker.redis_client import redis_client, translated

MOST_PAGES = 8
MOST_NOTES = 5000
"""How much of a bucket is read at one time."""

_CONNECTIONS = 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ObjectState).decode


class RedisObjectStates:
    """`ObjectStates` on the Redis of the trigger store."""

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client: Any = redis_client(url, _CONNECTIONS)
        self._prefix = f"{namespace}:triggers"
        self._note = self._client.register_script(scripts.NOTE)
        self._replace = self._client.register_script(scripts.REPLACE)
        self._drop_notes = self._client.register_script(scripts.DROP_NOTES)

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        await self._client.aclose()

    async def now_ms(self) -> int:
        with translated("read the time"):
            seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def lock(self, trigger_id: str, keys: Sequence[str], seconds: float) -> frozenset[str]:
        with translated(f"lock objects of trigger {trigger_id}"):
            async with self._client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.set(self._lock_key(trigger_id, key), "1", nx=True, px=round(seconds * 1000))
                got = await pipeline.execute()
        return frozenset(key for key, held in zip(keys, got, strict=True) if held)

    async def unlock(self, trigger_id: str, keys: Sequence[str]) -> None:
        if keys:
            with translated(f"unlock objects of trigger {trigger_id}"):
                await self._client.delete(*(self._lock_key(trigger_id, key) for key in keys))

    async def find(self, trigger_id: str, key: str) -> ObjectState | None:
        noted = await self.notes(trigger_id, [key])
        if key in noted:
            return noted[key]
        with translated(f"read what is known of trigger {trigger_id}"):
            [*ends] = await self._client.zrangebylex(
                self._key(trigger_id, "ends"), b"[" + _bytes(key), b"+", 0, 1
            )
            page = await self._client.hget(self._key(trigger_id, "pages"), ends[0]) if ends else None
        return unpack(page).get(key) if page else None

    async def notes(self, trigger_id: str, keys: Sequence[str]) -> Mapping[str, ObjectState]:
        if not keys:
            return {}
        with translated(f"read notes of trigger {trigger_id}"):
            found = await self._client.hmget(self._key(trigger_id, "notes"), [_bytes(key) for key in keys])
        return {key: _decode(note) for key, note in zip(keys, found, strict=True) if note is not None}

    async def note(self, trigger_id: str, key: str, state: ObjectState) -> None:
        noted = changed(state, noted_ms=await self.now_ms())
        with translated(f"note an object of trigger {trigger_id}"):
            await self._note(keys=[self._prefix], args=[trigger_id, _bytes(key), _encode(noted)])

    async def read(self, trigger_id: str, after: str, upto: str | None) -> Stretch:
        with translated(f"read what is known of trigger {trigger_id}"):
            ends = await self._ends(trigger_id, after, upto)
            noted = await self._noted(trigger_id, after, upto)
            upto = _bound(upto, ends[MOST_PAGES - 1 :], noted[MOST_NOTES - 1 :])
            pages = await self._client.hmget(self._key(trigger_id, "pages"), ends) if ends else []
            keys = [key for key in noted if upto is None or key <= _bytes(upto)]
            notes = await self._client.hmget(self._key(trigger_id, "notes"), keys) if keys else []
        return _stretch(after, upto, ends, pages, dict(zip(keys, notes, strict=True)))

    async def replace(
        self,
        owner: str,
        trigger_id: str,
        stretch: Stretch,
        states: Mapping[str, ObjectState],
        notes: Mapping[str, ObjectState | None],
    ) -> bool:
        coming = [_page(stretch.before), _page(states, stretch.upto), _page(stretch.rest)]
        pages = [part for page in coming if page for part in page]
        arguments: list[Any] = [
            owner,
            trigger_id,
            len(stretch.pages),
            *stretch.pages,
            len(pages) // 2,
            *pages,
        ]
        for key, note in notes.items():
            arguments += [_bytes(key), stretch.notes.get(key, b""), _encode(note) if note else b""]
        with translated(f"keep what is known of trigger {trigger_id}"):
            return bool(await self._replace(keys=[self._prefix], args=arguments) == 1)

    async def trim(self, trigger_id: str, before_ms: int) -> None:
        with translated(f"drop old notes of trigger {trigger_id}"):
            old: list[bytes] = []
            async for key, note in self._client.hscan_iter(self._key(trigger_id, "notes"), count=1000):
                old += (key, note) if _decode(note).noted_ms < before_ms else ()
            for start in range(0, len(old), 2000):
                await self._drop_notes(keys=[self._prefix], args=[trigger_id, *old[start : start + 2000]])

    async def forget(self, trigger_id: str) -> None:
        with translated(f"forget the objects of trigger {trigger_id}"):
            parts = ("pages", "ends", "notes", "noted")
            await self._client.delete(*(self._key(trigger_id, part) for part in parts))

    async def _ends(self, trigger_id: str, after: str, upto: str | None) -> list[bytes]:
        """The last keys of the pages that hold the stretch: up to the first that reaches `upto`."""
        found: list[bytes] = await self._client.zrangebylex(
            self._key(trigger_id, "ends"), _after(after), b"+", 0, MOST_PAGES
        )
        if upto is None:
            return found
        beyond = [end for end in found if end >= _bytes(upto)]
        return [end for end in found if end < _bytes(upto)] + beyond[:1]

    async def _noted(self, trigger_id: str, after: str, upto: str | None) -> list[bytes]:
        last = b"+" if upto is None else b"[" + _bytes(upto)
        found: list[bytes] = await self._client.zrangebylex(
            self._key(trigger_id, "noted"), _after(after), last, 0, MOST_NOTES
        )
        return found

    def _key(self, trigger_id: str, part: str) -> str:
        return f"{self._prefix}:objects:{trigger_id}:{part}"

    def _lock_key(self, trigger_id: str, key: str) -> str:
        digest = hashlib.blake2b(_bytes(key), digest_size=16).hexdigest()
        return self._key(trigger_id, f"lock:{digest}")


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _after(key: str) -> bytes:
    return b"(" + _bytes(key) if key else b"-"


def _bound(upto: str | None, *full: list[bytes]) -> str | None:
    """Where a read that came back full has to end: with the last key that it surely covers."""
    bounds = [last[0].decode("utf-8", "surrogatepass") for last in full if last]
    return min([*bounds, *([] if upto is None else [upto])], default=None)


def _stretch(
    after: str,
    upto: str | None,
    ends: list[bytes],
    pages: Iterable[bytes | None],
    notes: dict[bytes, bytes | None],
) -> Stretch:
    states: dict[str, ObjectState] = {}
    before: dict[str, ObjectState] = {}
    rest: dict[str, ObjectState] = {}
    for page in pages:
        for key, state in unpack(page).items() if page else ():
            part = before if key <= after else states if upto is None or key <= upto else rest
            part[key] = state
    read = {key.decode("utf-8", "surrogatepass"): note for key, note in notes.items() if note is not None}
    states |= {key: _decode(note) for key, note in read.items()}
    return Stretch(after, upto, dict(sorted(states.items())), tuple(ends), before, rest, read)


def _page(states: Mapping[str, ObjectState], end: str | None = None) -> tuple[bytes, bytes] | None:
    """A page and its last key; none where there is nothing to hold."""
    there = {key: state for key, state in states.items() if state.present}
    if not there:
        return None
    return _bytes(max(there) if end is None else end), pack(there)
