"""The broker in one process's memory: for unit tests, and the plainest reading of the contract."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from broker.errors import BrokerError, LeaseLost, Throttled
from broker.interface import Depth, Metric, Placement, WorkerInfo
from broker.invocation import Invocation, Outcome, Pending, Reply, now_ms
from broker.memory_inbox import MemoryInbox, MemoryReplyStream


@dataclass(frozen=True, slots=True)
class _Message:
    invocation: Invocation
    attempt: int = 1
    deliveries: int = 1
    losses: int = 0


@dataclass(slots=True)
class _Gate:
    limit: int | None = None
    holders: set[str] = field(default_factory=set)
    parked: deque[_Message] = field(default_factory=deque)

    @property
    def is_open(self) -> bool:
        return self.limit is None or len(self.holders) < self.limit


class MemoryBroker:
    """Implements `broker.interface.Broker`; durable only as long as the process lives."""

    def __init__(self) -> None:
        self._sync: deque[_Message] = deque()
        self._async: deque[_Message] = deque()
        self._gates: dict[str, _Gate] = {}
        self._delayed: dict[str, asyncio.TimerHandle] = {}
        self._pending: set[str] = set()
        self._accepted: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._consumers: list[MemoryConsumer] = []
        self._inboxes: dict[str, MemoryInbox] = {}
        self._counts: dict[Metric, Counter[str]] = {"RecursiveInvocationsDropped": Counter()}
        self.dead_letters: list[Invocation] = []

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        for timer in self._delayed.values():
            timer.cancel()

    async def publish(self, invocation: Invocation) -> Placement:
        return self._admit(_Message(invocation))

    async def publish_once(self, invocation: Invocation) -> bool:
        if invocation.request_id in self._accepted:
            return False
        self._accepted.add(invocation.request_id)
        self._admit(_Message(invocation))
        return True

    def submit(self, invocation: Invocation, refused: Callable[[BrokerError], None]) -> None:
        try:
            self._admit(_Message(invocation))
        except Throttled as error:
            refused(error)

    async def withdraw(self, invocation: Invocation) -> bool:
        waiting = (self._sync, self._async, self._gate(invocation.function_name).parked)
        for lane in waiting:
            for message in lane:
                if message.invocation.request_id == invocation.request_id:
                    lane.remove(message)
                    self.forget(invocation)
                    return True
        return False

    async def consumer(self, capacity: int, runtimes: Sequence[str] = ()) -> MemoryConsumer:
        consumer = MemoryConsumer(self, capacity, tuple(runtimes))
        self._consumers.append(consumer)
        return consumer

    async def inbox(self) -> MemoryInbox:
        inbox = MemoryInbox(f"inbox-{len(self._inboxes)}")
        self._inboxes[inbox.address] = inbox
        return inbox

    async def reply(self, reply_to: str, reply: Reply) -> None:
        if reply_to in self._inboxes:
            self._inboxes[reply_to].deliver(reply)

    def stream(self, reply_to: str, request_id: str, content_type: str = "") -> MemoryReplyStream:
        return MemoryReplyStream(self._inboxes.get(reply_to), request_id, content_type)

    async def outcome(self, request_id: str) -> Outcome | Pending | None:
        if request_id in self._outcomes:
            return self._outcomes[request_id]
        return Pending(request_id) if request_id in self._pending else None

    async def set_limit(self, function_name: str, limit: int | None) -> None:
        self._gate(function_name).limit = limit
        self._unpark(function_name)

    async def depth(self) -> Depth:
        running = sum(len(consumer.held) for consumer in self._consumers)
        parked = sum(len(gate.parked) for gate in self._gates.values())
        return Depth(len(self._sync) + len(self._async), running, parked, len(self._delayed))

    def count(self, metric: Metric, function_name: str) -> None:
        self._counts[metric][function_name] += 1

    async def counts(self) -> Mapping[Metric, Mapping[str, int]]:
        return self._counts

    async def workers(self) -> Sequence[WorkerInfo]:
        return [consumer.about() for consumer in self._consumers]

    async def ping(self) -> None:
        return None

    def take(self) -> _Message | None:
        """The next message, sync before async."""
        for lane in (self._sync, self._async):
            if lane:
                return lane.popleft()
        return None

    def forget(self, invocation: Invocation) -> None:
        """Nothing is left of the message; its slot is free."""
        self._pending.discard(invocation.request_id)
        self.free(invocation)

    def store(self, outcome: Outcome) -> None:
        """Keep a terminal state."""
        self._outcomes[outcome.request_id] = outcome

    def requeue(self, message: _Message, delay_seconds: float, *, charge: bool, loss: bool = False) -> None:
        """Deliver it again later."""
        again = replace(
            message,
            attempt=message.attempt + charge,
            deliveries=message.deliveries + 1,
            losses=message.losses + loss,
        )
        self.free(message.invocation)
        if delay_seconds <= 0:
            self._admit(again)
            return
        request_id = message.invocation.request_id
        loop = asyncio.get_running_loop()
        self._delayed[request_id] = loop.call_later(delay_seconds, self._due, request_id, again)

    def remove(self, consumer: MemoryConsumer) -> None:
        """A consumer is gone: its async messages go to others, its sync callers are told."""
        self._consumers.remove(consumer)
        for message in list(consumer.held.values()):
            invocation = message.invocation
            if invocation.kind != "async":
                self.forget(invocation)
                lost = Reply(invocation.request_id, b"The worker that ran the function was lost.", "Platform")
                if invocation.reply_to in self._inboxes:
                    self._inboxes[invocation.reply_to].deliver(lost)
            else:
                self.requeue(message, 0, charge=False, loss=True)
        consumer.held.clear()

    def _gate(self, function_name: str) -> _Gate:
        return self._gates.setdefault(function_name, _Gate())

    def _due(self, request_id: str, message: _Message) -> None:
        del self._delayed[request_id]
        self._admit(message)

    def _admit(self, message: _Message) -> Placement:
        invocation = message.invocation
        if invocation.sequel is not None:
            return self._enqueue(message)
        gate = self._gate(invocation.function_name)
        if gate.limit == 0 and invocation.kind == "async":
            return self._enqueue(message)
        if not gate.is_open:
            assert gate.limit is not None
            if invocation.kind != "async":
                raise Throttled(invocation.function_name, gate.limit)
            self._pending.add(invocation.request_id)
            gate.parked.append(message)
            return "parked"
        if gate.limit is not None:
            gate.holders.add(invocation.request_id)
        return self._enqueue(message)

    def _enqueue(self, message: _Message) -> Placement:
        invocation = message.invocation
        self._pending.add(invocation.request_id)
        offering = [consumer for consumer in self._consumers if consumer.offers_for(invocation) is not None]
        if offering:
            max(offering, key=lambda consumer: consumer.offers_for(invocation) or 0).give(message)
            return "delivered"
        (self._sync if invocation.kind != "async" else self._async).append(message)
        return "delivered" if any(consumer.wake() for consumer in self._consumers) else "queued"

    def free(self, invocation: Invocation) -> None:
        """Its function may be run by another message."""
        self._gate(invocation.function_name).holders.discard(invocation.request_id)
        self._unpark(invocation.function_name)

    def _unpark(self, function_name: str) -> None:
        gate = self._gate(function_name)
        while gate.parked and (gate.is_open or gate.limit == 0):
            self._admit(gate.parked.popleft())


class MemoryConsumer:
    """Implements `broker.interface.Consumer`."""

    def __init__(self, broker: MemoryBroker, capacity: int, runtimes: tuple[str, ...]) -> None:
        self._broker = broker
        self._capacity = capacity
        self._runtimes = runtimes
        self._epoch = secrets.token_hex(8)
        self._started_ms = now_ms()
        self._arrival = asyncio.Event()
        self._stopped = False
        self._lost = False
        self._offers: dict[tuple[str, str], int] = {}
        self._unplaced: Counter[tuple[str, str]] = Counter()
        self._given: deque[MemoryDelivery] = deque()
        self.held: dict[str, _Message] = {}

    @property
    def epoch(self) -> str:
        return self._epoch

    async def receive(self, max_messages: int, wait_seconds: float) -> Sequence[MemoryDelivery]:
        try:
            async with asyncio.timeout(wait_seconds):
                while not (taken := self._take(max_messages)):
                    self._arrival.clear()
                    await self._arrival.wait()
                return taken
        except TimeoutError:
            return []

    def offer(self, available: Mapping[tuple[str, str], int]) -> None:
        for version, count in available.items():
            if count < 0:
                self._offers.pop(version, None)
            else:
                self._offers[version] = count - self._unplaced[version]

    def offers_for(self, invocation: Invocation) -> int | None:
        """How many environments it offers for that; None where it offers none, or has no room."""
        if not invocation.provisioned or self._stopped or self._room <= 0:
            return None
        return self._offers.get((invocation.function_name, invocation.version))

    def give(self, message: _Message) -> None:
        """A message for this consumer alone."""
        version = message.invocation.function_name, message.invocation.version
        self._offers[version] -= 1
        self._unplaced[version] += 1
        self.held[message.invocation.request_id] = message
        self._given.append(MemoryDelivery(self, self._broker, message, version))
        self._arrival.set()

    def placed(self, version: tuple[str, str]) -> None:
        """One of those that were given has an environment, or needs none."""
        self._unplaced[version] -= 1

    @property
    def _room(self) -> int:
        return self._capacity - len(self.held)

    async def announce(self, runtimes: Sequence[str]) -> None:
        self._runtimes = tuple(runtimes)

    async def stop(self) -> None:
        self._stopped = True

    async def close(self) -> None:
        self._stopped = True
        if self._lost:
            return
        self.lapse()

    def lapse(self) -> None:
        """What the lease's lapsing does."""
        self._lost = True
        self._broker.remove(self)
        self._arrival.set()

    def wake(self) -> bool:
        """A message is there; True if this consumer can take it."""
        free = not self._stopped and self._room > 0
        if free:
            self._arrival.set()
        return free

    def about(self) -> WorkerInfo:
        """For the list of workers."""
        host, pid = socket.gethostname(), os.getpid()
        running = len(self.held)
        return WorkerInfo(
            self._epoch, host, pid, self._capacity, running, self._started_ms, True, self._runtimes
        )

    def settle(self, request_id: str) -> _Message | None:
        """Take a message out of this consumer's hands; None if it is no longer there (fenced)."""
        self._arrival.set()
        return self.held.pop(request_id, None)

    def _take(self, max_messages: int) -> list[MemoryDelivery]:
        if self._lost:
            raise LeaseLost(f"the lease of worker {self._epoch} lapsed; others have its messages")
        taken: list[MemoryDelivery] = []
        while self._given and len(taken) < max_messages:
            taken.append(self._given.popleft())
        while not self._stopped and self._room > 0 and len(taken) < max_messages:
            if (message := self._broker.take()) is None:
                break
            self.held[message.invocation.request_id] = message
            taken.append(MemoryDelivery(self, self._broker, message))
        return taken


