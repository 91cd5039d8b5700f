"""The registry when its Redis goes away and comes back."""

from __future__ import annotations

import asyncio
import random

import pytest

from broker.errors import BrokerError, BrokerUnavailable, FunctionExists, FunctionNotFound
from broker.registry.model import FunctionRecord
from broker.registry.redis_registry import RedisRegistry
from tests.conftest import StartRedis
from tests.contract.test_registry import described, function
from tests.redis_server import RedisServer
from tests.waiting import until

NAMES = [f"f{number}" for number in range(20)]


async def test_a_missing_server_is_reported_at_the_start(tmp_path: object) -> None:
    registry = RedisRegistry(f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(BrokerUnavailable, match="cannot start the registry"):
        await registry.start()
    await registry.close()


async def test_a_killed_server_is_reported_and_its_return_noticed(start_redis: StartRedis) -> None:
    server = start_redis("always")
    registry = RedisRegistry(server.url)
    await registry.start()
    created = await registry.create(function())
    server.kill()
    await until(lambda: registry.cached("hello") is None)
    for attempt in (registry.get("hello"), registry.names(), registry.totals(), registry.delete("hello")):
        with pytest.raises(BrokerUnavailable):
            await attempt
    server.start()
    assert await registry.get("hello") == created
    await until_cached(registry)
    await registry.close()


async def test_a_change_made_while_nobody_listened_is_not_missed(start_redis: StartRedis) -> None:
    server = start_redis("always")
    deaf, other = RedisRegistry(server.url), RedisRegistry(server.url)
    await deaf.start()
    await other.start()
    await deaf.create(function())
    server.kill()
    server.start()
    updated = await other.update("hello", described("while you were out"))
    await until(lambda: deaf.cached("hello") in (None, updated))
    assert await deaf.get("hello") == updated
    await deaf.close()
    await other.close()


async def test_many_readers_of_an_uncached_function_ask_once(
    redis_server: RedisServer, namespace: str
) -> None:
    registry, other = RedisRegistry(redis_server.url, namespace), RedisRegistry(redis_server.url, namespace)
    await registry.start()
    await other.start()
    created = await registry.create(function())
    before = await _commands(registry, "hmget")
    records = await asyncio.gather(*(other.get("hello") for _ in range(50)))
    assert records == [created] * 50
    assert await _commands(registry, "hmget") - before == 1
    await registry.close()
    await other.close()


async def test_namespaces_do_not_meet(redis_server: RedisServer, namespace: str) -> None:
    ours, theirs = (RedisRegistry(redis_server.url, f"{namespace}-{which}") for which in "ab")
    await ours.start()
    await theirs.start()
    await ours.create(function())
    assert list(await theirs.names()) == []
    await theirs.create(function())
    await ours.close()
    await theirs.close()


async def test_a_record_that_cannot_be_read_is_named(redis_server: RedisServer, namespace: str) -> None:
    registry = RedisRegistry(redis_server.url, namespace)
    await registry.start()
    await registry._client.hset(
        f"{namespace}:registry:function:odd", mapping={"generation": 1, "record": "{"}
    )
    with pytest.raises(BrokerError, match="function odd cannot be read"):
        await registry.get("odd")
    await registry.close()


async def until_cached(registry: RedisRegistry) -> FunctionRecord:
    async with asyncio.timeout(10):
        while (held := registry.cached("hello")) is None:
            await registry.get("hello")
    return held


async def _commands(registry: RedisRegistry, command: str) -> int:
    statistics = await registry._client.info("commandstats")
    return int(statistics.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_no_cache_stays_behind_whatever_the_order_of_things(
    redis_server: RedisServer, namespace: str
) -> None:
    """Reads, changes, deletes and losses of connection at random; when all is quiet, caches are right."""
    registries = [RedisRegistry(redis_server.url, namespace) for _ in range(3)]
    for registry in registries:
        await registry.start()
    await asyncio.gather(
        *(_meddle(registry, random.Random(seed)) for seed, registry in enumerate(registries))
    )
    truth = {record.name: record for record in await registries[0].records()}
    for registry in registries:
        for name in NAMES:
            await until(lambda r=registry, n=name: r.cached(n) in (None, truth.get(n)))  # type: ignore[misc]
        await registry.close()


async def _meddle(registry: RedisRegistry, chance: random.Random) -> None:
    for _ in range(200):
        name = chance.choice(NAMES)
        action = chance.choice(
            [
                registry.get,
                registry.get,
                lambda name: registry.update(name, described("x")),
                lambda name: registry.create(function(name)),
                registry.delete,
            ]
        )
        reads = [registry.get(other) for other in NAMES if registry.cached(other) is None]
        results = await asyncio.gather(*reads, action(name), return_exceptions=True)
        for failure in results:
            if isinstance(failure, BaseException) and not isinstance(
                failure, FunctionExists | FunctionNotFound
            ):
                raise failure
        if chance.random() < 0.005:
            await registry._client.client_kill_filter(_type="pubsub")


async def test_what_others_store_is_known_before_anybody_asks(
    redis_server: RedisServer, namespace: str
) -> None:
    writer, reader = RedisRegistry(redis_server.url, namespace), RedisRegistry(redis_server.url, namespace)
    await writer.start()
    await reader.start()
    created = await writer.create(function())
    await until(lambda: reader.cached("hello") == created)
    updated = await writer.update("hello", described("again"))
    await until(lambda: reader.cached("hello") == updated)
    await writer.delete("hello")
    await until(lambda: reader.cached("hello") is None)
    await writer.close()
    await reader.close()
