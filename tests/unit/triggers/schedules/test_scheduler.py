"""Schedules fire once a tick, whoever looks, and whatever happened meanwhile; the clock is the tests'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from broker.caller import Caller
from broker.errors import BrokerUnavailable
from broker.interface import Consumer
from broker.invocation import LATEST, Invocation
from broker.memory import MemoryBroker
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import FunctionConfig, FunctionRecord
from broker.schedule_store.memory_store import MemoryScheduleStore
from broker.settings import Settings
from broker.trigger_store.directory import Directory
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord
from triggers.schedules.scheduler import CLAIM_MS, Scheduler

MINUTE_MS = 60_000
START_MS = 1_782_864_000_000  # 2026-07-01T00:00:00Z
SETTINGS = Settings("unix:///nowhere", Path("/nowhere"), "file:///nowhere")


class Bench:
    """Triggers processes that share stores, a broker and a clock."""

    def __init__(self, broker: MemoryBroker, consumer: Consumer) -> None:
        self.broker, self.consumer = broker, consumer
        self.triggers, self.ticks, self.registry = (
            MemoryTriggerStore(),
            MemoryScheduleStore(),
            MemoryRegistry(),
        )
        self.now_ms = START_MS

    async def process(self) -> Scheduler:
        directory = Directory(self.triggers)
        await directory.refresh()
        caller = Caller(self.broker, await self.broker.inbox(), self.registry, SETTINGS)
        scheduler = Scheduler(directory, self.ticks, self.triggers, caller, SETTINGS, lambda: self.now_ms)
        scheduler.refresh = directory.refresh  # type: ignore[attr-defined]
        return scheduler

    async def add(self, expression: str, trigger_id: str = "s1", **settings: Any) -> TriggerRecord:
        body = msgspec.Raw(json.dumps({"expression": expression, **settings}).encode())
        return await self.triggers.create(
            TriggerRecord(trigger_id, "schedule", "f", body, created_ms=self.now_ms)
        )

    async def fired(self) -> list[Invocation]:
        """What was published since the last time, oldest first."""
        deliveries = await self.consumer.receive(1000, 0.01)
        for delivery in deliveries:
            await delivery.ack()
        return [delivery.invocation for delivery in deliveries]

    async def times(self) -> list[str]:
        return [json.loads(one.payload)["time"] for one in await self.fired()]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    broker = MemoryBroker()
    made = Bench(broker, await broker.consumer(1000))
    await made.registry.create(FunctionRecord("f", 1, FunctionConfig(LATEST, "p", "a.b", "r", "", 1, "", "")))
    yield made
    await broker.close()


async def test_a_function_gets_a_scheduled_event_at_each_tick(bench: Bench) -> None:
    await bench.add("rate(1 minute)")
    process = await bench.process()
    assert 0 < await process.look() <= 1
    assert await bench.fired() == []
    bench.now_ms += MINUTE_MS
    await process.look()
    (event,) = await bench.fired()
    document = json.loads(event.payload)
    assert document == {
        "version": "0",
        "id": event.request_id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-07-01T00:01:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/s1"],
        "detail": {},
    }
    bench.now_ms += MINUTE_MS
    await process.look()
    assert await bench.times() == ["2026-07-01T00:02:00Z"]
    assert (await bench.triggers.statuses(["s1"]))["s1"].last_result == "OK"


async def test_or_the_input_that_was_given(bench: Bench) -> None:
    await bench.add("rate(1 minute)", input={"job": 7})
    await bench.add("rate(1 minute)", "s2", input=None)
    process = await bench.process()
    await process.look()
    bench.now_ms += MINUTE_MS
    await process.look()
    assert sorted(one.payload for one in await bench.fired()) == [b"null", b'{"job":7}']


async def test_several_processes_fire_each_tick_once(bench: Bench) -> None:
    await bench.add("rate(1 minute)")
    processes = [await bench.process() for _ in range(3)]
    for _ in range(5):
        await asyncio.gather(*(process.look() for process in processes))
        bench.now_ms += MINUTE_MS
    await asyncio.gather(*(process.look() for process in processes))
    assert len(set(times := await bench.times())) == len(times) == 5


class Dies(Exception):
    """What kill -9 does, as far as one can in a process."""


@pytest.mark.parametrize("moment", ["before it published", "before it wrote the next tick down"])
async def test_a_tick_of_a_process_that_died_fires_once_all_the_same(
    bench: Bench, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.add("rate(1 minute)", missed="skip")
    dying, other = await bench.process(), await bench.process()
    await asyncio.gather(dying.look(), other.look())

    async def die(*_: Any, **__: Any) -> None:
        raise Dies

    bench.now_ms += MINUTE_MS
    with monkeypatch.context() as patched:
        if moment == "before it published":
            patched.setattr(dying._caller, "send", die)
        else:
            patched.setattr(bench.ticks, "advance", die)
        with pytest.raises(Dies):
            await dying.look()
    bench.now_ms += CLAIM_MS - 1
    await other.look()
    bench.now_ms += 1
    await other.look()
    assert await bench.times() == ["2026-07-01T00:01:00Z"]
    bench.now_ms = START_MS + 2 * MINUTE_MS
    await other.look()
    assert await bench.times() == ["2026-07-01T00:02:00Z"]


async def test_a_tick_that_could_not_be_published_is_published_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.add("rate(1 minute)")
    process = await bench.process()
    await process.look()
    bench.now_ms += MINUTE_MS

    async def away(_: Invocation) -> bool:
        raise BrokerUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(bench.broker, "publish_once", away)
        with pytest.raises(BrokerUnavailable):
            await process.look()
    bench.now_ms += CLAIM_MS
    await process.look()
    assert await bench.times() == ["2026-07-01T00:01:00Z"]


@pytest.mark.parametrize(
    ("missed", "fired"),
    [
        ("skip", []),
        ("once", ["2026-07-01T00:40:00Z"]),
        ("all", ["2026-07-01T00:30:00Z", "2026-07-01T00:40:00Z"]),
    ],
)
async def test_after_a_time_in_which_nobody_looked(bench: Bench, missed: str, fired: list[str]) -> None:
    await bench.add("rate(10 minutes)", missed=missed, missed_window_seconds=900)
    await (await bench.process()).look()
    bench.now_ms += 45 * MINUTE_MS
    process = await bench.process()
    await process.look()
    assert sorted(await bench.times()) == fired
    bench.now_ms += 5 * MINUTE_MS
    await process.look()
    assert await bench.times() == ["2026-07-01T00:50:00Z"]


async def test_changed_disabled_and_removed_schedules_are_followed(bench: Bench) -> None:
    record = await bench.add("rate(1 minute)")
    process = await bench.process()
    await process.look()

    async def change(**members: Any) -> None:
        await bench.triggers.update("s1", lambda current: replace(current, **members))
        await process.refresh()  # type: ignore[attr-defined]
        await process.look()

    await change(settings=msgspec.Raw(b'{"expression":"rate(5 minutes)"}'))
    bench.now_ms += MINUTE_MS
    await process.look()
    assert await bench.fired() == []
    await change(enabled=False)
    bench.now_ms += 10 * MINUTE_MS
    await process.look()
    assert await bench.fired() == []
    await change(enabled=True, settings=record.settings)
    bench.now_ms += MINUTE_MS
    await process.look()
    assert await bench.times() == ["2026-07-01T00:12:00Z"]
    await bench.triggers.delete("s1")
    await process.refresh()  # type: ignore[attr-defined]
    bench.now_ms += MINUTE_MS
    await process.look()
    assert await bench.fired() == []
    assert await bench.ticks.registered() == {}


async def test_a_schedule_that_was_removed_while_nobody_looked_is_forgotten(bench: Bench) -> None:
    await bench.add("rate(1 minute)")
    await (await bench.process()).look()
    await bench.triggers.delete("s1")
    bench.now_ms += MINUTE_MS
    await (await bench.process()).look()
    assert await bench.fired() == []
    assert await bench.ticks.registered() == {}


async def test_a_schedule_that_another_process_knew_first_fires_at_once(bench: Bench) -> None:
    late = await bench.process()
    await late.look()
    await bench.add("rate(1 minute)")
    await (await bench.process()).look()
    bench.now_ms += MINUTE_MS
    await late.look()
    assert await bench.times() == ["2026-07-01T00:01:00Z"]


async def test_a_function_that_is_not_there_is_reported_and_the_schedule_goes_on(bench: Bench) -> None:
    await bench.add("rate(1 minute)")
    process = await bench.process()
    await process.look()
    await bench.registry.delete("f")
    bench.now_ms += MINUTE_MS
    await process.look()
    assert "does not exist" in (await bench.triggers.statuses(["s1"]))["s1"].last_result
    await bench.registry.create(
        FunctionRecord("f", 1, FunctionConfig(LATEST, "p", "a.b", "r", "", 1, "", ""))
    )
    bench.now_ms += MINUTE_MS
    await process.look()
    assert await bench.times() == ["2026-07-01T00:02:00Z"]


async def test_a_single_time_fires_once_and_is_over(bench: Bench) -> None:
    await bench.add("at(2026-07-01T02:00:30)", timezone="Europe/Berlin")
    process = await bench.process()
    await process.look()
    bench.now_ms += 30_000
    await process.look()
    bench.now_ms += 10 * MINUTE_MS
    await process.look()
    await (await bench.process()).look()
    assert await bench.times() == ["2026-07-01T00:00:30Z"]
