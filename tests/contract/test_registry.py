"""What every registry keeps, whatever holds its records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec
import pytest

from broker.errors import Conflict, FunctionExists, FunctionNotFound
from broker.registry.interface import Registry, Totals
from broker.registry.memory_registry import Memory, MemoryRegistry
from broker.registry.model import Alias, FunctionConfig, FunctionRecord, Policy, ProvisionedConcurrency
from broker.registry.redis_registry import RedisRegistry
from tests import function_configs
from tests.waiting import until

Open = Callable[[], Awaitable[Registry]]
"""Opens the registry as another process would: same functions, own cache."""


@pytest.fixture(params=["memory", "redis"])
async def open_registry(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[Open]:
    memory = Memory()

    def make() -> Registry:
        if request.param == "memory":
            return MemoryRegistry(memory)
        return RedisRegistry(request.getfixturevalue("redis_server").url, namespace)

    if request.param == "redis":
        request.getfixturevalue("redis_server")
    async with AsyncExitStack() as stack:

        async def open_one() -> Registry:
            registry = make()
            await registry.start()
            stack.push_async_callback(registry.close)
            return registry

        yield open_one


def config(version: str = "$LATEST", code_size: int = 10, description: str = "") -> FunctionConfig:
    extra = {"TracingConfig": msgspec.Raw(b'{"Mode":"Active"}')}
    return function_configs.config(version, code_size=code_size, description=description, extra=extra)


def function(name: str = "hello", code_size: int = 10) -> FunctionRecord:
    return FunctionRecord(name=name, generation=0, latest=config(code_size=code_size))


def described(text: str) -> Callable[[FunctionRecord], FunctionRecord]:
    return lambda record: msgspec.structs.replace(record, latest=config(description=text))


def holds_nothing_older(registry: Registry, name: str, generation: int) -> bool:
    held = registry.cached(name)
    return held is None or held.generation >= generation


async def test_a_created_function_is_read_back_whole(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    record = FunctionRecord(
        name="hello",
        generation=0,
        latest=config(),
        versions={"1": config("1")},
        next_version=2,
        aliases={"live": Alias("live", "1", "r2", additional_version_weights={"2": 0.25})},
        reserved_concurrency=0,
        policies={"$LATEST": Policy("r3", {"sid": msgspec.Raw(b'{"Effect":"Allow"}')})},
        tags={"team": "ops"},
    )
    created = await registry.create(record)
    assert created.generation > 0
    assert msgspec.structs.replace(created, generation=0) == record
    assert msgspec.json.encode(await other.get("hello")) == msgspec.json.encode(created)


async def test_creating_a_function_twice_is_refused(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    await registry.create(function())
    with pytest.raises(FunctionExists):
        await other.create(function())


async def test_of_many_creators_of_one_name_exactly_one_wins(open_registry: Open) -> None:
    registries = [await open_registry() for _ in range(3)]
    results = await asyncio.gather(*(r.create(function()) for r in registries), return_exceptions=True)
    assert sorted(isinstance(result, FunctionExists) for result in results) == [False, True, True]


async def test_an_unknown_function_is_not_found(open_registry: Open) -> None:
    registry = await open_registry()
    assert registry.cached("ghost") is None
    for attempt in (
        registry.get("ghost"),
        registry.at_least("ghost", 1),
        registry.update("ghost", described("x")),
        registry.delete("ghost"),
    ):
        with pytest.raises(FunctionNotFound):
            await attempt


async def test_an_unknown_function_is_found_as_soon_as_it_is_created(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    with pytest.raises(FunctionNotFound):
        await other.get("hello")
    created = await registry.create(function())
    assert await other.get("hello") == created


async def test_a_read_function_is_cached(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    created = await registry.create(function())
    assert await other.get("hello") == created
    assert other.cached("hello") == created


async def test_a_process_sees_its_own_change_at_once(open_registry: Open) -> None:
    registry = await open_registry()
    created = await registry.create(function())
    await registry.get("hello")
    updated = await registry.update("hello", described("new"))
    assert updated.generation > created.generation
    assert registry.cached("hello") in (updated, None)
    assert await registry.get("hello") == updated


async def test_another_process_sees_a_change_soon(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    await registry.create(function())
    await other.get("hello")
    updated = await registry.update("hello", described("new"))
    await until(lambda: holds_nothing_older(other, "hello", updated.generation))
    assert await other.get("hello") == updated


async def test_a_generation_that_the_asker_saw_is_seen_by_the_worker(open_registry: Open) -> None:
    asker, worker = await open_registry(), await open_registry()
    await asker.create(function())
    await worker.get("hello")
    for step in range(20):
        updated = await asker.update("hello", described(str(step)))
        assert await worker.at_least("hello", updated.generation) == updated


async def test_a_generation_that_never_was_gives_what_there_is(open_registry: Open) -> None:
    registry = await open_registry()
    created = await registry.create(function())
    assert await registry.at_least("hello", created.generation + 1000) == created


async def test_concurrent_changes_are_all_applied(open_registry: Open) -> None:
    registries = [await open_registry() for _ in range(3)]
    await registries[0].create(function())

    def publish(record: FunctionRecord) -> FunctionRecord:
        number = str(record.next_version)
        versions = {**record.versions, number: config(number)}
        return msgspec.structs.replace(record, versions=versions, next_version=record.next_version + 1)

    results = await asyncio.gather(*(r.update("hello", publish) for r in registries for _ in range(5)))
    final = await registries[0].at_least("hello", max(result.generation for result in results))
    assert list(final.versions) == [str(number) for number in range(1, 16)]
    assert len({result.generation for result in results}) == 15


async def test_a_change_that_raises_stores_nothing(open_registry: Open) -> None:
    registry = await open_registry()
    created = await registry.create(function())

    def refuse(record: FunctionRecord) -> FunctionRecord:
        raise Conflict("the RevisionId is another one")

    with pytest.raises(Conflict):
        await registry.update("hello", refuse)
    assert await registry.get("hello") == created


async def test_a_deleted_function_is_gone_everywhere(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    await registry.create(function())
    await other.get("hello")
    await registry.delete("hello")
    assert registry.cached("hello") is None
    with pytest.raises(FunctionNotFound):
        await registry.get("hello")
    await until(lambda: other.cached("hello") is None)
    with pytest.raises(FunctionNotFound):
        await other.get("hello")


async def test_a_function_made_again_is_newer_than_all_before(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    await registry.create(function())
    last = await registry.update("hello", described("old life"))
    await other.get("hello")
    await registry.delete("hello")
    again = await registry.create(function())
    assert again.generation > last.generation
    assert await other.at_least("hello", again.generation) == again


async def test_names_come_in_order_and_in_pages(open_registry: Open) -> None:
    registry = await open_registry()
    for name in ("b", "a-2", "B", "a_1", "a", "a-10"):
        await registry.create(function(name))
    ordered = ["B", "a", "a-10", "a-2", "a_1", "b"]
    assert list(await registry.names()) == ordered
    assert list(await registry.names(limit=2)) == ordered[:2]
    assert list(await registry.names(after="a-10", limit=2)) == ordered[3:5]
    assert list(await registry.names(after="a-11")) == ordered[3:]
    assert list(await registry.names(after="b")) == []


async def test_records_come_in_the_order_of_their_names(open_registry: Open) -> None:
    registry = await open_registry()
    for name in ("c", "a", "b"):
        await registry.create(function(name))
    assert [record.name for record in await registry.records(limit=2)] == ["a", "b"]
    assert [record.name for record in await registry.records(after="b")] == ["c"]
    assert list(await registry.records(after="c")) == []


async def test_totals_follow_every_change(open_registry: Open) -> None:
    registry = await open_registry()
    assert await registry.totals() == Totals(functions=0, code_bytes=0)
    await registry.create(function("a", code_size=10))
    await registry.create(function("b", code_size=5))
    assert await registry.totals() == Totals(functions=2, code_bytes=15)
    await registry.update(
        "a", lambda record: msgspec.structs.replace(record, versions={"1": config("1", code_size=7)})
    )
    assert await registry.totals() == Totals(functions=2, code_bytes=22)
    await registry.delete("a")
    assert await registry.totals() == Totals(functions=1, code_bytes=5)


async def test_closing_twice_is_fine(open_registry: Open) -> None:
    registry = await open_registry()
    await registry.close()
    await registry.close()


async def test_the_id_of_a_url_leads_to_its_function_until_it_is_forgotten(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    assert await other.function_of_url("abc") is None
    await registry.name_url("abc", "hello")
    assert await other.function_of_url("abc") == "hello"
    await other.forget_url("abc")
    await other.forget_url("abc")
    assert await registry.function_of_url("abc") is None


async def test_functions_with_provisioned_concurrency_are_found_by_name(open_registry: Open) -> None:
    registry, other = await open_registry(), await open_registry()
    for name in ("b", "a", "c"):
        await registry.create(function(name))
    assert list(await other.provisioned_names()) == []

    def provision(record: FunctionRecord) -> FunctionRecord:
        asked = ProvisionedConcurrency(2, "2026-11-23T09:30:00+0000", "r2")
        return msgspec.structs.replace(record, provisioned={"1": asked})

    for name in ("a", "b", "c"):
        await registry.update(name, provision)
    assert list(await other.provisioned_names()) == ["a", "b", "c"]
    await registry.update("b", lambda record: msgspec.structs.replace(record, provisioned={}))
    await registry.delete("c")
    assert list(await other.provisioned_names()) == ["a"]
    assert (await other.get("a")).provisioned["1"].requested == 2


async def test_all_processes_of_an_installation_know_it_by_one_id(open_registry: Open) -> None:
    first, second = await open_registry(), await open_registry()
    assert await first.installation() == await second.installation()
    assert len(await first.installation()) == 32
