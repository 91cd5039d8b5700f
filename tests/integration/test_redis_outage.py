"""The Redis broker through crashes of its server: nothing accepted is lost, everybody reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from broker.errors import BrokerUnavailable
from broker.interface import Consumer, Delivery
from broker.invocation import Invocation, Kind, Outcome, Reply, new_request_id, now_ms
from broker.redis_broker.broker import RedisBroker
from tests.conftest import StartRedis
from tests.redis_server import RedisServer
from tests.reply_streams import write_all

WITHIN_SECONDS = 10.0


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    return start_redis("always")


@pytest.fixture
async def broker(server: RedisServer) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(server.url)
    await broker.start()
    yield broker
    await broker.close()


def invocation(kind: Kind = "async") -> Invocation:
    now = now_ms()
    return Invocation(new_request_id(), kind, "f", "$LATEST", 1, "arn", b"{}", now, now + 60_000)


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    got: list[Delivery] = []
    async with asyncio.timeout(WITHIN_SECONDS):
        while len(got) < count:
            got += await consumer.receive(count - len(got), 1.0)
    return got


def done(delivery: Delivery) -> Outcome:
    return Outcome(
        delivery.invocation.request_id, "f", "$LATEST", "succeeded", 1, delivery.deliveries, now_ms()
    )


async def test_what_was_accepted_is_there_after_a_crash(server: RedisServer, broker: RedisBroker) -> None:
    sent = [invocation() for _ in range(200)]
    await asyncio.gather(*(broker.publish(one) for one in sent))
    await asyncio.to_thread(server.restart)
    consumer = await broker.consumer(200)
    assert {d.invocation.request_id for d in await take(consumer, 200)} == {one.request_id for one in sent}
    await consumer.close()


async def test_a_worker_keeps_what_it_held_through_a_crash(server: RedisServer, broker: RedisBroker) -> None:
    consumer = await broker.consumer(10)
    await broker.publish(invocation())
    (held,) = await take(consumer, 1)
    await asyncio.to_thread(server.restart)
    later = invocation()
    await broker.publish(later)
    (fresh,) = await take(consumer, 1)
    assert fresh.invocation == later
    assert await held.ack(done(held))
    assert await fresh.ack(done(fresh))
    await consumer.close()


async def test_a_longer_outage_than_the_lease_takes_nothing_from_live_workers(
    server: RedisServer, broker: RedisBroker
) -> None:
    other = RedisBroker(server.url)
    await other.start()
    consumer, rival = await broker.consumer(1), await other.consumer(1)
    await broker.publish(invocation())
    held = await _whoever_gets_it(consumer, rival)
    server.kill()
    await asyncio.sleep(6)  # longer than a lease and the janitor's grace
    await asyncio.to_thread(server.start)
    assert await held.ack(done(held))
    outcome = await broker.outcome(held.invocation.request_id)
    assert isinstance(outcome, Outcome)
    assert outcome.deliveries == 1
    for reconnecting in (broker, other):
        await reconnecting.ping()
    for one in (consumer, rival):
        await one.close()
    await other.close()


async def test_settling_during_an_outage_is_done_when_the_server_is_back(
    server: RedisServer, broker: RedisBroker
) -> None:
    consumer = await broker.consumer(1)
    await broker.publish(invocation())
    (held,) = await take(consumer, 1)
    server.kill()
    settling = asyncio.create_task(held.ack(done(held)))
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(WITHIN_SECONDS):
        assert await settling
    assert isinstance(await broker.outcome(held.invocation.request_id), Outcome)
    await consumer.close()


async def test_a_reply_sent_during_an_outage_arrives_afterwards(
    server: RedisServer, broker: RedisBroker
) -> None:
    answering = RedisBroker(server.url)
    await answering.start()
    inbox = await broker.inbox()
    arrived: asyncio.Queue[Reply] = asyncio.Queue()
    reply = Reply(new_request_id(), b"late")
    inbox.expect(reply.request_id, arrived.put_nowait)
    server.kill()
    await answering.reply(inbox.address, reply)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(WITHIN_SECONDS):
        assert await arrived.get() == reply
    await answering.close()


async def test_publishing_without_a_server_fails_clearly_and_in_time(
    server: RedisServer, broker: RedisBroker
) -> None:
    server.kill()
    for _ in range(2):  # once on the dying connection, once without any
        async with asyncio.timeout(WITHIN_SECONDS):
            with pytest.raises(BrokerUnavailable):
                await broker.publish(invocation())


async def test_flushed_scripts_are_loaded_again(server: RedisServer, broker: RedisBroker) -> None:
    await broker._link.call("SCRIPT", "FLUSH")
    with pytest.raises(BrokerUnavailable):
        await broker.publish(invocation())
    await broker.publish(invocation())


async def test_a_message_nobody_can_read_is_set_aside(server: RedisServer, broker: RedisBroker) -> None:
    await broker._link.call("HSET", "lightswitch:messages", "bad", b"async 0 1 1 1 0 f\nnot msgpack")
    await broker._link.call("RPUSH", "lightswitch:lane:async:0", "bad")
    consumer = await broker.consumer(4)
    good = invocation()
    await broker.publish(good)
    (delivery,) = await take(consumer, 1)
    assert delivery.invocation == good
    async with asyncio.timeout(WITHIN_SECONDS):
        while not isinstance(outcome := await broker.outcome("bad"), Outcome):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (outcome.status, outcome.reason) == ("failed", "Undecodable")
    await consumer.close()


async def _whoever_gets_it(one: Consumer, other: Consumer) -> Delivery:
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            for consumer in (one, other):
                if got := await consumer.receive(1, 0.05):
                    return got[0]


async def test_callers_whose_invocation_was_lost_with_the_server_are_told(
    server: RedisServer, broker: RedisBroker
) -> None:
    inbox = await broker.inbox()
    told: asyncio.Queue[Reply] = asyncio.Queue()
    sent = msgspec.structs.replace(invocation("sync"), reply_to=inbox.address)
    inbox.expect(sent.request_id, told.put_nowait)
    await broker.publish(sent)
    await asyncio.to_thread(server.restart)
    async with asyncio.timeout(WITHIN_SECONDS):
        reply = await told.get()
    assert (reply.request_id, reply.failure) == (sent.request_id, "Platform")


async def test_sync_invocations_never_reach_the_disk_and_are_forgotten_with_the_server(
    server: RedisServer, broker: RedisBroker
) -> None:
    for _ in range(3):
        await broker.publish(invocation("sync"))
    await broker.publish(invocation("async"))
    await broker._link.call("BGREWRITEAOF")  # saves all keys, those of sync invocations too
    async with asyncio.timeout(WITHIN_SECONDS):
        while b"aof_rewrite_in_progress:1" in await _persistence(broker):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await asyncio.to_thread(server.restart)
    await broker._connected()
    consumer = await broker.consumer(8)
    assert [d.invocation.kind for d in await take(consumer, 1)] == ["async"]
    assert list(await consumer.receive(1, 0.5)) == []
    async with asyncio.timeout(WITHIN_SECONDS):
        while len(await _runs(broker)) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await consumer.close()


async def test_calls_that_were_given_up_leave_nothing_behind_where_no_worker_reads(
    server: RedisServer, broker: RedisBroker
) -> None:
    sent = [invocation("sync") for _ in range(40)]
    for one in sent:
        await broker.publish(one)
    for one in [*sent[20:], *sent[:20]]:
        assert await broker.withdraw(one)
    assert await broker._link.call("KEYS", "lightswitch:run:*:lane:*") == []
    assert (await broker.depth()).queued == 0
    waiting = invocation("sync")
    await broker.publish(waiting)
    assert (await broker.depth()).queued == 1
    consumer = await broker.consumer(8)
    assert [d.invocation for d in await take(consumer, 1)] == [waiting]
    await consumer.close()


async def test_a_sync_invocation_adds_nothing_to_the_append_only_file(
    server: RedisServer, broker: RedisBroker
) -> None:
    consumer = await broker.consumer(8)
    await asyncio.sleep(0.5)  # the janitor settles in
    before = await _appended_bytes(broker)
    for _ in range(50):
        await broker.publish(invocation("sync"))
        await (await take(consumer, 1))[0].ack()
    assert await _appended_bytes(broker) == before
    await consumer.close()


async def _persistence(broker: RedisBroker) -> bytes:
    info = await broker._link.call("INFO", "persistence")
    return info if isinstance(info, bytes) else str(info).encode()


async def _appended_bytes(broker: RedisBroker) -> int:
    lines = (await _persistence(broker)).decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("aof_current_size:"))


async def _runs(broker: RedisBroker) -> set[str]:
    keys = await broker._link.call("KEYS", "lightswitch:run:*")
    assert isinstance(keys, list)
    return {key.decode().split(":")[2] for key in keys}


async def test_offers_of_provisioned_environments_go_on_being_counted(
    server: RedisServer, broker: RedisBroker
) -> None:
    first, second = await broker.consumer(8), await broker.consumer(8)
    wanted = {("f", "$LATEST"): 2}
    for _ in range(2):
        first.offer(wanted)
        await broker.publish(msgspec.structs.replace(invocation("sync"), provisioned=True))
        (delivery,) = await take(first, 1)
        await delivery.ack()

    await asyncio.to_thread(server.restart)
    await broker._connected()

    second.offer({("f", "$LATEST"): 1})
    for _ in range(3):
        first.offer(wanted)
        await broker.publish(msgspec.structs.replace(invocation("sync"), provisioned=True))
    assert len(await take(first, 2)) == 2
    assert len(await take(second, 1)) == 1
    for consumer in (first, second):
        await consumer.close()


@pytest.mark.parametrize("restarts", [1, 3])
async def test_a_streamed_reply_survives_crashes_in_its_middle(
    server: RedisServer, broker: RedisBroker, restarts: int
) -> None:
    writer = RedisBroker(server.url)
    await writer.start()
    inbox = await broker.inbox()
    stream = inbox.expect_stream("id-1")
    answer = writer.stream(inbox.address, "id-1")
    pieces = [bytes([number % 256]) * 20_000 for number in range(400)]

    async def write() -> None:
        await write_all(answer, pieces)
        answer.end(Reply("id-1", b""))

    async def crash() -> None:
        for _ in range(restarts):
            await asyncio.to_thread(server.restart)

    writing, crashing = asyncio.create_task(write()), asyncio.create_task(crash())
    read = bytearray()
    async with asyncio.timeout(4 * WITHIN_SECONDS):
        while isinstance(piece := await stream.read(), bytes):
            read += piece
            if len(read) > 4_000_000:
                await crashing
        await writing
    assert (piece.failure, piece.streamed_bytes) == ("", len(read))
    assert read == b"".join(pieces)
    await writer.close()
