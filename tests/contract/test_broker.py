"""What every broker must do. A new implementation joins by adding a `Harness` to `HARNESSES`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
import pytest

from broker.errors import BrokerError, LeaseLost, Throttled
from broker.interface import STREAM_WINDOW_BYTES, Broker, Consumer, Delivery, IncomingStream, ReplyStream
from broker.invocation import (
    Failure,
    Invocation,
    Kind,
    Outcome,
    Pending,
    Reply,
    Sequel,
    Tell,
    new_request_id,
    now_ms,
)
from broker.memory import MemoryBroker, MemoryConsumer
from broker.redis_broker.broker import RedisBroker
from broker.redis_broker.link import volatile_prefix
from tests.waiting import until_async

WAIT_SECONDS = 5.0
RECOVERY_SECONDS = 10.0


class Harness(Protocol):
    """How the suite gets brokers that share one server, and how it makes a consumer die."""

    async def broker(self) -> Broker: ...

    async def crash(self, broker: Broker, consumer: Consumer) -> None:
        """End the consumer as `kill -9` of its process does; nothing says goodbye."""


class MemoryHarness:
    def __init__(self) -> None:
        self._broker = MemoryBroker()

    async def broker(self) -> Broker:
        return self._broker

    async def crash(self, broker: Broker, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        consumer.lapse()


class RedisHarness:
    def __init__(self, url: str, namespace: str) -> None:
        self._url, self._namespace = url, namespace
        self.brokers: list[RedisBroker] = []

    async def broker(self) -> Broker:
        broker = RedisBroker(self._url, self._namespace)
        await broker.start()
        self.brokers.append(broker)
        return broker

    async def crash(self, broker: Broker, consumer: Consumer) -> None:
        assert isinstance(broker, RedisBroker)
        renewing = consumer._renewing  # type: ignore[attr-defined]
        renewing.cancel()
        await broker.close()


@asynccontextmanager
async def _redis(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    server = request.getfixturevalue("redis_server")
    harness = RedisHarness(server.url, request.getfixturevalue("namespace"))
    yield harness
    for broker in harness.brokers:
        await broker.close()


@asynccontextmanager
async def _memory(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    harness = MemoryHarness()
    yield harness
    await (await harness.broker()).close()


HARNESSES = {"memory": _memory, "redis": _redis}


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with HARNESSES[request.param](request) as made:
        yield made


@pytest.fixture
async def broker(harness: Harness) -> Broker:
    return await harness.broker()


@pytest.fixture
async def consumer(harness: Harness) -> AsyncIterator[Consumer]:
    consumer = await (await harness.broker()).consumer(capacity=8)
    yield consumer
    await consumer.close()


def invocation(
    kind: Kind = "async", function: str = "f", payload: bytes = b"{}", reply_to: str = ""
) -> Invocation:
    now = now_ms()
    return Invocation(
        new_request_id(),
        kind,
        function,
        "$LATEST",
        1,
        f"arn:{function}",
        payload,
        now,
        now + 60_000,
        reply_to,
    )


def outcome_of(done: Invocation) -> Outcome:
    return Outcome(done.request_id, done.function_name, "$LATEST", "succeeded", 1, 1, now_ms())


async def take(consumer: Consumer, count: int, within_seconds: float = WAIT_SECONDS) -> list[Delivery]:
    got: list[Delivery] = []
    async with asyncio.timeout(within_seconds):
        while len(got) < count:
            got += await consumer.receive(count - len(got), 1.0)
    return got


async def take_one(consumer: Consumer, within_seconds: float = WAIT_SECONDS) -> Delivery:
    return (await take(consumer, 1, within_seconds))[0]


async def nothing_comes(consumer: Consumer) -> bool:
    return list(await consumer.receive(1, 0.3)) == []


async def eventually(condition: Callable[[], Awaitable[bool]], within_seconds: float = WAIT_SECONDS) -> None:
    async with asyncio.timeout(within_seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


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

    await eventually(all_ended)
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


def ended(done: Invocation) -> Invocation:
    """What is left of it once its function has run."""
    outcome = msgspec.structs.replace(outcome_of(done), finished_ms=done.accepted_ms)
    return msgspec.structs.replace(done, sequel=Sequel(outcome, "Success", (Tell("arn", "record"),)))


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

        await eventually(can_publish, RECOVERY_SECONDS)


class TestWithdrawal:
    async def test_a_message_nobody_took_is_withdrawn_with_its_slot(self, broker: Broker) -> None:
        await broker.set_limit("f", 1)
        sent = invocation("sync")
        await broker.publish(sent)
        assert await broker.withdraw(sent)
        await broker.publish(invocation("sync"))
        consumer = await broker.consumer(capacity=8)
        assert (await take_one(consumer)).invocation != sent
        assert await nothing_comes(consumer)
        await consumer.close()

    async def test_a_running_one_keeps_running(self, broker: Broker, consumer: Consumer) -> None:
        sent = invocation("sync")
        await broker.publish(sent)
        delivery = await take_one(consumer)
        assert not await broker.withdraw(sent)
        assert await delivery.ack()

    async def test_a_message_that_was_withdrawn_waits_no_more(self, broker: Broker) -> None:
        sent = [invocation("sync") for _ in range(3)]
        for one in sent:
            await broker.publish(one)
        for one in sent[:2]:
            assert await broker.withdraw(one)
            assert not await broker.withdraw(one)
        assert (await broker.depth()).queued == 1
        consumer = await broker.consumer(capacity=8)
        assert (await take_one(consumer)).invocation == sent[2]
        assert ((await broker.depth()).queued, (await broker.depth()).running) == (0, 1)
        await consumer.close()


class TestReplies:
    async def test_a_reply_reaches_the_one_who_asked(self, harness: Harness, broker: Broker) -> None:
        inbox, other = await broker.inbox(), await harness.broker()
        got: asyncio.Queue[Reply] = asyncio.Queue()
        sent = [Reply(new_request_id(), b"%d" % n, log_tail=b"log") for n in range(20)]
        for reply in sent:
            inbox.expect(reply.request_id, got.put_nowait)
        for reply in sent:
            await other.reply(inbox.address, reply)
        async with asyncio.timeout(WAIT_SECONDS):
            assert [await got.get() for _ in sent] == sent

    async def test_a_reply_of_six_megabytes_arrives(self, broker: Broker) -> None:
        inbox = await broker.inbox()
        got: asyncio.Queue[Reply] = asyncio.Queue()
        reply = Reply(new_request_id(), b"x" * 6_291_556)
        inbox.expect(reply.request_id, got.put_nowait)
        await broker.reply(inbox.address, reply)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await got.get() == reply

    async def test_nobody_is_told_of_a_forgotten_id(self, broker: Broker) -> None:
        inbox = await broker.inbox()
        got: asyncio.Queue[Reply] = asyncio.Queue()
        gone, awaited = Reply(new_request_id(), b"gone"), Reply(new_request_id(), b"awaited")
        inbox.expect(gone.request_id, got.put_nowait)
        inbox.forget(gone.request_id)
        inbox.expect(awaited.request_id, got.put_nowait)
        await broker.reply(inbox.address, gone)
        await broker.reply(inbox.address, awaited)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await got.get() == awaited

    async def test_a_reply_to_a_caller_that_is_gone_is_no_error(self, broker: Broker) -> None:
        await broker.reply("nobody", Reply(new_request_id(), b""))


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


class Reading:
    """One streamed call: its reader and what a worker got to answer it."""

    def __init__(self, stream: IncomingStream, delivery: Delivery) -> None:
        self.stream = stream
        self.asked = delivery.invocation
        self.delivery = delivery

    def answer(self, broker: Broker, content_type: str = "") -> ReplyStream:
        return broker.stream(self.asked.reply_to, self.asked.request_id, content_type)

    def last_word(self, payload: bytes = b"", failure: Failure = "") -> Reply:
        return Reply(self.asked.request_id, payload, failure)

    async def read(self) -> bytes | Reply:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.stream.read()

    async def read_all(self) -> tuple[bytes, Reply]:
        read = bytearray()
        while isinstance(piece := await self.read(), bytes):
            read += piece
        return bytes(read), piece


class TestStreamedReplies:
    @pytest.fixture
    async def worker_broker(self, harness: Harness) -> Broker:
        return await harness.broker()

    @pytest.fixture
    async def reading(self, broker: Broker, consumer: Consumer) -> AsyncIterator[Reading]:
        inbox = await broker.inbox()
        sent = msgspec.structs.replace(invocation("sync", reply_to=inbox.address), takes_stream=True)
        stream = inbox.expect_stream(sent.request_id)
        await broker.publish(sent)
        yield Reading(stream, await take_one(consumer))
        stream.close()

    async def test_bytes_arrive_in_order_and_then_the_last_word(
        self, reading: Reading, worker_broker: Broker
    ) -> None:
        answer = reading.answer(worker_broker, "text/plain")
        answer.write(b"one ")
        assert await reading.read() == b"one "
        assert reading.stream.content_type == "text/plain"
        answer.write(b"two ")
        answer.write(b"three")
        answer.end(reading.last_word())
        read, last = await reading.read_all()
        assert read == b"two three"
        assert (last.failure, last.payload, last.streamed_bytes) == ("", b"", 13)

    async def test_an_answer_at_once_is_the_last_word_alone(
        self, reading: Reading, worker_broker: Broker
    ) -> None:
        await worker_broker.reply(reading.asked.reply_to, reading.last_word(b"[1]"))
        read, last = await reading.read_all()
        assert (read, last.payload, last.streamed_bytes) == (b"", b"[1]", 0)

    async def test_a_stream_that_fails_says_so_after_what_came(
        self, reading: Reading, worker_broker: Broker
    ) -> None:
        answer = reading.answer(worker_broker)
        answer.write(b"begun")
        answer.end(reading.last_word(b'{"errorType":"Oops"}', "Unhandled"))
        read, last = await reading.read_all()
        assert (read, last.failure, last.payload) == (b"begun", "Unhandled", b'{"errorType":"Oops"}')

    async def test_a_slow_reader_holds_up_the_writer(self, reading: Reading, worker_broker: Broker) -> None:
        answer = reading.answer(worker_broker)
        piece, written = b"x" * 10_000, 0
        while answer.has_room:
            answer.write(piece)
            written += len(piece)
        assert STREAM_WINDOW_BYTES <= written < STREAM_WINDOW_BYTES + len(piece)
        room = asyncio.Event()
        answer.when_room(room.set)
        await asyncio.sleep(0.05)
        assert not room.is_set()
        assert isinstance(first := await reading.read(), bytes)
        answer.end(reading.last_word())
        rest, _ = await reading.read_all()
        assert len(first) + len(rest) == written
        async with asyncio.timeout(WAIT_SECONDS):
            await room.wait()

    async def test_room_that_is_there_is_told_at_once(self, reading: Reading, worker_broker: Broker) -> None:
        room = asyncio.Event()
        reading.answer(worker_broker).when_room(room.set)
        async with asyncio.timeout(WAIT_SECONDS):
            await room.wait()

    async def test_many_megabytes_pass_whole(self, reading: Reading, worker_broker: Broker) -> None:
        answer = reading.answer(worker_broker)
        pieces = [bytes([number]) * 100_000 for number in range(100)]

        async def write() -> None:
            for piece in pieces:
                answer.write(piece)
                if not answer.has_room:
                    room = asyncio.Event()
                    answer.when_room(room.set)
                    await room.wait()
            answer.end(reading.last_word())

        writing = asyncio.create_task(write())
        read, _ = await reading.read_all()
        await writing
        assert read == b"".join(pieces)

    async def test_once_the_reader_is_gone_there_is_room_without_end(
        self, reading: Reading, worker_broker: Broker
    ) -> None:
        answer = reading.answer(worker_broker)
        while answer.has_room:
            answer.write(b"x" * 50_000)
        assert isinstance(await reading.read(), bytes)
        room = asyncio.Event()
        answer.when_room(room.set)
        reading.stream.close()
        reading.stream.close()
        async with asyncio.timeout(WAIT_SECONDS):
            await room.wait()
        for _ in range(20):
            answer.write(b"x" * 50_000)
            assert answer.has_room
        answer.end(reading.last_word())

    async def test_streams_do_not_hold_up_each_other(
        self, broker: Broker, consumer: Consumer, reading: Reading, worker_broker: Broker
    ) -> None:
        stalled = reading.answer(worker_broker)
        while stalled.has_room:
            stalled.write(b"x" * 50_000)
        inbox = await broker.inbox()
        other = msgspec.structs.replace(invocation("sync", reply_to=inbox.address), takes_stream=True)
        second = Reading(inbox.expect_stream(other.request_id), reading.delivery)
        answer = worker_broker.stream(inbox.address, other.request_id)
        answer.write(b"quick")
        answer.end(Reply(other.request_id, b""))
        assert (await second.read_all())[0] == b"quick"

    async def test_the_reader_of_a_worker_that_dies_is_told(self, harness: Harness, broker: Broker) -> None:
        inbox = await broker.inbox()
        doomed_broker = await harness.broker()
        doomed = await doomed_broker.consumer(capacity=4)
        sent = msgspec.structs.replace(invocation("sync", reply_to=inbox.address), takes_stream=True)
        stream = inbox.expect_stream(sent.request_id)
        await broker.publish(sent)
        reading = Reading(stream, await take_one(doomed))
        reading.answer(doomed_broker).write(b"begun")
        assert await reading.read() == b"begun"
        await harness.crash(doomed_broker, doomed)
        async with asyncio.timeout(RECOVERY_SECONDS):
            last = await stream.read()
        assert isinstance(last, Reply)
        assert last.failure == "Platform"


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
