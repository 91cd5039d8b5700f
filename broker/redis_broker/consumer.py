"""A worker's end of the Redis broker: registered, leased, and told of work by publish/subscribe.

A message belongs to this consumer from the moment the accepting script put its id in `held:EPOCH`; the
push on the channel only carries it here. `_renew` compares both views every second and fetches what a
lost connection swallowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from broker.errors import BrokerUnavailable, LeaseLost
from broker.invocation import Invocation, Outcome, now_ms
from broker.redis_broker.arrivals import Arrivals
from broker.redis_broker.delivery import RedisDelivery
from broker.redis_broker.envelope import (
    Received,
    Undecodable,
    offer_name,
    read,
)
from broker.redis_broker.epoch import ConsumerOptions, Epoch
from broker.redis_broker.link import Link, volatile_prefix
from broker.redis_broker.settling import Settling, encode_outcome
from broker.redis_broker.wire import Argument

log = logging.getLogger(__name__)

_OFFER_MS = 10_000
_FETCH = b"fetch "
"""How a push begins that names a message only: class and id follow."""
_NUMBERED = b"sent "
"""How a push begins that an offer brought here: its number follows, then the push."""


Describe = Callable[[Sequence[str]], bytes]
"""What stands in the list of workers, given the runtimes."""


class RedisConsumer:
    """Implements `broker.interface.Consumer`."""

    def __init__(self, link: Link, options: ConsumerOptions, capacity: int, describe: Describe) -> None:
        self._epoch = Epoch(link, options)
        self._capacity = capacity
        self._describe = describe
        self._known: set[str] = set()
        self._arrived: deque[RedisDelivery] = deque()
        self._arrivals = Arrivals()
        self._settling = Settling(
            self._epoch, self._known.discard, lambda: len(self._known) >= self._capacity
        )
        self._wake: asyncio.Future[None] | None = None
        self._lost: LeaseLost | None = None
        self._stopped = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def epoch(self) -> str:
        return self._epoch.name

    async def open(self, runtimes: Sequence[str]) -> None:
        """Register, and keep the lease from now on."""
        channel = f"{self._epoch.options.namespace}:to:{self.epoch}"
        await self._epoch.link.subscribe(channel, self._pushed)
        description = self._describe(runtimes)
        await self._epoch.run(
            "register", description, self._capacity, self._epoch.options.lease_ms, *self._epoch.fill()
        )
        self._epoch.link.on_connected(self._resume)
        self._renewing = asyncio.create_task(self._keep_lease(), name=f"lease-{self.epoch}")

    async def receive(self, max_messages: int, wait_seconds: float) -> Sequence[RedisDelivery]:
        if not self._arrived and self._lost is None:
            await self._wait(wait_seconds)
        if self._lost is not None:
            raise self._lost
        arrived = self._arrived
        return [arrived.popleft() for _ in range(min(max_messages, len(arrived)))]

    def offer(self, available: Mapping[tuple[str, str], int]) -> None:
        if not available or self._stopped or not self._epoch.link.is_connected:
            return
        arguments: list[Argument] = []
        for version, count in available.items():
            name = offer_name(*version)
            arguments += name, count, self._arrivals.accounted(name)
            if count < 0:
                self._arrivals.forget(name)
        self._epoch.run("offer", _OFFER_MS, *arguments).add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )

    async def announce(self, runtimes: Sequence[str]) -> None:
        await self._epoch.run("describe", self._describe(runtimes))

    async def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            with contextlib.suppress(BrokerUnavailable):  # the next renewal says so again
                await self._epoch.run("stop")

    async def close(self) -> None:
        if self._renewing is None:
            return
        await self.stop()
        await self._settling.finish()
        for delivery in self._arrived:
            await delivery.release(0, charge=False)
        self._arrived.clear()
        self._renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._renewing
        self._renewing = None
        # What is still held goes back as if the lease had lapsed, only at once.
        volatile = volatile_prefix(self._epoch.options.namespace, self._epoch.link.run_id)
        await self._epoch.link.call("DEL", f"{volatile}:lease:{self.epoch}")
        await self._epoch.run("reclaim")

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

        namespace = self._epoch.options.namespace
        home = volatile_prefix(namespace, self._epoch.link.run_id) if lane == b"sync" else namespace
        self._epoch.link.call("HGET", f"{home}:messages", request_id).add_done_callback(fetched)

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
            self._arrived.append(RedisDelivery(self._settling, self._arrivals, received, offered))
            self._notify()

    def _counted(self, invocation: Invocation, number: int) -> str:
        """The version whose offer brought the message here; it is counted as arrived."""
        version = offer_name(invocation.function_name, invocation.version)
        self._arrivals.arrived(version, number)
        return version

    def _set_aside(self, request_id: bytes, lane: bytes, reason: str) -> None:
        """Dead-letter a message that nobody can read; should this fail, the next renewal tries again."""
        key = request_id.decode("utf-8", "backslashreplace")
        outcome = Outcome(key, "", "", "failed", 0, 1, now_ms(), "Undecodable", reason, f"dead-letter/{key}")
        kept = (self._epoch.options.outcome_ttl_seconds, self._epoch.options.most_dead_letters)
        arguments = (request_id, "", lane, *self._epoch.fill(), encode_outcome(outcome), *kept)
        self._epoch.run("dead_letter", *arguments).add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )

    def _notify(self) -> None:
        if self._wake is not None:
            _finish(self._wake)

    async def _keep_lease(self) -> None:
        while self._lost is None:
            await asyncio.sleep(self._epoch.options.renew_seconds)
            with contextlib.suppress(BrokerUnavailable):  # the link resumes; a full server is waited out
                await self._renew()

    async def _resume(self) -> None:
        if self._renewing is not None:
            await self._renew()

    async def _renew(self) -> None:
        capacity = "" if self._stopped else self._capacity
        held = await self._epoch.run("renew", self._epoch.options.lease_ms, *self._epoch.fill(), capacity)
        if held is None:
            self._lost = LeaseLost(f"the lease of worker {self.epoch} lapsed; others have its messages")
            self._notify()
            return
        assert isinstance(held, list)
        for lane, request_ids in zip((b"async", b"sync"), held, strict=True):
            for request_id in request_ids:
                self._fetch(request_id, lane)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
