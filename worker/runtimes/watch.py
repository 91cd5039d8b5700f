"""Notices runtimes that are added while the worker runs, and tells the fleet."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

from broker.errors import BrokerUnavailable
from broker.interface import Consumer

WATCH_SECONDS = 2.0


class Factory(Protocol):
    """What has runtimes, and can look again."""

    def runtimes(self) -> tuple[str, ...]: ...

    def look_for_runtimes(self) -> None: ...


async def watch_runtimes(directory: Path, factory: Factory, consumer: Consumer) -> None:
    """Until cancelled. An installation ends with a new entry in `directory`, which must not be there yet."""
    seen = changed_ns(directory)
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        now = changed_ns(directory)
        if now != seen:
            await asyncio.to_thread(factory.look_for_runtimes)
            with contextlib.suppress(BrokerUnavailable):  # told when next looked
                await consumer.announce(factory.runtimes())
                seen = now


def changed_ns(directory: Path) -> int:
    """When an entry was added or taken away last; 0 where there is no directory."""
    try:
        return directory.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
