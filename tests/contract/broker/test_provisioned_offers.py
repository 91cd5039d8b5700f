"""Calls of provisioned versions go to workers that offer an environment."""

from __future__ import annotations

import msgspec

from broker.interface import Broker, Consumer
from broker.invocation import (
    Invocation,
)
from tests.contract.broker.messages import invocation, take


def provisioned(function: str = "f") -> Invocation:
    return msgspec.structs.replace(invocation("sync", function), provisioned=True)


async def functions_held(consumer: Consumer, count: int) -> list[str]:
    return sorted(delivery.invocation.function_name for delivery in await take(consumer, count))


async def test_a_provisioned_version_goes_to_who_offers_most_of_it(broker: Broker) -> None:
    first, second = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    first.offer({("f", "$LATEST"): 1, ("g", "$LATEST"): 0})
    second.offer({("f", "$LATEST"): 3, ("g", "$LATEST"): 2})
    for _ in range(4):
        await broker.publish(provisioned())
    await broker.publish(provisioned("g"))

    assert await functions_held(second, 4) == ["f", "f", "f", "g"]
    assert await functions_held(first, 1) == ["f"]
    for consumer in (first, second):
        await consumer.close()


async def test_where_all_that_is_offered_is_taken_the_offering_still_go_first(broker: Broker) -> None:
    offering, other = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    offering.offer({("f", "$LATEST"): 1})
    for _ in range(3):
        await broker.publish(provisioned())
    assert await functions_held(offering, 3) == ["f"] * 3
    for consumer in (offering, other):
        await consumer.close()


async def test_who_offers_and_has_no_room_is_passed_over(broker: Broker) -> None:
    full, other = await broker.consumer(capacity=1), await broker.consumer(capacity=8)
    full.offer({("f", "$LATEST"): 5})
    for _ in range(3):
        await broker.publish(provisioned())
    assert await functions_held(full, 1) == ["f"]
    assert await functions_held(other, 2) == ["f", "f"]
    for consumer in (full, other):
        await consumer.close()


async def test_who_offers_no_more_is_asked_no_more(broker: Broker) -> None:
    former, gone = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    offering = await broker.consumer(capacity=8)
    former.offer({("f", "$LATEST"): 5})
    former.offer({("f", "$LATEST"): -1})
    gone.offer({("f", "$LATEST"): 4})
    await gone.close()
    offering.offer({("f", "$LATEST"): 1})
    for _ in range(2):
        await broker.publish(provisioned())
    assert await functions_held(offering, 2) == ["f", "f"]
    for consumer in (former, offering):
        await consumer.close()


async def test_what_is_under_way_is_not_offered_again_by_a_worker_that_does_not_know_of_it(
    broker: Broker,
) -> None:
    first, second = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    second.offer({("f", "$LATEST"): 1})
    for _ in range(3):
        first.offer({("f", "$LATEST"): 2})
        await broker.publish(provisioned())
    received = await take(first, 2)
    assert await functions_held(second, 1) == ["f"]

    second.offer({("f", "$LATEST"): 2})
    received[0].placed()
    received[0].placed()
    first.offer({("f", "$LATEST"): 1})  # knows of one; the other has not looked for an environment yet
    await broker.publish(provisioned())
    assert await functions_held(second, 1) == ["f"]
    for consumer in (first, second):
        await consumer.close()


async def test_an_environment_that_is_free_again_is_offered_again(broker: Broker) -> None:
    first, second = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    second.offer({("f", "$LATEST"): 0})
    for _ in range(3):
        first.offer({("f", "$LATEST"): 1})
        await broker.publish(provisioned())
        (delivery,) = await take(first, 1)
        delivery.placed()
        await delivery.ack()
    for consumer in (first, second):
        await consumer.close()


async def test_a_large_message_for_who_offers_is_counted_as_all_are(broker: Broker) -> None:
    first, second = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    second.offer({("f", "$LATEST"): 0})
    first.offer({("f", "$LATEST"): 1})
    large = msgspec.structs.replace(provisioned(), payload=b"x" * 1_000_000)
    await broker.publish(large)
    (delivery,) = await take(first, 1)
    assert delivery.invocation == large
    first.offer({("f", "$LATEST"): 1})
    second.offer({("f", "$LATEST"): 1})
    await broker.publish(provisioned())
    assert await functions_held(second, 1) == ["f"]
    for consumer in (first, second):
        await consumer.close()


async def test_a_version_that_is_offered_anew_is_counted_anew(broker: Broker) -> None:
    first, second = await broker.consumer(capacity=8), await broker.consumer(capacity=8)
    first.offer({("f", "$LATEST"): 2})
    await broker.publish(provisioned())
    (delivery,) = await take(first, 1)
    first.offer({("f", "$LATEST"): -1})
    await delivery.ack()
    first.offer({("f", "$LATEST"): 2})
    second.offer({("f", "$LATEST"): 1})
    await broker.publish(provisioned())
    assert await functions_held(first, 1) == ["f"]
    first.offer({("f", "$LATEST"): 1})
    await broker.publish(provisioned())
    assert await functions_held(second, 1) == ["f"]
    for consumer in (first, second):
        await consumer.close()
