"""What every trigger store keeps, whatever holds its records."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace

from broker.errors import TriggerExists, TriggerNotFound
from broker.trigger_store.interface import TriggerStore
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord, TriggerStatus
from broker.trigger_store.redis_store import RedisTriggerStore
from tests.waiting import until_async

LONG_MS = 60_000
SHORT_MS = 40


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[TriggerStore]:
    made: TriggerStore = MemoryTriggerStore()
    if request.param == "redis":
        made = RedisTriggerStore(request.getfixturevalue("redis_server").url, namespace)
    await made.start()
    yield made
    await made.close()


def trigger(trigger_id: str = "t1", kind: str = "queue") -> TriggerRecord:
    return TriggerRecord(trigger_id, kind, "hello", msgspec.Raw(b'{"queue":"orders"}'))


async def test_a_created_trigger_is_read_back_whole(store: TriggerStore) -> None:
    created = await store.create(replace(trigger(), qualifier="live", enabled=False, created_ms=7))

    assert await store.get("t1") == created
    assert created.generation > 0


async def test_an_id_is_taken_once(store: TriggerStore) -> None:
    await store.create(trigger())

    with pytest.raises(TriggerExists, match="t1"):
        await store.create(trigger())


async def test_what_does_not_exist_is_said_so(store: TriggerStore) -> None:
    with pytest.raises(TriggerNotFound, match="t1"):
        await store.get("t1")
    with pytest.raises(TriggerNotFound):
        await store.update("t1", lambda record: record)
    with pytest.raises(TriggerNotFound):
        await store.delete("t1")


async def test_an_update_starts_from_what_is_stored(store: TriggerStore) -> None:
    await store.create(trigger())
    await store.update("t1", lambda record: replace(record, enabled=False))

    changed = await store.update("t1", lambda record: replace(record, qualifier="live"))

    assert (changed.enabled, changed.qualifier) == (False, "live")


async def test_changes_tell_everything_at_first_and_then_only_what_is_new(store: TriggerStore) -> None:
    await store.create(trigger("a"))
    second = await store.create(trigger("b"))
    first_look = await store.changes(0)
    assert first_look.whole
    assert {record.id for record in first_look.records} == {"a", "b"}
    assert first_look.generation == second.generation

    await store.delete("a")
    third = await store.create(trigger("c"))
    second_look = await store.changes(first_look.generation)

    assert not second_look.whole
    assert second_look.deleted == ("a",)
    assert second_look.records == (third,)
    assert (await store.changes(second_look.generation)).records == ()


async def test_a_trigger_that_is_made_again_is_not_told_as_deleted(store: TriggerStore) -> None:
    since = (await store.create(trigger())).generation
    await store.delete("t1")
    again = await store.create(trigger())

    changes = await store.changes(since)

    assert (changes.records, changes.deleted) == ((again,), ())


async def test_how_a_trigger_fares_goes_with_it(store: TriggerStore) -> None:
    await store.create(trigger())
    status = TriggerStatus("failing", "PROBLEM: away", 5)
    await store.put_statuses({"t1": status, "nobody": status})
    assert await store.statuses(["t1", "nobody", "other"]) == {"t1": status}

    await store.delete("t1")

    assert await store.statuses(["t1"]) == {}


async def test_owners_that_attend_are_counted(store: TriggerStore) -> None:
    assert await store.attend("one", LONG_MS) == 1
    assert await store.attend("two", LONG_MS) == 2
    assert await store.attend("two", LONG_MS) == 2

    await store.leave("one")

    assert await store.attend("two", LONG_MS) == 1


async def test_a_lease_is_held_by_one_owner(store: TriggerStore) -> None:
    await store.create(trigger())
    assert await store.claim("one", ["t1"], LONG_MS, 1) == {"t1"}

    assert await store.claim("two", ["t1"], LONG_MS, 1) == frozenset()
    await store.release("two", ["t1"])
    assert await store.claim("one", ["t1"], LONG_MS, 0) == {"t1"}

    await store.release("one", ["t1"])
    assert await store.claim("two", ["t1"], LONG_MS, 1) == {"t1"}


async def test_no_more_new_leases_than_asked_for_are_given(store: TriggerStore) -> None:
    for trigger_id in "abc":
        await store.create(trigger(trigger_id))
    await store.claim("one", ["b"], LONG_MS, 1)

    held = await store.claim("one", ["a", "b", "c"], LONG_MS, 1)

    assert len(held) == 2
    assert "b" in held


async def test_a_lease_of_a_trigger_that_does_not_exist_is_not_given(store: TriggerStore) -> None:
    assert await store.claim("one", ["t1"], LONG_MS, 1) == frozenset()


async def test_a_lease_that_is_not_renewed_goes_to_others(store: TriggerStore) -> None:
    await store.create(trigger())
    await store.claim("one", ["t1"], SHORT_MS, 1)

    async def taken() -> bool:
        return await store.claim("two", ["t1"], LONG_MS, 1) == {"t1"}

    await until_async(taken)
    assert await store.claim("one", ["t1"], LONG_MS, 1) == frozenset()


async def test_checkpoints_are_kept_by_the_lease_s_owner_alone(store: TriggerStore) -> None:
    await store.create(trigger())
    await store.claim("one", ["t1"], LONG_MS, 1)
    assert await store.save_checkpoints("one", "t1", {"shard-1": b"\x00\xff", "shard-2": b"5"})

    assert not await store.save_checkpoints("two", "t1", {"shard-1": b"older"})
    assert await store.checkpoints("t1") == {"shard-1": b"\x00\xff", "shard-2": b"5"}

    assert await store.save_checkpoints("one", "t1", {"shard-1": b"9", "shard-2": None})
    assert await store.checkpoints("t1") == {"shard-1": b"9"}


async def test_checkpoints_go_with_their_trigger(store: TriggerStore) -> None:
    await store.create(trigger())
    await store.claim("one", ["t1"], LONG_MS, 1)
    await store.save_checkpoints("one", "t1", {"shard-1": b"1"})

    await store.delete("t1")

    assert await store.checkpoints("t1") == {}
    assert not await store.save_checkpoints("one", "t1", {"shard-1": b"1"})
