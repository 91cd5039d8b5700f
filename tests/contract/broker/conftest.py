"""What every broker must do: each file of this folder runs over each of `HARNESSES`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.interface import Broker, Consumer
from tests.contract.broker.harness import HARNESSES, Harness


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with HARNESSES[request.param](request) as made:
        yield made


@pytest.fixture
async def broker(harness: Harness) -> Broker:
    return await harness.broker()


@pytest.fixture
async def consumer(harness: Harness) -> AsyncIterator[Consumer]:
    consumer = await (await harness.broker()).consumer(capacity=8)
    yield consumer
    await consumer.close()
