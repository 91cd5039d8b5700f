"""Deliveries of a broker in memory, and what becomes of their invocations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.interface import Delivery
from broker.invocation import LATEST, Invocation, Outcome, new_request_id, now_ms
from broker.memory import MemoryBroker
from broker.memory_consumer import MemoryConsumer

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


class Deliveries:
    """Publishes events and takes them."""

    def __init__(self, broker: MemoryBroker, consumer: MemoryConsumer) -> None:
        self.broker, self.consumer = broker, consumer

    async def delivery(self, age_seconds: float = 0, trace_header: str = "") -> Delivery:
        """Of a new event for function `f`, as old as that."""
        accepted = now_ms() - round(age_seconds * 1000)
        event = Invocation(
            new_request_id(),
            "async",
            "f",
            LATEST,
            1,
            ARN + "f",
            b"{}",
            accepted,
            accepted + 10**9,
            trace_header=trace_header,
        )
        await self.broker.publish(event)
        return await self.next()

    async def next(self) -> Delivery:
        """The next one. Raises ValueError where none comes."""
        (delivery,) = await self.consumer.receive(1, 3)
        return delivery

    async def outcome(self, delivery: Delivery) -> Outcome:
        """How the invocation ended."""
        outcome = await self.broker.outcome(delivery.invocation.request_id)
        assert isinstance(outcome, Outcome)
        return outcome


@asynccontextmanager
async def in_memory() -> AsyncIterator[tuple[MemoryBroker, MemoryConsumer]]:
    """A broker and one consumer."""
    broker = MemoryBroker()
    yield broker, await broker.consumer(10)
    await broker.close()
