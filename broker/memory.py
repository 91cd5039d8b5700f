"""The broker in one process's memory: for unit tests, and the plainest reading of the contract."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from broker.errors import BrokerError, Throttled
from broker.interface import Depth, Metric, Placement, WorkerInfo
from broker.invocation import Invocation, Outcome, Pending, Reply
from broker.memory_consumer import MemoryConsumer, Message
from broker.memory_inbox import MemoryInbox, MemoryReplyStream


@dataclass(slots=True)
class _Gate:
    limit: int | None = None
    holders: set[str] = field(default_factory=set)
    parked: deque[Message] = field(default_factory=deque)

    @property
    def is_open(self) -> bool:
        return self.limit is None or len(self.holders) < self.limit


class MemoryBroker:
    """Implements `broker.interface.Broker`; durable only as long as the process lives."""

    def __init__(self) -> None:
        self._sync: deque[Message] = deque()
        self._async: deque[Message] = deque()
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
        return self._admit(Message(invocation))

    async def publish_once(self, invocation: Invocation) -> bool:
        if invocation.request_id in self._accepted:
            return False
        self._accepted.add(invocation.request_id)
        self._admit(Message(invocation))
        return True

    def submit(self, invocation: Invocation, refused: Callable[[BrokerError], None]) -> None:
        try:
            self._admit(Message(invocation))
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

    def take(self) -> Message | None:
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

    def requeue(self, message: Message, delay_seconds: float, *, charge: bool, loss: bool = False) -> None:
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

    def _due(self, request_id: str, message: Message) -> None:
        del self._delayed[request_id]
        self._admit(message)

    def _admit(self, message: Message) -> Placement:
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

    def _enqueue(self, message: Message) -> Placement:
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
