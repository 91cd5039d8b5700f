"""Triggers are shared among processes, each served by exactly one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from broker.errors import BrokerUnavailable
from broker.trigger_store.directory import Directory
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord
from tests.waiting import until, until_async
from triggers import supervisor as module
from triggers.interface import LeaseGone, RunningTrigger
from triggers.supervisor import Supervisor


class Recording:
    """An adapter that says what runs where, and fails or lingers when told to."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.seen: list[TriggerRecord] = []
        self.most_at_once = 0
        self.failures_left = 0

    async def run(self, trigger: RunningTrigger) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise RuntimeError("the source is odd")
        self.running[trigger.record.id] += 1
        self.most_at_once = max(self.most_at_once, *self.running.values())
        self.seen.append(trigger.record)
        trigger.report("OK")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.running[trigger.record.id] -= 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LEASE_MS", 100)


@pytest.fixture
def store() -> MemoryTriggerStore:
    return MemoryTriggerStore()


def trigger(trigger_id: str) -> TriggerRecord:
    return TriggerRecord(trigger_id, "test", "hello", msgspec.Raw(b"{}"))


def equip(record: TriggerRecord, owner: str, report: Callable[[str], None]) -> RunningTrigger:
    parts = cast(Any, None)
    return RunningTrigger(record, owner, parts, parts, parts, parts, report)


@asynccontextmanager
async def serving(
    store: MemoryTriggerStore, adapter: Recording, owner: str
) -> AsyncIterator[tuple[Supervisor, asyncio.Task[None]]]:
    directory = Directory(store)
    await directory.start()
    supervisor = Supervisor(owner, store, directory, {"test": adapter}, equip)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await directory.close()


async def test_enabled_triggers_of_known_kinds_are_served(store: MemoryTriggerStore) -> None:
    await store.create(trigger("a"))
    await store.create(replace(trigger("b"), enabled=False))
    await store.create(replace(trigger("c"), kind="unknown"))
    adapter = Recording()

    async with serving(store, adapter, "one") as (supervisor, _):
        await until(lambda: supervisor.served == {"a"})

    assert adapter.running["a"] == 0


async def test_a_changed_trigger_is_served_as_it_is_now(store: MemoryTriggerStore) -> None:
    await store.create(trigger("a"))
    adapter = Recording()

    async with serving(store, adapter, "one"):
        await until(lambda: len(adapter.seen) == 1)
        changed = await store.update("a", lambda record: replace(record, qualifier="live"))
        await until(lambda: adapter.seen[-1] == changed)

    assert adapter.most_at_once == 1


async def test_a_disabled_and_a_deleted_trigger_stop(store: MemoryTriggerStore) -> None:
    await store.create(trigger("a"))
    await store.create(trigger("b"))
    adapter = Recording()

    async with serving(store, adapter, "one") as (supervisor, _):
        await until(lambda: supervisor.served == {"a", "b"})
        await store.update("a", lambda record: replace(record, enabled=False))
        await store.delete("b")
        await until(lambda: not supervisor.served)


async def test_processes_share_and_never_serve_the_same_trigger(
    store: MemoryTriggerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LEASE_MS", 5000)  # a busy machine is no dead process
    for number in range(6):
        await store.create(trigger(str(number)))
    adapter = Recording()

    async with serving(store, adapter, "one") as (one, _):
        await until(lambda: len(one.served) == 6)
        async with serving(store, adapter, "two") as (two, _):
            await until(lambda: len(one.served) == len(two.served) == 3)
            assert one.served.isdisjoint(two.served)
        await until(lambda: len(one.served) == 6)

    assert adapter.most_at_once == 1


async def test_what_a_dead_process_served_goes_to_others(store: MemoryTriggerStore) -> None:
    await store.create(trigger("a"))
    await store.attend("dead", 50)
    await store.claim("dead", ["a"], 50, 1)

    async with serving(store, Recording(), "one") as (supervisor, _):
        await until(lambda: supervisor.served == {"a"})


async def test_a_trigger_whose_adapter_fails_is_tried_again_and_says_why(
    store: MemoryTriggerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.runner._FIRST_RETRY_SECONDS", 0.2)
    await store.create(trigger("a"))
    adapter = Recording()
    adapter.failures_left = 1

    async def said(result: str) -> bool:
        statuses = await store.statuses(["a"])
        return bool(statuses) and statuses["a"].last_result == result

    async with serving(store, adapter, "one"):
        await until_async(lambda: said("PROBLEM: the source is odd"))
        await until_async(lambda: said("OK"))


async def test_triggers_stop_before_their_leases_lapse_when_the_store_is_away(
    store: MemoryTriggerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(trigger("a"))

    async def away(*arguments: object) -> int:
        raise BrokerUnavailable("away")

    async with serving(store, Recording(), "one") as (supervisor, _):
        await until(lambda: supervisor.served == {"a"})
        monkeypatch.setattr(module, "LEASE_SECONDS", module._SAFETY_SECONDS + 0.05)
        with monkeypatch.context() as outage:
            outage.setattr(store, "attend", away)
            await until(lambda: not supervisor.served)
        await until(lambda: supervisor.served == {"a"})


async def test_a_trigger_that_loses_its_lease_while_it_stops_does_not_start_again(
    store: MemoryTriggerStore,
) -> None:
    class Losing(Recording):
        async def run(self, trigger: RunningTrigger) -> None:
            try:
                await super().run(trigger)
            except asyncio.CancelledError:
                raise LeaseGone("gone") from None

    await store.create(trigger("a"))
    adapter = Losing()
    async with serving(store, adapter, "one") as (supervisor, _):
        await until(lambda: supervisor.served == {"a"})
    assert len(adapter.seen) == 1
