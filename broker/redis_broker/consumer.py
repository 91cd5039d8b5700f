"""A worker's end of the Redis broker: registered, leased, and told of work by publish/subscribe.

A message belongs to this consumer from the moment the accepting script put its id in `held:EPOCH`; the
push on the channel only carries it here. `_renew` compares both views every second and fetches what a
lost connection swallowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from broker.errors import BrokerUnavailable, LeaseLost
from broker.invocation import Invocation, Outcome, now_ms
from broker.redis_broker.arrivals import Arrivals
from broker.redis_broker.batch import Batch, Group
from broker.redis_broker.envelope import (
    Received,
    Undecodable,
    gate_of,
    lane_class,
    offer_name,
    publish_arguments,
    read,
)
from broker.redis_broker.link import Link, volatile_prefix
from broker.redis_broker.wire import Argument, CommandFailed

log = logging.getLogger(__name__)

_encode_outcome = msgspec.msgpack.Encoder().encode
_SETTLE_PATIENCE_SECONDS = 60.0
_LAZY_SECONDS = 0.004
"""Shorter, and a lone caller's next call competes with the acknowledgement of his last one."""
_PAUSE_SECONDS = 1.0
_OFFER_MS = 10_000
_FETCH = b"fetch "
"""How a push begins that names a message only: class and id follow."""
_NUMBERED = b"sent "
"""How a push begins that an offer brought here: its number follows, then the push."""
_LAST_ACK_SECONDS = 5.0
"""How long a consumer that closes tries to acknowledge; what is left then runs once more elsewhere."""


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """What a consumer needs to know of its broker."""

    namespace: str
    lanes: int
    lease_ms: int = 4_000
    renew_seconds: float = 1.0
    outcome_ttl_seconds: int = 24 * 3600
    most_dead_letters: int = 10_000


Describe = Callable[[Sequence[str]], bytes]
"""What stands in the list of workers, given the runtimes."""


