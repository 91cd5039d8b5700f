"""Callers that wait: replies, and calls that are given up."""

from __future__ import annotations

import asyncio

from broker.interface import Broker, Consumer
from broker.invocation import (
    Reply,
    new_request_id,
)
from tests.contract.broker.harness import Harness
from tests.contract.broker.messages import WAIT_SECONDS, invocation, nothing_comes, take_one


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
