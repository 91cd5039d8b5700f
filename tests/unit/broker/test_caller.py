from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from broker.caller import Caller, Target
from broker.errors import CallFailed, CallLost, FunctionNotFound, FunctionNotReady, Throttled
from broker.interface import Delivery
from broker.invocation import Reply
from broker.memory import MemoryBroker
from broker.registry.changes import QualifierNotFound
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import Alias, FunctionRecord
from broker.settings import Settings
from tests.function_configs import config


class Bench:
    def __init__(self, broker: MemoryBroker, registry: MemoryRegistry, caller: Caller) -> None:
        self.broker = broker
        self.registry = registry
        self.caller = caller

    async def next_delivery(self) -> Delivery:
        [delivery] = await self.consumer.receive(1, 5)
        return delivery

    async def answer(self, reply: Reply) -> None:
        delivery = await self.next_delivery()
        await self.broker.reply(
            delivery.invocation.reply_to, replace(reply, request_id=delivery.invocation.request_id)
        )
        await delivery.ack()

    async def open(self) -> None:
        self.consumer = await self.broker.consumer(4)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    broker, registry = MemoryBroker(), MemoryRegistry()
    await broker.start()
    settings = Settings.from_environ({}, data_dir=Path("/data"))
    versions = {"1": config("1")}
    aliases = {"live": Alias("live", "1", "r")}
    await registry.create(FunctionRecord("hello", 0, config(), versions=versions, aliases=aliases))
    made = Bench(broker, registry, Caller(broker, await broker.inbox(), registry, settings))
    await made.open()
    yield made
    await made.consumer.close()
    await broker.close()


async def test_a_call_runs_the_version_behind_the_alias_and_waits_for_the_reply(bench: Bench) -> None:
    call = asyncio.create_task(bench.caller.call(Target("hello", "live"), b"{}"))
    delivery = await bench.next_delivery()
    invocation = delivery.invocation
    await bench.broker.reply(invocation.reply_to, Reply(invocation.request_id, b"42"))

    assert (await call).payload == b"42"
    assert (invocation.version, invocation.kind) == ("1", "poll")
    assert invocation.invoked_arn.endswith(":function:hello:live")


async def test_what_the_function_failed_with_is_the_reply(bench: Bench) -> None:
    call = asyncio.create_task(bench.caller.call(Target("hello"), b"{}"))
    await bench.answer(Reply("", b"{}", "Unhandled"))

    assert (await call).failure == "Unhandled"


async def test_the_platform_s_failure_is_an_error(bench: Bench) -> None:
    call = asyncio.create_task(bench.caller.call(Target("hello"), b"{}"))
    await bench.answer(Reply("", b"no room", "Platform"))

    with pytest.raises(CallFailed, match="no room"):
        await call


async def test_a_call_that_nobody_answers_is_lost_and_withdrawn(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CallLost, match="hello"):
        await bench.caller.call(Target("hello"), b"{}", patience_seconds=0.01)
    assert "call_lost" in caplog.messages


async def test_functions_and_qualifiers_that_do_not_exist_are_refused(bench: Bench) -> None:
    with pytest.raises(FunctionNotFound):
        await bench.caller.call(Target("nobody"), b"{}")
    with pytest.raises(QualifierNotFound):
        await bench.caller.send(Target("hello", "9"), b"{}")


async def test_a_function_that_is_not_active_is_not_called(bench: Bench) -> None:
    await bench.registry.update("hello", lambda r: replace(r, latest=replace(r.latest, state="Pending")))

    with pytest.raises(FunctionNotReady, match="Pending"):
        await bench.caller.call(Target("hello"), b"{}")


async def test_a_call_over_the_reserved_concurrency_is_throttled(bench: Bench) -> None:
    await bench.broker.set_limit("hello", 0)

    with pytest.raises(Throttled):
        await bench.caller.call(Target("hello"), b"{}")


async def test_an_event_is_left_behind_for_the_function(bench: Bench) -> None:
    request_id = await bench.caller.send(Target("hello"), b'{"n":1}')

    invocation = (await bench.next_delivery()).invocation
    assert (invocation.request_id, invocation.kind) == (request_id, "async")
    assert invocation.reply_to == ""