@dataclass(slots=True)
class MemoryDelivery:
    """Implements `broker.interface.Delivery`."""

    consumer: MemoryConsumer
    broker: MemoryBroker
    message: _Message
    offered: tuple[str, str] | None = None
    """The version whose offer brought it, until it is placed."""

    @property
    def invocation(self) -> Invocation:
        return self.message.invocation

    @property
    def attempt(self) -> int:
        return self.message.attempt

    @property
    def deliveries(self) -> int:
        return self.message.deliveries

    @property
    def losses(self) -> int:
        return self.message.losses

    def placed(self) -> None:
        if self.offered is not None:
            self.consumer.placed(self.offered)
            self.offered = None

    async def ack(self, outcome: Outcome | None = None, then: Sequence[Invocation] = ()) -> bool:
        if not self._finish(outcome):
            return False
        for invocation in then:
            await self.broker.publish(invocation)
        return True

    def _finish(self, outcome: Outcome | None) -> bool:
        if self._settle() is None:
            return False
        if outcome is not None:
            self.broker.store(outcome)
        self.broker.forget(self.invocation)
        return True

    def ack_lazily(self, outcome: Outcome | None = None) -> None:
        self._finish(outcome)

    async def amend(self, invocation: Invocation) -> bool:
        held, request_id = self.consumer.held, self.invocation.request_id
        self.message = replace(self.message, invocation=invocation)
        if request_id not in held:
            return False
        held[request_id] = self.message
        self.broker.free(invocation)
        return True

    async def release(self, delay_seconds: float, *, charge: bool) -> bool:
        if self._settle() is None:
            return False
        self.broker.requeue(self.message, delay_seconds, charge=charge)
        return True

    def _settle(self) -> _Message | None:
        self.placed()
        return self.consumer.settle(self.invocation.request_id)

    async def dead_letter(self, outcome: Outcome) -> bool:
        if self._settle() is None:
            return False
        place = f"dead-letter/{self.invocation.request_id}"
        self.broker.store(msgspec.structs.replace(outcome, dead_letter=place))
        self.broker.dead_letters.append(self.invocation)
        self.broker.forget(self.invocation)
        return True
