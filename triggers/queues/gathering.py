"""Settles together what is done at about the same time: each request costs a disk write or a round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Gathering(Generic[Entry]):
    """One request at a time; what comes while one is under way goes into the next."""

    def __init__(self, settle: Callable[[Sequence[Entry]], Awaitable[None]]) -> None:
        self._settle = settle
        self._entries: list[Entry] = []
        self._next: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def add(self, entries: Sequence[Entry]) -> None:
        """Return when they are settled; if this is cancelled they are, too. Raises what settling raises."""
        self._entries += entries
        if self._next is None:
            self._next = asyncio.create_task(self._run(), name="settle entries")
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._next)

    async def idle(self) -> None:
        """Return when nothing is under way."""
        while self._next is not None or self._one_at_a_time.locked():
            async with self._one_at_a_time:
                pass
            await asyncio.sleep(0)

    async def _run(self) -> None:
        async with self._one_at_a_time:
            entries, self._entries, self._next = self._entries, [], None
            await self._settle(entries)
