"""Reads what was announced to have changed, so that the first call after it finds it cached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from broker.cancellation import end
from broker.errors import BrokerError

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.01
"""What changes within it is read together; a deployment changes a function several times."""

AT_ONCE = 100
MOST_WAITING = 1_000
"""More are forgotten: whoever calls them reads them."""

MOST_KEPT = 4_096
"""With so many functions known, no more are read before somebody calls them."""

MOST_TRIES = 5
"""While many functions change, what was read may be overtaken: the cache refuses it."""

Read = Callable[[Collection[str]], Awaitable[None]]
"""Reads the records of these names and caches what exists and was not overtaken. Raises BrokerError."""


class ReadAhead:
    """Of one process's cache; `cached` are its records by name."""

    def __init__(self, read: Read, cached: Collection[str]) -> None:
        self._read = read
        self._cached = cached
        self._waiting: dict[str, int] = {}
        self._reading: asyncio.Task[None] | None = None

    def changed(self, name: str) -> None:
        """A function was stored or deleted."""
        if len(self._waiting) >= MOST_WAITING or len(self._cached) >= MOST_KEPT:
            return
        self._waiting[name] = MOST_TRIES
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._work(), name="registry-read-ahead")

    async def close(self) -> None:
        """Give up what is being read. Idempotent."""
        if self._reading is not None:
            await end(self._reading)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(PAUSE_SECONDS)
                await self._read_some()
        except BrokerError as error:
            self._waiting.clear()
            log.warning("registry_not_read_ahead", extra={"reason": str(error)})
        finally:
            self._reading = None

    async def _read_some(self) -> None:
        missing = [name for name in self._waiting if name not in self._cached]
        names = missing[:AT_ONCE]
        tries = {name: self._waiting[name] for name in names}
        self._waiting = {name: self._waiting[name] for name in missing[AT_ONCE:]}
        if names:
            await self._read(names)
        for name, tries_left in tries.items():
            if name not in self._cached and tries_left > 1:
                self._waiting.setdefault(name, tries_left - 1)