class RedisConsumer:
    """Implements `broker.interface.Consumer`."""

    def __init__(self, link: Link, options: ConsumerOptions, capacity: int, describe: Describe) -> None:
        self._link = link
        self._options = options
        self._capacity = capacity
        self._describe = describe
        self._epoch = secrets.token_hex(8)
        self._known: set[str] = set()
        self._arrived: deque[RedisDelivery] = deque()
        self.arrivals = Arrivals()
        self._acknowledging = Batch(self._run_ack, link.flush)
        self._unacknowledged = 0
        self._all_acknowledged: asyncio.Future[None] | None = None
        self._retrying: set[asyncio.Task[None]] = set()
        self._wake: asyncio.Future[None] | None = None
        self._lost: LeaseLost | None = None
        self._stopped = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def epoch(self) -> str:
        return self._epoch

    async def open(self, runtimes: Sequence[str]) -> None:
        """Register, and keep the lease from now on."""
        channel = f"{self._options.namespace}:to:{self._epoch}"
        await self._link.subscribe(channel, self._pushed)
        description = self._describe(runtimes)
        await self._run("register", description, self._capacity, self._options.lease_ms, *self._fill())
        self._link.on_connected(self._resume)
        self._renewing = asyncio.create_task(self._keep_lease(), name=f"lease-{self._epoch}")

    async def receive(self, max_messages: int, wait_seconds: float) -> Sequence[RedisDelivery]:
        if not self._arrived and self._lost is None:
            await self._wait(wait_seconds)
        if self._lost is not None:
            raise self._lost
        arrived = self._arrived
        return [arrived.popleft() for _ in range(min(max_messages, len(arrived)))]

    def offer(self, available: Mapping[tuple[str, str], int]) -> None:
        if not available or self._stopped or not self._link.is_connected:
            return
        arguments: list[Argument] = []
        for version, count in available.items():
            name = offer_name(*version)
            arguments += name, count, self.arrivals.accounted(name)
            if count < 0:
                self.arrivals.forget(name)
        self._run("offer", _OFFER_MS, *arguments).add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )

    async def announce(self, runtimes: Sequence[str]) -> None:
        await self._run("describe", self._describe(runtimes))

    async def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            with contextlib.suppress(BrokerUnavailable):  # the next renewal says so again
                await self._run("stop")

    async def close(self) -> None:
        if self._renewing is None:
            return
        await self.stop()
        await self._finish_acknowledging()
        for delivery in self._arrived:
            await delivery.release(0, charge=False)
        self._arrived.clear()
        self._renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._renewing
        self._renewing = None
        # What is still held goes back as if the lease had lapsed, only at once.
        volatile = volatile_prefix(self._options.namespace, self._link.run_id)
        await self._link.call("DEL", f"{volatile}:lease:{self._epoch}")
        await self._run("reclaim")

    async def settle(self, script: str, invocation: Invocation, *arguments: Argument) -> bool:
        """Run a settling script until Redis has done it: each is fenced, so twice is once."""
        named = invocation.request_id, gate_of(invocation), lane_class(invocation.kind)
        attempt = partial(self._run, script, *named, *self._fill(), *arguments)
        try:
            return await self._insist(invocation, attempt)
        finally:
            self._known.discard(invocation.request_id)

    async def amend(self, current: Invocation, amended: Invocation) -> bool:
        """Replace a message that stays in our hands."""
        _, value, *_ = publish_arguments(amended, self._options.lanes)
        attempt = partial(self._run, "amend", current.request_id, gate_of(current), value)
        try:
            return await self._insist(current, attempt)
        except BrokerUnavailable:
            self._known.discard(current.request_id)
            raise

    async def acknowledge(self, invocation: Invocation, outcome: Outcome | None) -> bool:
        """Settle together with what else is acknowledged in this tick."""
        group = _ack_group(invocation, outcome)
        try:
            return await self._insist(invocation, partial(self._acknowledging.add, group))
        finally:
            self._known.discard(invocation.request_id)

    async def _insist(self, invocation: Invocation, attempt: Callable[[], asyncio.Future[object]]) -> bool:
        """Try until it is done. Raises BrokerUnavailable after a long outage; then, as callers know the
        message no longer, a renewal finds it held and it is delivered here once more."""
        while True:
            try:
                return await attempt() == 1
            except BrokerUnavailable:
                await self._link.connected(_SETTLE_PATIENCE_SECONDS)
            except CommandFailed as error:  # a server out of memory, most likely
                log.error(
                    "not_settled_yet", extra={"request_id": invocation.request_id, "reason": str(error)}
                )
                await asyncio.sleep(_PAUSE_SECONDS)

    def acknowledge_soon(self, invocation: Invocation, outcome: Outcome | None) -> None:
        """Settle together with what else ends within four milliseconds: one script, one write to the disk."""
        # A full consumer gets nothing until it acknowledges.
        within_seconds = 0.0 if len(self._known) >= self._capacity else _LAZY_SECONDS
        self._unacknowledged += 1

        def answered(answer: object) -> None:
            if isinstance(answer, BaseException):
                self._retry(invocation, outcome)
            else:
                self._known.discard(invocation.request_id)
                self._acknowledged()

        self._acknowledging.send(_ack_group(invocation, outcome), answered, within_seconds)

    def _retry(self, invocation: Invocation, outcome: Outcome | None) -> None:
        """The connection was lost, or Redis refused: again until it is done."""

        async def again() -> None:
            try:
                await self.acknowledge(invocation, outcome)
            except BrokerUnavailable as error:
                log.error("not_settled", extra={"request_id": invocation.request_id, "reason": str(error)})
            finally:
                self._retrying.discard(task)
                self._acknowledged()

        task = asyncio.get_running_loop().create_task(again(), name=f"ack-{invocation.request_id}")
        self._retrying.add(task)

    def _acknowledged(self) -> None:
        self._unacknowledged -= 1
        if not self._unacknowledged and self._all_acknowledged is not None:
            _finish(self._all_acknowledged)

    async def _finish_acknowledging(self) -> None:
        if self._unacknowledged:
            self._all_acknowledged = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_acknowledged], timeout=_LAST_ACK_SECONDS)
        for task in self._retrying:
            task.cancel()

    def _run_ack(self, arguments: list[Argument]) -> asyncio.Future[object]:
        return self._run("ack", *self._fill(), self._options.outcome_ttl_seconds, *arguments)

    @property
    def options(self) -> ConsumerOptions:
        return self._options

    def _run(self, script: str, *arguments: Argument) -> asyncio.Future[object]:
        return self._link.run(script, self._options.namespace, self._epoch, *arguments)

    def _fill(self) -> tuple[int, int]:
        return self._options.lanes, random.randrange(self._options.lanes)

    async def _wait(self, wait_seconds: float) -> None:
        wake = self._wake = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(wait_seconds, _finish, wake)
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    def _pushed(self, body: bytes) -> None:
        number = 0
        if body.startswith(_NUMBERED):
            said, _, body = body.removeprefix(_NUMBERED).partition(b" ")
            number = int(said)
        if body.startswith(_FETCH):
            _, lane, request_id = body.split(b" ", 2)
            self._fetch(request_id, lane, number)
            return
        try:
            received = read(body)
        except Undecodable:
            return  # the next renewal finds it held, and knows its id
        self._accept(received, number)

    def _fetch(self, request_id: bytes, lane: bytes, number: int = 0) -> None:
        """Get a message whose push carried only its id, or got lost."""
        key = request_id.decode("utf-8", "backslashreplace")
        if key in self._known:
            return
        self._known.add(key)

        def fetched(answer: asyncio.Future[object]) -> None:
            self._known.discard(key)
            if not answer.cancelled() and answer.exception() is None and isinstance(answer.result(), bytes):
                self._take(request_id, lane, answer.result(), number)  # type: ignore[arg-type]

        namespace = self._options.namespace
        home = volatile_prefix(namespace, self._link.run_id) if lane == b"sync" else namespace
        self._link.call("HGET", f"{home}:messages", request_id).add_done_callback(fetched)

    def _take(self, request_id: bytes, lane: bytes, value: bytes, number: int) -> None:
        key = request_id.decode("utf-8", "backslashreplace")
        if key in self._known:
            return
        try:
            received = read(value)
            if received.invocation.request_id != key:
                raise Undecodable(f"the message is one of request {received.invocation.request_id}")
        except Undecodable as error:
            log.error("message_undecodable", extra={"message_id": key, "reason": str(error)})
            self._set_aside(request_id, lane, str(error))
            return
        self._accept(received, number)

    def _accept(self, received: Received, number: int) -> None:
        request_id = received.invocation.request_id
        if request_id not in self._known:
            self._known.add(request_id)
            offered = self._counted(received.invocation, number) if number else ""
            self._arrived.append(RedisDelivery(self, received, offered))
            self._notify()

    def _counted(self, invocation: Invocation, number: int) -> str:
        """The version whose offer brought the message here; it is counted as arrived."""
        version = offer_name(invocation.function_name, invocation.version)
        self.arrivals.arrived(version, number)
        return version

    def _set_aside(self, request_id: bytes, lane: bytes, reason: str) -> None:
        """Dead-letter a message that nobody can read; should this fail, the next renewal tries again."""
        key = request_id.decode("utf-8", "backslashreplace")
        outcome = Outcome(key, "", "", "failed", 0, 1, now_ms(), "Undecodable", reason, f"dead-letter/{key}")
        kept = (self._options.outcome_ttl_seconds, self._options.most_dead_letters)
        arguments = (request_id, "", lane, *self._fill(), _encode_outcome(outcome), *kept)
        self._run("dead_letter", *arguments).add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )

    def _notify(self) -> None:
        if self._wake is not None:
            _finish(self._wake)

    async def _keep_lease(self) -> None:
        while self._lost is None:
            await asyncio.sleep(self._options.renew_seconds)
            with contextlib.suppress(BrokerUnavailable):  # the link reconnects and resumes
                await self._renew()

    async def _resume(self) -> None:
        if self._renewing is not None:
            await self._renew()

    async def _renew(self) -> None:
        capacity = "" if self._stopped else self._capacity
        held = await self._run("renew", self._options.lease_ms, *self._fill(), capacity)
        if held is None:
            self._lost = LeaseLost(f"the lease of worker {self._epoch} lapsed; others have its messages")
            self._notify()
            return
        assert isinstance(held, list)
        for lane, request_ids in zip((b"async", b"sync"), held, strict=True):
            for request_id in request_ids:
                self._fetch(request_id, lane)


