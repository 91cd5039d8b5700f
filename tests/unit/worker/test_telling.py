"""Destinations that are away, refuse, or come back: the function never runs again for it, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from broker.destination_requests import Notice
from broker.errors import BrokerError, BrokerUnavailable, DestinationRefused, DestinationUnavailable
from broker.interface import Delivery
from broker.invocation import LATEST, Outcome, Pending, Sequel, Tell, now_ms
from broker.memory import MemoryBroker
from broker.memory_consumer import MemoryConsumer
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import FunctionConfig, FunctionRecord
from tests.unit.worker.deliveries import ARN, Deliveries, in_memory
from worker.telling import PATIENCE_SECONDS, Telling

QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"
TOPIC = "arn:aws:sns:us-east-1:123456789012:t"


class Sent:
    """Senders whose destinations have the mood that a test gives them."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Notice]] = []
        self.moods: dict[str, BrokerError] = {}

    async def send(self, arn: str, notice: Notice) -> None:
        if arn in self.moods:
            raise self.moods[arn]
        self.heard.append((arn, notice))

    @property
    def arns(self) -> list[str]:
        return [arn for arn, _ in self.heard]


class Bench(Deliveries):
    def __init__(self, broker: MemoryBroker, consumer: MemoryConsumer) -> None:
        super().__init__(broker, consumer)
        self.sent, self.registry = Sent(), MemoryRegistry()
        self.telling = Telling(self.registry, self.sent)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with in_memory() as (broker, consumer):
        yield Bench(broker, consumer)


def sequel(delivery: Delivery, *tells: Tell, age_seconds: float = 0) -> Sequel:
    finished = now_ms() - round(age_seconds * 1000)
    outcome = Outcome(
        delivery.invocation.request_id, "f", LATEST, "failed", 1, 1, finished, "RetriesExhausted"
    )
    return Sequel(outcome, "RetriesExhausted", tells, (), b'{"errorMessage":"no"}', "Unhandled")


async def test_a_queue_is_told_and_the_outcome_says_so(bench: Bench) -> None:
    delivery = await bench.delivery()
    assert await bench.telling.begin(delivery, sequel(delivery, Tell(QUEUE, "record"), Tell(TOPIC, "event")))
    assert bench.sent.arns == [QUEUE, TOPIC]
    assert json.loads(bench.sent.heard[0][1].body)["requestContext"]["condition"] == "RetriesExhausted"
    outcome = await bench.outcome(delivery)
    assert (outcome.status, outcome.dead_letter, outcome.destination_error) == (
        "failed",
        f"{QUEUE}, {TOPIC}",
        "",
    )


async def test_while_a_destination_is_away_the_message_waits_with_its_sequel(bench: Bench) -> None:
    bench.sent.moods[QUEUE] = DestinationUnavailable("connection refused")
    delivery = await bench.delivery()
    await bench.telling.begin(delivery, sequel(delivery, Tell(QUEUE, "record"), Tell(TOPIC, "event")))
    assert isinstance(await bench.broker.outcome(delivery.invocation.request_id), Pending)
    bench.sent.moods.clear()
    again = await bench.next()
    assert again.invocation.sequel is not None
    await bench.telling.resume(again)
    assert bench.sent.arns == [TOPIC, QUEUE]  # nobody twice
    assert (await bench.outcome(delivery)).dead_letter == f"{TOPIC}, {QUEUE}"


async def test_a_destination_that_is_a_function_waits_while_the_registry_is_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.registry.create(
        FunctionRecord("next", 1, FunctionConfig(LATEST, "p", "a.b", "r", "", 1, "", ""))
    )

    async def unavailable(name: str) -> FunctionRecord:
        raise BrokerUnavailable("Redis does not answer")

    delivery = await bench.delivery()
    with monkeypatch.context() as outage:
        outage.setattr(bench.registry, "get", unavailable)
        await bench.telling.begin(delivery, sequel(delivery, Tell(ARN + "next", "record")))
    again = await bench.next()
    assert again.invocation.sequel is not None, "the function that has run does not run again"
    await bench.telling.resume(again)
    assert (await bench.next()).invocation.function_name == "next"


async def test_a_destination_that_refuses_makes_a_dead_letter_with_the_reason(bench: Bench) -> None:
    bench.sent.moods[QUEUE] = DestinationRefused("no such queue")
    delivery = await bench.delivery()
    await bench.telling.begin(delivery, sequel(delivery, Tell(QUEUE, "record")))
    outcome = await bench.outcome(delivery)
    assert outcome.dead_letter == f"dead-letter/{delivery.invocation.request_id}"
    assert outcome.destination_error == f"{QUEUE}: no such queue"
    assert len(bench.broker.dead_letters) == 1


async def test_a_destination_that_stays_away_makes_a_dead_letter_in_the_end(bench: Bench) -> None:
    bench.sent.moods[QUEUE] = DestinationUnavailable("connection refused")
    delivery = await bench.delivery()
    old = sequel(delivery, Tell(QUEUE, "record"), age_seconds=PATIENCE_SECONDS + 1)
    await bench.telling.begin(delivery, old)
    assert (await bench.outcome(delivery)).destination_error == f"{QUEUE}: connection refused"


async def test_a_function_is_invoked_when_all_others_know(bench: Bench) -> None:
    await bench.registry.create(
        FunctionRecord("next", 1, FunctionConfig(LATEST, "p", "a.b", "r", "", 1, "", ""))
    )
    bench.sent.moods[QUEUE] = DestinationUnavailable("connection refused")
    delivery = await bench.delivery()
    tells = Tell(ARN + "next", "record"), Tell(QUEUE, "event")
    await bench.telling.begin(delivery, sequel(delivery, *tells))
    bench.sent.moods.clear()
    again = await bench.next()
    assert again.invocation.function_name == "f"
    await bench.telling.resume(again)
    assert (await bench.next()).invocation.function_name == "next"
    assert (await bench.outcome(delivery)).dead_letter == f"{QUEUE}, {ARN}next"


async def test_a_fenced_delivery_tells_nobody(bench: Bench) -> None:
    delivery = await bench.delivery()
    bench.consumer.lapse()
    assert not await bench.telling.begin(delivery, sequel(delivery, Tell(QUEUE, "record")))
    assert bench.sent.heard == []


async def test_one_that_was_told_is_enough_to_lose_nothing(bench: Bench) -> None:
    bench.sent.moods[QUEUE] = DestinationRefused("no such queue")
    delivery = await bench.delivery()
    both = replace(sequel(delivery, Tell(QUEUE, "record"), Tell(TOPIC, "event")))
    await bench.telling.begin(delivery, both)
    outcome = await bench.outcome(delivery)
    assert (outcome.dead_letter, outcome.destination_error) == (TOPIC, f"{QUEUE}: no such queue")
