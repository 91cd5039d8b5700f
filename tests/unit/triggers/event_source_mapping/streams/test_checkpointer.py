"""Checkpoints are kept one at a time, the newest wins, and a cancellation is never lost."""

from __future__ import annotations

import asyncio

import pytest

from broker.errors import BrokerUnavailable
from tests.waiting import until
from triggers.event_source_mapping.streams import checkpointer as module
from triggers.event_source_mapping.streams.checkpoint import ShardCheckpoint
from triggers.event_source_mapping.streams.checkpointer import Checkpointer


class Store:
    """Keeps what it is given, once `open` is set; unavailable as often as it is told."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.open = asyncio.Event()
        self.failures = 0
        self.swallows_cancellation = False

    async def save(self, checkpoint: ShardCheckpoint) -> None:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            if not self.swallows_cancellation:
                raise
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("away")
        self.kept.append(checkpoint.after)


async def cancelled(task: asyncio.Task[None]) -> bool:
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    return task.cancelled()


async def test_only_the_newest_is_kept_of_what_piled_up() -> None:
    store = Store()
    checkpointer = Checkpointer(store.save)
    task = asyncio.create_task(checkpointer.run())
    for number in range(5):
        checkpointer.put(ShardCheckpoint(str(number)))
        await asyncio.sleep(0)
    store.open.set()
    await until(lambda: store.kept[-1:] == ["4"])
    assert len(store.kept) <= 2
    assert await cancelled(task)


async def test_a_broker_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    store = Store()
    store.open.set()
    store.failures = 2
    checkpointer = Checkpointer(store.save)
    await checkpointer.finish(ShardCheckpoint("9", finished=True))
    assert store.kept == ["9"]


async def test_on_the_way_out_the_newest_is_kept() -> None:
    store = Store()
    store.open.set()
    checkpointer = Checkpointer(store.save)
    task = asyncio.create_task(checkpointer.run())
    await asyncio.sleep(0)
    checkpointer.put(ShardCheckpoint("1"))
    assert await cancelled(task)
    assert store.kept == ["1"]


async def test_a_cancellation_that_the_stores_client_swallowed_still_ends_it() -> None:
    store = Store()
    store.swallows_cancellation = True
    checkpointer = Checkpointer(store.save)
    task = asyncio.create_task(checkpointer.run())
    checkpointer.put(ShardCheckpoint("1"))
    await asyncio.sleep(0.01)
    assert await cancelled(task)
