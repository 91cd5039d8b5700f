"""The provisioning store in memory: the plainest reading of the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from broker.provisioning.model import Announcement


class MemoryProvisioningStore:
    """Implements `ProvisioningStore`; processes share it by sharing the object."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, Announcement]] = {}

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def announce(self, announcement: Announcement, ttl_ms: int) -> Sequence[Announcement]:
        self._said[announcement.worker] = (self._clock() + ttl_ms / 1000, announcement)
        return await self.announcements()

    async def withdraw(self, worker: str) -> None:
        self._said.pop(worker, None)

    async def announcements(self) -> Sequence[Announcement]:
        now = self._clock()
        return [announcement for until, announcement in self._said.values() if until > now]