class RedisDelivery:
    """Implements `broker.interface.Delivery`."""

    __slots__ = ("_consumer", "_offered", "attempt", "deliveries", "invocation", "losses")

    def __init__(self, consumer: RedisConsumer, received: Received, offered: str) -> None:
        self._consumer = consumer
        self._offered = offered
        self.invocation = received.invocation
        self.attempt = received.attempt
        self.deliveries = received.deliveries
        self.losses = received.losses

    def placed(self) -> None:
        if self._offered:
            self._consumer.arrivals.placed(self._offered)
            self._offered = ""

    async def ack(self, outcome: Outcome | None = None, then: Sequence[Invocation] = ()) -> bool:
        self.placed()
        if not then:
            return await self._consumer.acknowledge(self.invocation, outcome)
        options = self._consumer.options
        stored = b"" if outcome is None else _encode_outcome(outcome)
        follow = [part for one in then for part in publish_arguments(one, options.lanes)]
        return await self._consumer.settle(
            "chain", self.invocation, stored, options.outcome_ttl_seconds, *follow
        )

    def ack_lazily(self, outcome: Outcome | None = None) -> None:
        self.placed()
        self._consumer.acknowledge_soon(self.invocation, outcome)

    async def amend(self, invocation: Invocation) -> bool:
        current, self.invocation = self.invocation, invocation
        return await self._consumer.amend(current, invocation)

    async def release(self, delay_seconds: float, *, charge: bool) -> bool:
        self.placed()
        return await self._consumer.settle(
            "release", self.invocation, round(delay_seconds * 1000), int(charge)
        )

    async def dead_letter(self, outcome: Outcome) -> bool:
        self.placed()
        options = self._consumer.options
        place = f"dead-letter/{self.invocation.request_id}"
        stored = _encode_outcome(msgspec.structs.replace(outcome, dead_letter=place))
        return await self._consumer.settle(
            "dead_letter", self.invocation, stored, options.outcome_ttl_seconds, options.most_dead_letters
        )


def _ack_group(invocation: Invocation, outcome: Outcome | None) -> Group:
    stored = b"" if outcome is None else _encode_outcome(outcome)
    shared = gate_of(invocation), lane_class(invocation.kind)
    return Group(shared, (invocation.request_id, stored))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
