"""Reserved concurrency over the whole fleet."""

from __future__ import annotations

import pytest

from broker.errors import Throttled
from broker.interface import Broker, Consumer
from tests.contract.broker.harness import Harness
from tests.contract.broker.messages import (
    RECOVERY_SECONDS,
    ended,
    invocation,
    nothing_comes,
    outcome_of,
    take,
    take_one,
)
from tests.waiting import until_async


class TestReservedConcurrency:
    async def test_what_has_run_holds_no_slot_any_more(self, broker: Broker, consumer: Consumer) -> None:
        await broker.set_limit("f", 1)
        first, second = invocation(), invocation()
        await broker.publish(first)
        delivery = await take_one(consumer)
        assert await broker.publish(second) == "parked"
        await delivery.amend(ended(first))
        running = await take_one(consumer)
        assert running.invocation == second
        await delivery.release(0, charge=False)
        again = await take_one(consumer)
        assert again.invocation == ended(first)
        await again.dead_letter(outcome_of(first))
        await running.ack()
        assert await broker.publish(invocation()) == "delivered"

    async def test_sync_over_the_limit_is_throttled(self, broker: Broker, consumer: Consumer) -> None:
        await broker.set_limit("f", 2)
        await broker.publish(invocation("sync"))
        await broker.publish(invocation("sync"))
        with pytest.raises(Throttled) as throttled:
            await broker.publish(invocation("sync"))
        assert throttled.value.limit == 2
        await broker.publish(invocation("sync", function="other"))

    async def test_an_ended_run_frees_its_slot(self, broker: Broker, consumer: Consumer) -> None:
        await broker.set_limit("f", 1)
        for _ in range(5):
            await broker.publish(invocation("sync"))
            assert await (await take_one(consumer)).ack()

    async def test_async_over_the_limit_waits_and_runs_in_order(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await broker.set_limit("f", 1)
        sent = [invocation() for _ in range(4)]
        placements = [await broker.publish(one) for one in sent]
        assert placements[1:] == ["parked", "parked", "parked"]
        assert (await broker.depth()).parked == 3
        for one in sent:
            delivery = await take_one(consumer)
            assert delivery.invocation == one
            assert await nothing_comes(consumer)
            assert await delivery.ack(outcome_of(one))

    async def test_parked_messages_do_not_hold_up_other_functions(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await broker.set_limit("slow", 1)
        for _ in range(20):
            await broker.publish(invocation(function="slow"))
        await broker.publish(invocation(function="quick"))
        assert {d.invocation.function_name for d in await take(consumer, 2)} == {"slow", "quick"}

    async def test_a_limit_of_zero_throttles_sync_and_passes_async_on_to_be_ended(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await broker.set_limit("f", 1)
        for _ in range(3):
            await broker.publish(invocation())
        await broker.set_limit("f", 0)
        with pytest.raises(Throttled):
            await broker.publish(invocation("sync"))
        assert await broker.publish(invocation()) != "parked"
        await take(consumer, 4)

    async def test_raising_and_removing_the_limit_lets_parked_messages_go(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await broker.set_limit("f", 1)
        for _ in range(6):
            await broker.publish(invocation())
        await take_one(consumer)
        await broker.set_limit("f", 3)
        await take(consumer, 2)
        assert await nothing_comes(consumer)
        await broker.set_limit("f", None)
        await take(consumer, 3)

    async def test_a_retry_waits_without_a_slot(self, broker: Broker, consumer: Consumer) -> None:
        await broker.set_limit("f", 1)
        await broker.publish(invocation())
        second = invocation()
        await broker.publish(second)
        assert await (await take_one(consumer)).release(30, charge=True)
        assert (await take_one(consumer)).invocation == second

    async def test_a_dead_consumer_leaks_no_slot(self, harness: Harness, broker: Broker) -> None:
        await broker.set_limit("f", 1)
        doomed_broker = await harness.broker()
        doomed = await doomed_broker.consumer(capacity=1)
        await broker.publish(invocation("sync"))
        await take_one(doomed)
        await harness.crash(doomed_broker, doomed)

        async def can_publish() -> bool:
            try:
                await broker.publish(invocation("sync"))
            except Throttled:
                return False
            return True

        await until_async(can_publish, RECOVERY_SECONDS)
