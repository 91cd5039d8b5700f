"""What every schedule store does: a tick is one process's at a time, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.schedule_store.interface import Look, Registration, ScheduleStore, Tick
from broker.schedule_store.memory_store import MemoryScheduleStore
from broker.schedule_store.redis_store import RedisScheduleStore

CLAIM_MS = 10_000
NOON_MS = 1_773_144_000_000


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[ScheduleStore]:
    made: ScheduleStore = MemoryScheduleStore()
    if request.param == "redis":
        made = RedisScheduleStore(request.getfixturevalue("redis_server").url, namespace)
    await made.start()
    yield made
    await made.close()


async def look(store: ScheduleStore, now_ms: int) -> Look:
    return await store.claim(now_ms, CLAIM_MS, 100)


async def test_a_schedule_is_claimed_when_it_is_due_and_by_one_only(store: ScheduleStore) -> None:
    await store.register([Registration("s", 1, NOON_MS)])
    assert await look(store, NOON_MS - 1) == Look((), NOON_MS)
    looks = await asyncio.gather(*(look(store, NOON_MS + 5) for _ in range(4)))
    assert [tick for found in looks for tick in found.claimed] == [Tick("s", NOON_MS)]


async def test_a_claim_that_came_to_nothing_lapses(store: ScheduleStore) -> None:
    await store.register([Registration("s", 1, NOON_MS)])
    assert (await look(store, NOON_MS)).next_ms == NOON_MS + CLAIM_MS
    assert (await look(store, NOON_MS + CLAIM_MS - 1)).claimed == ()
    assert (await look(store, NOON_MS + CLAIM_MS)).claimed == (Tick("s", NOON_MS),)


async def test_an_advanced_schedule_waits_for_its_next_tick(store: ScheduleStore) -> None:
    await store.register([Registration("s", 1, NOON_MS), Registration("t", 1, NOON_MS + 50)])
    (tick,) = (await look(store, NOON_MS)).claimed
    await store.advance({tick: NOON_MS + 60})
    assert await look(store, NOON_MS + 1) == Look((), NOON_MS + 50)
    assert [tick.schedule_id for tick in (await look(store, NOON_MS + 70)).claimed] == ["t", "s"]


async def test_only_the_tick_that_is_current_can_be_advanced(store: ScheduleStore) -> None:
    await store.register([Registration("s", 1, NOON_MS)])
    await store.advance({Tick("s", NOON_MS): NOON_MS + 60})
    await store.advance({Tick("s", NOON_MS): NOON_MS + 999, Tick("unknown", 1): 2})
    assert (await look(store, NOON_MS + 60)).claimed == (Tick("s", NOON_MS + 60),)


async def test_a_schedule_that_is_over_stays_registered(store: ScheduleStore) -> None:
    await store.register([Registration("s", 1, NOON_MS)])
    await store.advance({Tick("s", NOON_MS): None})
    await store.register([Registration("s", 1, NOON_MS)])
    assert await look(store, NOON_MS) == Look((), None)
    assert await store.registered() == {"s": 1}


async def test_a_later_generation_replaces_the_tick_an_earlier_one_does_not(store: ScheduleStore) -> None:
    await store.register([Registration("s", 2, NOON_MS)])
    await store.register([Registration("s", 1, NOON_MS - 500), Registration("s", 2, NOON_MS - 400)])
    assert (await look(store, NOON_MS - 1)).claimed == ()
    await store.register([Registration("s", 3, NOON_MS - 300)])
    assert (await look(store, NOON_MS - 1)).claimed == (Tick("s", NOON_MS - 300),)


async def test_a_forgotten_schedule_fires_no_more_unless_it_has_changed_since(store: ScheduleStore) -> None:
    await store.register([Registration("s", 2, NOON_MS), Registration("t", 9, NOON_MS)])
    await store.forget({"s": 2, "t": 8, "unknown": 5})
    assert await store.registered() == {"t": 9}
    assert (await look(store, NOON_MS)).claimed == (Tick("t", NOON_MS),)


async def test_a_look_takes_no_more_than_it_asked_for(store: ScheduleStore) -> None:
    await store.register([Registration(f"s{n}", 1, NOON_MS + n) for n in range(5)])
    first = await store.claim(NOON_MS + 9, CLAIM_MS, 3)
    assert [tick.schedule_id for tick in first.claimed] == ["s0", "s1", "s2"]
    assert first.next_ms == NOON_MS + 3
