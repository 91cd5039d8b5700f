"""How a message in hand ends: acknowledged, released, amended, set aside."""

from __future__ import annotations

import asyncio

import msgspec

from broker.errors import BrokerError, Throttled
from broker.interface import Broker, Consumer
from broker.invocation import (
    Outcome,
    Pending,
    new_request_id,
    now_ms,
)
from tests.contract.broker.harness import Harness
from tests.contract.broker.messages import (
    RECOVERY_SECONDS,
    WAIT_SECONDS,
    ended,
    invocation,
    nothing_comes,
    outcome_of,
    take,
    take_one,
)
from tests.waiting import until_async


async def test_an_acknowledged_message_is_gone_and_its_outcome_stays(
    broker: Broker, consumer: Consumer
) -> None:
    sent = invocation()
    await broker.publish(sent)
    assert await broker.outcome(sent.request_id) == Pending(sent.request_id)
    delivery = await take_one(consumer)
    assert await broker.outcome(sent.request_id) == Pending(sent.request_id)
    assert await delivery.ack(outcome_of(sent))
    ended = await broker.outcome(sent.request_id)
    assert isinstance(ended, Outcome)
    assert ended.status == "succeeded"
    assert (await broker.depth()) == type(await broker.depth())(0, 0, 0, 0)


async def test_what_is_counted_adds_up_over_processes(harness: Harness, broker: Broker) -> None:
    other = await harness.broker()
    for counting, name in ((broker, "a"), (broker, "b"), (other, "a")):
        counting.count("RecursiveInvocationsDropped", name)

    async def all_counted() -> bool:
        return await broker.counts() == {"RecursiveInvocationsDropped": {"a": 2, "b": 1}}

    await until_async(all_counted)


async def test_lazy_acknowledgements_end_messages_too(broker: Broker, consumer: Consumer) -> None:
    for _ in range(8):
        await broker.publish(invocation())
    held = await take(consumer, 8)
    for delivery in held:
        delivery.ack_lazily(outcome_of(delivery.invocation))

    async def all_ended() -> bool:
        return (await broker.depth()).running == 0

    await until_async(all_ended)
    ended = [await broker.outcome(delivery.invocation.request_id) for delivery in held]
    assert all(isinstance(outcome, Outcome) for outcome in ended)


async def test_what_is_submitted_arrives_and_what_is_refused_is_told(
    broker: Broker, consumer: Consumer
) -> None:
    await broker.set_limit("f", 1)
    refusals: asyncio.Queue[BrokerError] = asyncio.Queue()
    first = invocation("sync")
    broker.submit(first, refusals.put_nowait)
    assert (await take_one(consumer)).invocation == first
    assert refusals.empty()
    broker.submit(invocation("sync"), refusals.put_nowait)
    async with asyncio.timeout(WAIT_SECONDS):
        assert isinstance(await refusals.get(), Throttled)


async def test_closing_finishes_lazy_acknowledgements_first(harness: Harness, broker: Broker) -> None:
    leaving = await (await harness.broker()).consumer(capacity=8)
    sent = invocation()
    await broker.publish(sent)
    (await take_one(leaving)).ack_lazily(outcome_of(sent))
    await leaving.close()
    assert isinstance(await broker.outcome(sent.request_id), Outcome)


async def test_an_unknown_request_id_has_no_outcome(broker: Broker) -> None:
    assert await broker.outcome(new_request_id()) is None


async def test_what_follows_is_enqueued_with_the_acknowledgement(broker: Broker, consumer: Consumer) -> None:
    await broker.publish(invocation())
    first = await take_one(consumer)
    follow_ups = [invocation(function="next"), invocation(function="after")]
    assert await first.ack(outcome_of(first.invocation), then=follow_ups)
    got = await take(consumer, 2)
    assert {d.invocation.request_id for d in got} == {one.request_id for one in follow_ups}


async def test_a_released_message_comes_again_after_its_delay(broker: Broker, consumer: Consumer) -> None:
    await broker.publish(invocation())
    delivery = await take_one(consumer)
    released_ms = now_ms()
    assert await delivery.release(0.6, charge=True)
    assert (await broker.depth()).delayed == 1
    again = await take_one(consumer)
    assert now_ms() - released_ms >= 590
    assert (again.attempt, again.deliveries) == (2, 2)


async def test_a_release_without_charge_is_no_attempt(broker: Broker, consumer: Consumer) -> None:
    await broker.publish(invocation(payload=b"one\ntwo\n"))
    assert await (await take_one(consumer)).release(0, charge=False)
    again = await take_one(consumer)
    assert (again.attempt, again.deliveries, again.losses) == (1, 2, 0)
    assert again.invocation.payload == b"one\ntwo\n"


async def test_a_dead_letter_is_set_aside_with_its_place(broker: Broker, consumer: Consumer) -> None:
    sent = invocation()
    await broker.publish(sent)
    delivery = await take_one(consumer)
    failed = msgspec.structs.replace(outcome_of(sent), status="failed", reason="RetriesExhausted")
    assert await delivery.dead_letter(failed)
    ended = await broker.outcome(sent.request_id)
    assert isinstance(ended, Outcome)
    assert (ended.status, ended.dead_letter) == ("failed", f"dead-letter/{sent.request_id}")
    assert await nothing_comes(consumer)


async def test_an_amended_message_stays_in_hand_and_comes_again_as_amended(
    broker: Broker, consumer: Consumer
) -> None:
    sent = invocation(payload=b"one\ntwo")
    await broker.publish(sent)
    delivery = await take_one(consumer)
    assert await delivery.amend(ended(sent))
    assert delivery.invocation == ended(sent)
    assert await nothing_comes(consumer)
    assert isinstance(await broker.outcome(sent.request_id), Pending)
    assert await delivery.release(0.1, charge=True)
    again = await take_one(consumer)
    assert again.invocation == ended(sent)
    assert (again.attempt, again.deliveries) == (2, 2)
    assert await again.ack(outcome_of(sent))
    assert await nothing_comes(consumer)


async def test_an_amended_message_of_a_lost_consumer_comes_again_as_amended(
    harness: Harness, broker: Broker, consumer: Consumer
) -> None:
    sent, lost = invocation(), await harness.broker()
    dying = await lost.consumer(1)
    await consumer.stop()
    await broker.publish(sent)
    assert await (await take_one(dying)).amend(ended(sent))
    await harness.crash(lost, dying)
    other = await broker.consumer(1)
    again = await take_one(other, RECOVERY_SECONDS)
    assert (again.invocation, again.losses) == (ended(sent), 1)
    await again.ack()
    await other.close()


async def test_a_settled_message_cannot_be_amended(broker: Broker, consumer: Consumer) -> None:
    sent = invocation()
    await broker.publish(sent)
    delivery = await take_one(consumer)
    await delivery.ack()
    assert not await delivery.amend(ended(sent))
    assert await nothing_comes(consumer)


async def test_settling_twice_changes_nothing(broker: Broker, consumer: Consumer) -> None:
    await broker.publish(invocation())
    delivery = await take_one(consumer)
    assert await delivery.ack()
    assert not await delivery.ack(outcome_of(delivery.invocation), then=[invocation()])
    assert not await delivery.release(0, charge=True)
    assert not await delivery.dead_letter(outcome_of(delivery.invocation))
    assert await broker.outcome(delivery.invocation.request_id) is None
    assert await nothing_comes(consumer)
