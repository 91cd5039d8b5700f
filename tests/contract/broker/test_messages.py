"""Messages on their way: accepted whole, received in order, by one consumer each."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from broker.interface import Broker, Consumer
from tests.contract.broker.harness import Harness
from tests.contract.broker.messages import invocation, nothing_comes, outcome_of, take, take_one


async def test_a_published_invocation_arrives_whole(broker: Broker, consumer: Consumer) -> None:
    sent = msgspec.structs.replace(
        invocation(payload=bytes(range(256))), trace_header="Root=1", client_context="{}"
    )
    await broker.publish(sent)
    delivery = await take_one(consumer)
    assert delivery.invocation == sent
    assert (delivery.attempt, delivery.deliveries) == (1, 1)


@pytest.mark.parametrize("size", [0, 300_000, 6_291_556])
async def test_payloads_of_every_allowed_size_arrive(broker: Broker, consumer: Consumer, size: int) -> None:
    await broker.publish(invocation(payload=b"x" * size))
    assert len((await take_one(consumer)).invocation.payload) == size


async def test_what_was_published_before_a_consumer_came_waits_for_it(
    harness: Harness, broker: Broker
) -> None:
    sent = [invocation(function=f"f{i}") for i in range(50)]
    for one in sent:
        assert await broker.publish(one) == "queued"
    late = await broker.consumer(capacity=100)
    assert {d.invocation.request_id for d in await take(late, 50)} == {one.request_id for one in sent}
    await late.close()


async def test_what_is_published_once_is_accepted_once_whatever_became_of_it(
    harness: Harness, broker: Broker, consumer: Consumer
) -> None:
    tick, other = invocation(), await harness.broker()
    accepted = await asyncio.gather(broker.publish_once(tick), other.publish_once(tick))
    assert sorted(accepted) == [False, True]
    delivery = await take_one(consumer)
    assert delivery.invocation == tick
    assert not await broker.publish_once(tick)
    await delivery.ack(outcome_of(tick))
    assert not await broker.publish_once(tick)
    assert await nothing_comes(consumer)
    assert await broker.publish_once(invocation())


async def test_what_is_published_once_waits_for_its_reserved_concurrency(
    broker: Broker, consumer: Consumer
) -> None:
    await broker.set_limit("f", 1)
    for _ in range(2):
        assert await broker.publish_once(invocation())
    assert (await broker.depth()).parked == 1
    await (await take_one(consumer)).ack()
    await (await take_one(consumer)).ack()


async def test_sync_goes_before_async(broker: Broker) -> None:
    for kind in ("async", "async", "sync", "sync"):
        await broker.publish(invocation(kind))
    consumer = await broker.consumer(capacity=2)
    assert [d.invocation.kind for d in await take(consumer, 2)] == ["sync", "sync"]
    await consumer.close()


async def test_receive_returns_nothing_after_its_wait(consumer: Consumer) -> None:
    assert await nothing_comes(consumer)


async def test_a_consumer_never_holds_more_than_its_capacity(broker: Broker, consumer: Consumer) -> None:
    for _ in range(12):
        await broker.publish(invocation())
    held = await take(consumer, 8)
    assert await nothing_comes(consumer)
    await held[0].ack()
    assert await take_one(consumer)


async def test_two_consumers_share_without_overlap(
    harness: Harness, broker: Broker, consumer: Consumer
) -> None:
    other = await (await harness.broker()).consumer(capacity=8)
    for _ in range(16):
        await broker.publish(invocation())
    ids = [d.invocation.request_id for d in await take(consumer, 8) + await take(other, 8)]
    assert len(set(ids)) == 16
    await other.close()


async def test_a_cancelled_receive_loses_nothing(broker: Broker, consumer: Consumer) -> None:
    receiving = asyncio.create_task(consumer.receive(1, 30))
    await asyncio.sleep(0)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    sent = invocation()
    await broker.publish(sent)
    assert (await take_one(consumer)).invocation == sent
