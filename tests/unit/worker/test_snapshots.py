"""A version with SnapStart becomes active or failed, whatever stands in the way of its initialisation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from broker.errors import BrokerUnavailable
from broker.invocation import Invocation, Outcome, new_request_id, now_ms
from broker.memory import MemoryBroker
from broker.memory_consumer import MemoryConsumer
from broker.registry import version_changes
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import FunctionConfig, FunctionRecord
from worker.environments.interface import InitFailed
from worker.environments.room import NoRoom
from worker.environments.turnover import NotStarted
from worker.journal import Journal
from worker.settlement import MOST_LOSSES
from worker.snapshots import MOST_ATTEMPTS, Snapshots


class World:
    """Functions, pool and registry; `trouble` is what the pool raises."""

    def __init__(self, broker: MemoryBroker, consumer: MemoryConsumer) -> None:
        self.broker, self.consumer = broker, consumer
        self.registry = MemoryRegistry()
        self.trouble: Exception | None = None
        self.released = 0
        parts: Any = self
        self.snapshots = Snapshots(parts, parts, self.registry)

    async def resolve(self, invocation: Invocation) -> Any:
        await self.registry.get(invocation.function_name)
        return SimpleNamespace(key="f:1", spec=None)

    async def acquire(self, key: str, spec: Any) -> Any:
        if self.trouble is not None:
            raise self.trouble
        return "place"

    def release(self, place: Any) -> None:
        self.released += 1

    async def published(self) -> str:
        """A function with a version that waits; the id of the request to initialise it."""
        latest = FunctionConfig("$LATEST", "python3.12", "app.handler", "role", "sha", 1, "", "r1")
        record = FunctionRecord("f", 0, replace(latest, snap_start=True))
        record, _ = version_changes.publish_version(record, revision_id="r2", published_at="")
        await self.registry.create(record)
        now, request_id = now_ms(), new_request_id()
        asked = Invocation(
            request_id, "async", "f", "1", 1, "arn", b"", now, now + 10**9, qualifier="1", initialize=True
        )
        await self.broker.publish(asked)
        return request_id

    async def take(self) -> None:
        (delivery,) = await self.consumer.receive(1, 10)
        await self.snapshots.take(delivery)

    async def state(self) -> tuple[str, str, str]:
        config = (await self.registry.get("f")).versions["1"]
        return config.state, config.state_reason, config.state_reason_code

    async def outcome(self, request_id: str) -> tuple[str, str]:
        outcome = await self.broker.outcome(request_id)
        assert isinstance(outcome, Outcome)
        return outcome.status, outcome.reason


@pytest.fixture
async def world() -> AsyncIterator[World]:
    broker = MemoryBroker()
    await broker.start()
    consumer = await broker.consumer(1)
    yield World(broker, consumer)
    await consumer.close()
    await broker.close()


def not_started(error_type: str, message: str) -> NotStarted:
    document = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    spec: Any = None
    return NotStarted(InitFailed(error_type, document, 1.0), spec, Journal(lambda *_: None, "f"))


async def test_an_initialised_version_is_active_and_its_environment_kept(world: World) -> None:
    request_id = await world.published()
    assert (await world.state())[0] == "Pending"

    await world.take()

    assert await world.state() == ("Active", "", "")
    assert await world.outcome(request_id) == ("succeeded", "Success")
    assert world.released == 1


@pytest.mark.parametrize(
    ("error_type", "code"),
    [
        ("KeyError", "FunctionError"),
        ("Sandbox.Timedout", "FunctionError.InitTimeout"),
        ("Runtime.ExitError", "FunctionError.RuntimeInitError"),
    ],
)
async def test_a_failed_init_fails_the_version(world: World, error_type: str, code: str) -> None:
    request_id = await world.published()
    world.trouble = not_started(error_type, "it said")

    await world.take()

    assert await world.state() == ("Failed", f"{error_type}: it said", code)
    assert await world.outcome(request_id) == ("failed", f"{error_type}: it said")


async def test_a_hook_that_fails_after_restoring_does_not_fail_the_version(world: World) -> None:
    await world.published()
    world.trouble = not_started("Runtime.AfterRestoreError", "it said")

    await world.take()

    assert (await world.state())[0] == "Active"


@pytest.mark.parametrize("ours", [True, False])
async def test_what_is_our_fault_is_tried_again_before_the_version_fails(
    world: World, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.snapshots.RETRY_SECONDS", 0.0)
    await world.published()
    world.trouble = NoRoom("too large") if ours else not_started("Sandbox.Failure", "too large")

    for _ in range(MOST_ATTEMPTS - 1):
        await world.take()
        assert (await world.state())[0] == "Pending"
    await world.take()

    state, reason, code = await world.state()
    assert (state, code) == ("Failed", "InternalError")
    assert "too large" in reason


async def test_a_version_that_kills_one_worker_after_another_fails_and_says_why(world: World) -> None:
    request_id = await world.published()
    for _ in range(MOST_LOSSES):
        await world.consumer.receive(1, 10)
        world.consumer.lapse()
        world.consumer = await world.broker.consumer(1)

    await world.take()

    assert await world.state() == ("Failed", "4 workers died while they held it", "InternalError")
    assert (await world.outcome(request_id))[0] == "failed"
    assert world.released == 0


@pytest.mark.parametrize("away", ["functions", "registry"])
async def test_an_outage_of_redis_is_waited_out_and_is_no_attempt(
    world: World, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.snapshots.RETRY_SECONDS", 0.0)
    request_id = await world.published()

    async def unavailable(*_: object) -> None:
        raise BrokerUnavailable("Redis does not answer")

    with monkeypatch.context() as outage:
        if away == "functions":
            outage.setattr(world, "resolve", unavailable)
        else:
            outage.setattr(world.registry, "update", unavailable)
        for _ in range(MOST_ATTEMPTS + 1):
            await world.take()
            assert not world.consumer.held, "it is free for any worker"
    world.trouble = NoRoom("for a moment")
    await world.take()
    world.trouble = None
    await world.take()

    assert await world.state() == ("Active", "", "")
    assert await world.outcome(request_id) == ("succeeded", "Success")


async def test_a_function_that_was_deleted_meanwhile_is_left_alone(world: World) -> None:
    request_id = await world.published()
    await world.registry.delete("f")

    await world.take()

    assert await world.outcome(request_id) == ("failed", "FunctionNotFound")
