"""The broker on Redis."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence

import msgspec

from broker.errors import BrokerError, BrokerUnavailable, Throttled
from broker.interface import Depth, Metric, Placement, WorkerInfo
from broker.invocation import Invocation, Outcome, Pending, Reply, now_ms
from broker.redis_broker.batch import FULL_WITH, Batch, Group, OnAnswer
from broker.redis_broker.consumer import RedisConsumer
from broker.redis_broker.envelope import lane_class, publish_arguments, publish_group
from broker.redis_broker.epoch import ConsumerOptions
from broker.redis_broker.inbox import RedisInbox, RedisReplies
from broker.redis_broker.janitor import Janitor
from broker.redis_broker.link import Link
from broker.redis_broker.stream_writer import RedisReplyStream, RedisReplyStreams
from broker.redis_broker.wire import Argument

_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
_REMEMBER_SECONDS = 3600
_PATIENCE_SECONDS = 3.0
"""How long a publisher waits for a connection that was lost; a restart of Redis takes less."""


class _Description(msgspec.Struct):
    host: str
    pid: int
    capacity: int
    started_ms: int
    runtimes: tuple[str, ...]


_PLACEMENTS: dict[object, Placement] = {b"delivered": "delivered", b"queued": "queued", b"parked": "parked"}


class RedisBroker:
    """Implements `broker.interface.Broker` on one Redis (or Valkey) server, version 6.2 or later."""

    def __init__(self, url: str, namespace: str = "lightswitch", lanes: int = 16) -> None:
        self._url = url
        self._options = ConsumerOptions(namespace, lanes)
        self._inbox: RedisInbox | None = None
        self._janitor: asyncio.Task[None] | None = None
        self._inbox_opening = asyncio.Lock()
        self._submitting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._link = Link(self._url)
        await self._link.open()
        self._replies = RedisReplies(self._link, self._options.namespace)
        self._streams = RedisReplyStreams(self._link, self._replies, self._options.namespace)
        self._publishing = {
            "async": Batch(self._run_publish, self._link.flush),
            "sync": Batch(self._run_publish, self._link.flush, FULL_WITH),
        }
        janitor = Janitor(self._link, self._replies, self._options.namespace)
        self._janitor = asyncio.create_task(janitor.run(), name="janitor")

    async def close(self) -> None:
        if self._janitor is None:
            return
        self._janitor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._janitor
        self._janitor = None
        await self._link.close()

    async def publish(self, invocation: Invocation) -> Placement:
        if not self._link.is_connected:
            await self._connected()
        batch = self._publishing[lane_class(invocation.kind)]
        answer = await batch.add(publish_group(invocation, self._options.lanes))
        placement = _PLACEMENTS.get(answer)
        if placement is None:
            raise _throttled(invocation, answer)
        return placement

    async def publish_once(self, invocation: Invocation) -> bool:
        assert invocation.kind == "async"
        arguments = publish_arguments(invocation, self._options.lanes)
        return await self._run("publish_once", _REMEMBER_SECONDS, *arguments) == 1

    def submit(self, invocation: Invocation, refused: Callable[[BrokerError], None]) -> None:
        def answered(answer: object) -> None:
            if answer in _PLACEMENTS:
                return
            if isinstance(answer, bytes):
                refused(_throttled(invocation, answer))
            else:
                refused(BrokerUnavailable(f"the message was not accepted: {answer}"))

        group = publish_group(invocation, self._options.lanes)
        batch = self._publishing[lane_class(invocation.kind)]
        if self._link.is_connected:
            batch.send(group, answered)
        else:
            self._submit_later(batch, group, answered)

    def _submit_later(self, batch: Batch, group: Group, answered: OnAnswer) -> None:
        """A restart of the server is waited out."""

        async def later() -> None:
            try:
                await self._connected()
                batch.send(group, answered)
            except BrokerUnavailable as error:
                answered(error)

        task = asyncio.create_task(later(), name="submit-later")
        self._submitting.add(task)
        task.add_done_callback(self._submitting.discard)

    async def withdraw(self, invocation: Invocation) -> bool:
        return await self._run("withdraw", *_named(invocation)) == 1

    async def consumer(self, capacity: int, runtimes: Sequence[str] = ()) -> RedisConsumer:
        await self._connected()
        started_ms = now_ms()

        def describe(runtimes: Sequence[str]) -> bytes:
            about = _Description(socket.gethostname(), os.getpid(), capacity, started_ms, tuple(runtimes))
            return msgspec.msgpack.encode(about)

        consumer = RedisConsumer(self._link, self._options, capacity, describe)
        await consumer.open(runtimes)
        return consumer

    async def inbox(self) -> RedisInbox:
        async with self._inbox_opening:
            if self._inbox is None:
                await self._connected()
                inbox = RedisInbox(self._link, f"{self._options.namespace}:inbox:{secrets.token_hex(8)}")
                await inbox.open()
                self._inbox = inbox
        return self._inbox

    async def reply(self, reply_to: str, reply: Reply) -> None:
        self._replies.send(reply_to, reply)

    def stream(self, reply_to: str, request_id: str, content_type: str = "") -> RedisReplyStream:
        return self._streams.open(reply_to, request_id, content_type)

    async def outcome(self, request_id: str) -> Outcome | Pending | None:
        namespace = self._options.namespace
        # In this order: what ends between the look-ups is found by the second.
        waiting = self._call("HEXISTS", f"{namespace}:messages", request_id)
        ended = self._call("GET", f"{namespace}:outcome:{request_id}")
        is_waiting, stored = await waiting, await ended
        if isinstance(stored, bytes):
            return _decode_outcome(stored)
        return Pending(request_id) if is_waiting == 1 else None

    async def set_limit(self, function_name: str, limit: int | None) -> None:
        await self._run("limit", function_name, "" if limit is None else limit)

    async def depth(self) -> Depth:
        answer = await self._run("depth", self._options.lanes)
        assert isinstance(answer, list)
        return Depth(*answer)

    def count(self, metric: Metric, function_name: str) -> None:
        counted = self._link.call("HINCRBY", self._key_of(metric), function_name, 1)
        counted.add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    async def counts(self) -> Mapping[Metric, Mapping[str, int]]:
        metric: Metric = "RecursiveInvocationsDropped"
        found = await self._call("HGETALL", self._key_of(metric))
        assert isinstance(found, dict)
        return {metric: {name.decode(): int(count) for name, count in found.items()}}

    async def workers(self) -> Sequence[WorkerInfo]:
        rows = await self._run("workers")
        assert isinstance(rows, list)
        return [_worker(*row) for row in rows]

    async def ping(self) -> None:
        await self._call("PING")

    def _key_of(self, metric: Metric) -> str:
        return f"{self._options.namespace}:metric:{metric}"

    def _run_publish(self, arguments: list[Argument]) -> asyncio.Future[object]:
        return self._link.run("publish", self._options.namespace, *arguments)

    async def _run(self, script: str, *arguments: Argument) -> object:
        if not self._link.is_connected:
            await self._connected()
        return await self._link.run(script, self._options.namespace, *arguments)

    async def _call(self, *arguments: Argument) -> object:
        if not self._link.is_connected:
            await self._connected()
        return await self._link.call(*arguments)

    async def _connected(self) -> None:
        await self._link.connected(_PATIENCE_SECONDS)


def _throttled(invocation: Invocation, answer: object) -> Throttled:
    assert isinstance(answer, bytes)
    return Throttled(invocation.function_name, int(answer.partition(b":")[2]))


def _named(invocation: Invocation) -> tuple[str, str, str]:
    return invocation.request_id, invocation.function_name, lane_class(invocation.kind)


def _worker(epoch: bytes, description: bytes, held: int, alive: int) -> WorkerInfo:
    about = msgspec.msgpack.decode(description, type=_Description)
    return WorkerInfo(
        epoch.decode(),
        about.host,
        about.pid,
        about.capacity,
        held,
        about.started_ms,
        alive == 1,
        about.runtimes,
    )
