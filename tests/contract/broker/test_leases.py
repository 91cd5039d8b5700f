"""Leases: what a lost consumer held, and who is alive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from broker.errors import LeaseLost
from broker.interface import Broker, Consumer, Delivery
from broker.invocation import (
    Pending,
    Reply,
)
from broker.memory_consumer import MemoryConsumer
from broker.redis_broker.broker import RedisBroker
from broker.redis_broker.link import volatile_prefix
from tests.contract.broker.harness import Harness
from tests.contract.broker.messages import (
    RECOVERY_SECONDS,
    invocation,
    nothing_comes,
    outcome_of,
    take,
    take_one,
)


class TestLeases:
    async def test_async_messages_of_a_dead_consumer_go_to_another_uncharged(
        self, harness: Harness, broker: Broker, consumer: Consumer
    ) -> None:
        doomed_broker = await harness.broker()
        doomed = await doomed_broker.consumer(capacity=4)
        await consumer.stop()
        sent = [invocation() for _ in range(3)]
        for one in sent:
            await broker.publish(one)
        await take(doomed, 3)
        heir = await broker.consumer(capacity=8)
        await harness.crash(doomed_broker, doomed)
        inherited = await take(heir, 3, RECOVERY_SECONDS)
        assert {d.invocation.request_id for d in inherited} == {one.request_id for one in sent}
        assert {(d.attempt, d.deliveries, d.losses) for d in inherited} == {(1, 2, 1)}
        await heir.close()

    async def test_the_caller_of_a_dead_consumers_sync_message_is_told_and_it_never_runs_again(
        self, harness: Harness, broker: Broker
    ) -> None:
        inbox = await broker.inbox()
        doomed_broker = await harness.broker()
        doomed = await doomed_broker.consumer(capacity=4)
        sent = invocation("sync", reply_to=inbox.address)
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        inbox.expect(sent.request_id, told.set_result)
        await broker.publish(sent)
        await take_one(doomed)
        await harness.crash(doomed_broker, doomed)
        async with asyncio.timeout(RECOVERY_SECONDS):
            assert (await told).failure == "Platform"
        heir = await broker.consumer(capacity=8)
        assert await nothing_comes(heir)
        await heir.close()

    async def test_a_live_consumer_keeps_what_it_holds_beyond_any_lease(
        self, broker: Broker, consumer: Consumer, harness: Harness
    ) -> None:
        await broker.publish(invocation())
        delivery = await take_one(consumer)
        await consumer.stop()
        other = await (await harness.broker()).consumer(capacity=1)
        assert list(await other.receive(1, 7.0)) == []
        assert await delivery.ack()
        await other.close()

    async def test_closing_gives_everything_back_at_once(self, broker: Broker, consumer: Consumer) -> None:
        leaving = await broker.consumer(capacity=4)
        await consumer.stop()
        await broker.publish(invocation())
        assert (await take_one(leaving)).deliveries == 1
        await leaving.close()
        await leaving.close()
        heir = await broker.consumer(capacity=4)
        assert (await take_one(heir, 2.0)).attempt == 1
        await heir.close()

    async def test_a_stopped_consumer_gets_no_more(self, broker: Broker, consumer: Consumer) -> None:
        await consumer.stop()
        await consumer.stop()
        assert await broker.publish(invocation()) == "queued"
        assert await nothing_comes(consumer)


async def test_workers_are_listed_with_what_they_run(broker: Broker, consumer: Consumer) -> None:
    named = await broker.consumer(capacity=5, runtimes=["python3.11"])
    rows = {row.epoch: row for row in await broker.workers()}
    assert rows[named.epoch].runtimes == ("python3.11",)
    assert (rows[named.epoch].capacity, rows[named.epoch].alive) == (5, True)
    assert consumer.epoch in rows
    await named.announce(["python3.11", "nodejs22.x"])
    rows = {row.epoch: row for row in await broker.workers()}
    assert rows[named.epoch].runtimes == ("python3.11", "nodejs22.x")
    await named.close()
    assert named.epoch not in {row.epoch for row in await broker.workers()}


async def test_a_fenced_consumer_learns_that_its_lease_is_lost(harness: Harness, broker: Broker) -> None:
    doomed_broker = await harness.broker()
    doomed = await doomed_broker.consumer(capacity=1)
    await broker.publish(invocation())
    delivery = await take_one(doomed)
    await _lapse(harness, doomed_broker, doomed)
    heir = await broker.consumer(capacity=4)
    assert (await take_one(heir, RECOVERY_SECONDS)).deliveries == 2
    with pytest.raises(LeaseLost):
        await _receive_until_lost(doomed)
    assert not await delivery.ack(outcome_of(delivery.invocation))
    assert await broker.outcome(delivery.invocation.request_id) == Pending(delivery.invocation.request_id)
    await heir.close()


async def _lapse(harness: Harness, broker: Broker, consumer: Consumer) -> None:
    """Let the lease lapse while the consumer lives on (a zombie: stopped process, long pause)."""
    if isinstance(consumer, MemoryConsumer):
        consumer.lapse()
        return
    assert isinstance(broker, RedisBroker)
    namespace = broker._options.namespace
    volatile = volatile_prefix(namespace, broker._link.run_id)
    await broker._link.call("DEL", f"{volatile}:lease:{consumer.epoch}")
    await broker._link.run("reclaim", namespace, consumer.epoch)


async def _receive_until_lost(consumer: Consumer) -> Sequence[Delivery]:
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            await consumer.receive(1, 0.5)
