"""A worker's end of the memory broker, and a message in its hands."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from broker.errors import LeaseLost
from broker.interface import WorkerInfo
from broker.invocation import Invocation, Outcome, now_ms

if TYPE_CHECKING:
    from broker.memory import MemoryBroker


@dataclass(frozen=True, slots=True)
class Message:
    """An invocation on its way, with what its envelope counts."""

    invocation: Invocation
    attempt: int = 1
    deliveries: int = 1
    losses: int = 0


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
        self.held: dict[str, Message] = {}

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

    def give(self, message: Message) -> None:
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

    def settle(self, request_id: str) -> Message | None:
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
    message: Message
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

    def _settle(self) -> Message | None:
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
