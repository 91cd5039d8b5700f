"""A Redis that is full refuses what is new, and nothing that it refused is run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.errors import BrokerUnavailable
from broker.interface import Consumer
from broker.invocation import Kind
from broker.redis_broker.broker import RedisBroker
from broker.redis_broker.link import volatile_prefix
from tests.conftest import StartRedis
from tests.contract.broker.messages import invocation
from tests.waiting import until_async


@pytest.fixture
async def broker(start_redis: StartRedis) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(start_redis("everysec").url)
    await broker.start()
    yield broker
    await broker.close()


@pytest.fixture
async def consumer(broker: RedisBroker) -> AsyncIterator[Consumer]:
    consumer = await broker.consumer(8)
    yield consumer
    await consumer.close()


async def fill(broker: RedisBroker) -> None:
    await broker._link.call("CONFIG", "SET", "maxmemory", 1)


async def empty(broker: RedisBroker) -> None:
    await broker._link.call("CONFIG", "SET", "maxmemory", 0)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_worker_gets_what_is_refused(broker: RedisBroker, consumer: Consumer, kind: Kind) -> None:
    await fill(broker)
    with pytest.raises(BrokerUnavailable, match="OOM"):
        await broker.publish(invocation(kind))
    with pytest.raises(BrokerUnavailable, match="OOM"):
        await consumer.announce(["python3.11"])
    await empty(broker)
    accepted = invocation(kind)
    await broker.publish(accepted)
    assert [delivery.invocation for delivery in await consumer.receive(8, 5)] == [accepted]


async def test_a_worker_renews_its_lease_again_when_there_is_room(
    broker: RedisBroker, consumer: Consumer
) -> None:
    lease = f"{volatile_prefix('lightswitch', broker._link.run_id)}:lease:{consumer.epoch}"

    async def left_ms() -> int:
        left = await broker._link.call("PTTL", lease)
        assert isinstance(left, int)
        return left

    async def is_not_renewed() -> bool:
        return await left_ms() < 2000

    async def is_renewed() -> bool:
        return await left_ms() > 3000

    await fill(broker)
    await until_async(is_not_renewed)
    await empty(broker)
    await until_async(is_renewed, within_seconds=2.5)
