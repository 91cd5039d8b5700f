"""How the suite gets brokers; a new implementation joins by adding a `Harness` to `HARNESSES`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from broker.interface import Broker, Consumer
from broker.memory import MemoryBroker
from broker.memory_consumer import MemoryConsumer
from broker.redis_broker.broker import RedisBroker


class Harness(Protocol):
    """How the suite gets brokers that share one server, and how it makes a consumer die."""

    async def broker(self) -> Broker: ...

    async def crash(self, broker: Broker, consumer: Consumer) -> None:
        """End the consumer as `kill -9` of its process does; nothing says goodbye."""


class MemoryHarness:
    def __init__(self) -> None:
        self._broker = MemoryBroker()

    async def broker(self) -> Broker:
        return self._broker

    async def crash(self, broker: Broker, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        consumer.lapse()


class RedisHarness:
    def __init__(self, url: str, namespace: str) -> None:
        self._url, self._namespace = url, namespace
        self.brokers: list[RedisBroker] = []

    async def broker(self) -> Broker:
        broker = RedisBroker(self._url, self._namespace)
        await broker.start()
        self.brokers.append(broker)
        return broker

    async def crash(self, broker: Broker, consumer: Consumer) -> None:
        assert isinstance(broker, RedisBroker)
        renewing = consumer._renewing  # type: ignore[attr-defined]
        renewing.cancel()
        await broker.close()


@asynccontextmanager
async def _redis(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    server = request.getfixturevalue("redis_server")
    harness = RedisHarness(server.url, request.getfixturevalue("namespace"))
    yield harness
    for broker in harness.brokers:
        await broker.close()


@asynccontextmanager
async def _memory(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    harness = MemoryHarness()
    yield harness
    await (await harness.broker()).close()


HARNESSES = {"memory": _memory, "redis": _redis}
