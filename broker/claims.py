"""Taking something once, among many processes: claimed while it is being dealt with, then remembered.

A message's id is claimed before its event is published and kept afterwards. A process that dies in between
leaves a claim that lapses, so that the message may come again: at least once, and twice only then.
"""

from __future__ import annotations

import hashlib
import time
from typing import Literal, Protocol

from broker.redis_client import redis_client, translated

Claim = Literal["new", "busy", "done"]
"""`new`: it is ours now; `busy`: somebody has it in hand; `done`: it has been dealt with."""

_CONNECTIONS = 8


class Claims(Protocol):
    """Names are any text, apart in each scope. All raise BrokerUnavailable."""

    async def claim(self, scope: str, name: str, seconds: float) -> Claim:
        """Take `name` for `seconds`, unless somebody has it or has dealt with it."""

    async def keep(self, scope: str, name: str, seconds: float) -> None:
        """It has been dealt with: remember that for `seconds`."""

    async def release(self, scope: str, name: str) -> None:
        """It has not been dealt with: let others have it."""


class RedisClaims:
    """`Claims` on Redis: `NAMESPACE:claims:SCOPE:DIGEST` is `busy` or `done` until it expires."""

    def __init__(self, url: str, namespace: str = "lightswitch") -> None:
        self._client = redis_client(url, _CONNECTIONS)
        self._prefix = f"{namespace}:claims"

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        await self._client.aclose()

    async def claim(self, scope: str, name: str, seconds: float) -> Claim:
        key = self._key(scope, name)
        with translated(f"claim a message of {scope}"):
            if await self._client.set(key, "busy", nx=True, px=round(seconds * 1000)):
                return "new"
            return "done" if await self._client.get(key) == b"done" else "busy"

    async def keep(self, scope: str, name: str, seconds: float) -> None:
        with translated(f"remember a message of {scope}"):
            await self._client.set(self._key(scope, name), "done", px=round(seconds * 1000))

    async def release(self, scope: str, name: str) -> None:
        with translated(f"release a message of {scope}"):
            await self._client.delete(self._key(scope, name))

    def _key(self, scope: str, name: str) -> str:
        return f"{self._prefix}:{scope}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class MemoryClaims:
    """`Claims` in one process, for unit tests."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], tuple[Claim, float]] = {}

    async def claim(self, scope: str, name: str, seconds: float) -> Claim:
        claim, until = self._held.get((scope, name), ("new", 0.0))
        if until > time.monotonic():
            return claim
        self._held[scope, name] = ("busy", time.monotonic() + seconds)
        return "new"

    async def keep(self, scope: str, name: str, seconds: float) -> None:
        self._held[scope, name] = ("done", time.monotonic() + seconds)

    async def release(self, scope: str, name: str) -> None:
        self._held.pop((scope, name), None)
