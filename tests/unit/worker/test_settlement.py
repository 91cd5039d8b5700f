"""How asynchronous invocations end, on a real (in-memory) broker and registry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from broker.destination_requests import Notice
from broker.invocation import LATEST, Pending
from broker.lineage import MOST_RUNS, counted
from broker.memory import MemoryBroker
from broker.memory_consumer import MemoryConsumer
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import EventInvokeConfig, FunctionConfig, FunctionRecord
from tests.unit.worker.deliveries import ARN, Deliveries, in_memory
from worker.settlement import Settlement
from worker.telling import Telling
from worker.verdict import Verdict, of_platform, of_unrun

OK = Verdict(b'"fine"')
FAILED = Verdict(b'{"errorType":"E"}', "Unhandled", "E")


def function(
    name: str = "f", config: EventInvokeConfig | None = None, reserved: int | None = None
) -> FunctionRecord:
    latest = FunctionConfig(LATEST, "python3.11", "a.b", "role", "", 1, "", "")
    configs = {LATEST: config} if config else {}
    return FunctionRecord(name, 1, latest, event_invoke_configs=configs, reserved_concurrency=reserved)


class NoSenders:
    async def send(self, arn: str, notice: Notice) -> None:
        raise AssertionError(f"nobody was to hear of it, but {arn} did")


class Bench(Deliveries):
    def __init__(self, broker: MemoryBroker, consumer: MemoryConsumer, registry: MemoryRegistry) -> None:
        super().__init__(broker, consumer)
        self.registry = registry
        self.settlement = Settlement(Telling(registry, NoSenders()), broker.count, retry_step_seconds=0.0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with in_memory() as (broker, consumer):
        yield Bench(broker, consumer, MemoryRegistry())


async def test_a_success_ends_it(bench: Bench) -> None:
    delivery = await bench.delivery()
    assert await bench.settlement.settle(delivery, OK, function())
    outcome = await bench.outcome(delivery)
    assert (outcome.status, outcome.attempts, outcome.deliveries) == ("succeeded", 1, 1)


async def test_a_function_error_is_retried_twice_and_then_set_aside(bench: Bench) -> None:
    delivery = await bench.delivery()
    for attempt in (1, 2):
        assert delivery.attempt == attempt
        await bench.settlement.settle(delivery, FAILED, function())
        assert isinstance(await bench.broker.outcome(delivery.invocation.request_id), Pending)
        delivery = await bench.next()
    await bench.settlement.settle(delivery, FAILED, function())
    outcome = await bench.outcome(delivery)
    assert (outcome.status, outcome.reason, outcome.attempts) == ("failed", "RetriesExhausted", 3)
    assert outcome.error == '{"errorType":"E"}'
    assert outcome.dead_letter == f"dead-letter/{delivery.invocation.request_id}"


async def test_a_destination_hears_of_a_success(bench: Bench) -> None:
    await bench.registry.create(function("next"))
    config = EventInvokeConfig(0, on_success=ARN + "next")
    delivery = await bench.delivery()
    await bench.settlement.settle(delivery, OK, function(config=config))
    told = await bench.next()
    assert told.invocation.function_name == "next"
    document = json.loads(told.invocation.payload)
    assert document["requestContext"]["condition"] == "Success"
    assert document["responsePayload"] == "fine"


async def test_a_destination_that_hears_of_a_failure_replaces_the_dead_letter(bench: Bench) -> None:
    await bench.registry.create(function("next"))
    config = EventInvokeConfig(0, maximum_retry_attempts=0, on_failure=ARN + "next")
    delivery = await bench.delivery()
    await bench.settlement.settle(delivery, FAILED, function(config=config))
    assert (await bench.next()).invocation.function_name == "next"
    assert (await bench.outcome(delivery)).dead_letter == ARN + "next"
    assert bench.broker.dead_letters == []


async def test_a_missing_destination_loses_nothing(bench: Bench) -> None:
    config = EventInvokeConfig(0, maximum_retry_attempts=0, on_failure=ARN + "missing")
    delivery = await bench.delivery()
    await bench.settlement.settle(delivery, FAILED, function(config=config))
    assert bench.broker.dead_letters == [delivery.invocation]
    assert "missing" in (await bench.outcome(delivery)).destination_error


async def test_a_function_that_is_its_destination_s_destination_is_stopped(bench: Bench) -> None:
    owner = function(config=EventInvokeConfig(0, on_success=ARN + "g"))
    await bench.registry.create(function("g"))
    delivery = await bench.delivery()
    assert bench.settlement.unrun(delivery, owner) is None
    await bench.settlement.settle(delivery, OK, owner)
    carried = (await bench.next()).invocation.trace_header
    for _ in range(MOST_RUNS - 1):
        carried = counted(carried, "f")
    looping = await bench.delivery(trace_header=carried)
    reason = bench.settlement.unrun(looping, owner)
    assert reason == "RecursiveInvocation"
    assert bench.settlement.unrun(looping, replace(owner, recursive_loop="Allow")) is None
    await bench.settlement.end_unrun(looping, of_unrun(reason), owner)
    assert await bench.broker.counts() == {"RecursiveInvocationsDropped": {"f": 1}}
    outcome = await bench.outcome(looping)
    assert (outcome.status, outcome.reason, outcome.attempts) == ("failed", "RecursiveInvocation", 0)
    assert outcome.dead_letter.startswith("dead-letter/")


async def test_our_own_failure_costs_no_attempt(bench: Bench) -> None:
    delivery = await bench.delivery()
    await bench.settlement.settle(delivery, of_platform("no room"), function())
    again = await bench.consumer.receive(1, 3)
    assert [(d.attempt, d.deliveries) for d in again] == [(1, 2)]


async def test_an_event_that_is_too_old_expires_unrun(bench: Bench) -> None:
    owner = function(config=EventInvokeConfig(0, maximum_event_age_seconds=60))
    fresh, old = await bench.delivery(age_seconds=50), await bench.delivery(age_seconds=61)
    assert bench.settlement.unrun(fresh, owner) is None
    reason = bench.settlement.unrun(old, owner)
    assert reason == "EventAgeExceeded"
    await bench.settlement.end_unrun(old, of_unrun(reason), owner)
    outcome = await bench.outcome(old)
    assert (outcome.status, outcome.attempts) == ("expired", 0)


async def test_a_function_with_no_concurrency_sends_its_events_to_the_destination(bench: Bench) -> None:
    await bench.registry.create(function("next"))
    owner = function(config=EventInvokeConfig(0, on_failure=ARN + "next"), reserved=0)
    delivery = await bench.delivery()
    reason = bench.settlement.unrun(delivery, owner)
    assert reason == "ZeroReservedConcurrency"
    await bench.settlement.end_unrun(delivery, of_unrun(reason), owner)
    context = json.loads((await bench.next()).invocation.payload)["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)
