"""Replies that are read while they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from broker.interface import STREAM_WINDOW_BYTES, Broker, Consumer, Delivery, IncomingStream, ReplyStream
from broker.invocation import (
    Failure,
    Reply,
)
from tests.contract.broker.harness import Harness
from tests.contract.broker.messages import RECOVERY_SECONDS, WAIT_SECONDS, invocation, take_one
from tests.reply_streams import write_all


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
            await write_all(answer, pieces)
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
