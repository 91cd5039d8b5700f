"""A Redis list read without losing anything: what is taken stands in a second list until it is settled.

Producers LPUSH; we take from the right with LMOVE (Redis 6.2 or newer). `open` puts back what an earlier
reader left in the second list, so one reader at a time may use a `reader` name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from broker.redis_client import redis_client, translated


class RedisList:
    """One list, its dead-letter list, and what `reader` has in hand. Raises BrokerError of all kinds."""

    def __init__(self, url: str, name: str, dead_letters: str, reader: str) -> None:
        self._redis: Any = redis_client(url, connections=4)
        self._name = name
        self._dead_letters = dead_letters
        self._in_hand = f"{name}:lightswitch:{reader}"
        self._failures = f"{self._in_hand}:failures"
        self._counts: dict[bytes, int] = {}

    async def open(self) -> None:
        """Put back, in order, what was in hand; learn how often entries failed."""
        with translated(f"read the list {self._name}"):
            while await self._redis.lmove(self._in_hand, self._name, "LEFT", "RIGHT") is not None:
                pass
            counts = await self._redis.hgetall(self._failures)
        self._counts = {key: int(count) for key, count in counts.items()}

    async def take(self, most: int, wait_seconds: float) -> list[bytes]:
        """Up to `most` entries that are there, else the next one to come within `wait_seconds` (below 10).

        When this fails or is cancelled, an entry may be in hand unknown: `open` again.
        """
        with translated(f"read the list {self._name}"):
            pipe = self._redis.pipeline(transaction=False)
            for _ in range(most):
                pipe.lmove(self._name, self._in_hand, "RIGHT", "LEFT")
            found = [entry for entry in await pipe.execute() if entry is not None]
            if not found:
                entry = await self._redis.blmove(self._name, self._in_hand, wait_seconds, "RIGHT", "LEFT")
                found = [] if entry is None else [entry]
        return found

    def failures(self, entry: bytes) -> int:
        """How often this entry (or, of those of equal bytes, the worst) has failed."""
        return self._counts.get(_key(entry), 0)

    async def forget(self, entries: Sequence[bytes]) -> None:
        """They are done."""
        with translated(f"settle entries of the list {self._name}"):
            pipe = self._redis.pipeline(transaction=True)
            for entry in entries:
                self._settle(pipe, entry)
            await pipe.execute()
        self._drop_counts(entries)

    async def put_back(self, entry: bytes, failures: int) -> None:
        """To the end of the list; it has failed so often. Entries of equal bytes share the largest count."""
        # Counted first: the entry may be taken again before the answer is here.
        failures = max(failures, self.failures(entry))
        self._counts[_key(entry)] = failures
        with translated(f"put an entry back into the list {self._name}"):
            pipe = self._redis.pipeline(transaction=True)
            pipe.lpush(self._name, entry)
            pipe.lrem(self._in_hand, 1, entry)
            pipe.hset(self._failures, _key(entry), failures)
            await pipe.execute()

    async def dead_letter(self, entry: bytes) -> None:
        """Into the dead-letter list, unchanged."""
        with translated(f"put an entry into the list {self._dead_letters}"):
            pipe = self._redis.pipeline(transaction=True)
            pipe.lpush(self._dead_letters, entry)
            self._settle(pipe, entry)
            await pipe.execute()
        self._drop_counts([entry])

    async def close(self) -> None:
        """Disconnect; what is in hand stays there until `open`, which may be called again."""
        await self._redis.aclose()

    def _settle(self, pipe: Any, entry: bytes) -> None:
        pipe.lrem(self._in_hand, 1, entry)
        if _key(entry) in self._counts:
            pipe.hdel(self._failures, _key(entry))

    def _drop_counts(self, entries: Sequence[bytes]) -> None:
        for entry in entries:
            self._counts.pop(_key(entry), None)


def _key(entry: bytes) -> bytes:
    return hashlib.blake2b(entry, digest_size=16).digest()
