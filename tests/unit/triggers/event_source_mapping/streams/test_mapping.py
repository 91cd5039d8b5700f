"""A stream whose shards split, whose iterators get lost and whose records are trimmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from broker.invocation import Reply, now_ms
from broker.settings import Settings
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord
from tests.waiting import until
from triggers.event_source_mapping.settings import MappingSettings
from triggers.event_source_mapping.streams import reader as module
from triggers.event_source_mapping.streams.lineage import Shard
from triggers.event_source_mapping.streams.source import Page, Position, PositionLost
from triggers.interface import RunningTrigger

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-25T10:00:00.000"


class Stream:
    """A `StreamSource` in memory: records by shard, numbered over the whole stream."""

    def __init__(self) -> None:
        self.known: dict[str, Shard] = {}
        self.held: dict[str, list[int]] = {}
        self.trimmed: set[int] = set()
        self.lose_iterators = False
        self.asked: list[Position] = []

    def add(self, shard: str, *numbers: int, parent: str = "", closed: bool = False) -> None:
        self.known[shard] = Shard(shard, parent, closed)
        self.held.setdefault(shard, []).extend(numbers)

    async def shards(self) -> Sequence[Shard]:
        return list(self.known.values())

    async def iterator(self, shard_id: str, position: Position) -> str:
        self.asked.append(position)
        if position.after and int(position.after) in self.trimmed:
            raise PositionLost("trimmed")
        latest = max(self.held[shard_id], default=0) if position.kind == "LATEST" else 0
        return f"{shard_id}/{int(position.after or latest)}"

    async def records(self, iterator: str) -> Page:
        await asyncio.sleep(0)
        if self.lose_iterators:
            self.lose_iterators = False
            raise PositionLost("expired")
        shard_id, _, after = iterator.partition("/")
        here = [n for n in self.held[shard_id] if n > int(after) and n not in self.trimmed][:2]
        if not here and self.known[shard_id].is_closed:
            return Page([], "")
        return Page([_found(number) for number in here], f"{shard_id}/{here[-1] if here else after}")


def _found(number: int) -> dict[str, Any]:
    change = {
        "SequenceNumber": f"{number:021d}",
        "Keys": {"id": {"S": str(number)}},
        "ApproximateCreationDateTime": now_ms() / 1000,
    }
    return {"eventName": "INSERT", "dynamodb": change}


class Served:
    """A mapping of a `Stream`, and what its function was given."""

    def __init__(self, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "DynamoDBSource", lambda *_: stream)
        self.seen: list[int] = []
        self.store = MemoryTriggerStore()

    async def call(self, target: object, payload: bytes) -> Reply:
        records = json.loads(payload)["Records"]
        self.seen += [int(record["dynamodb"]["Keys"]["id"]["S"]) for record in records]
        return Reply("id", b"null")

    @asynccontextmanager
    async def running(self, starting_position: str = "TRIM_HORIZON") -> AsyncIterator[None]:
        settings = MappingSettings(event_source_arn=STREAM, starting_position=starting_position)  # type: ignore[arg-type]
        body = msgspec.Raw(msgspec.json.encode(settings))
        if not (await self.store.changes(0)).records:
            await self.store.create(
                TriggerRecord("m", "event_source_mapping", "f", body, created_ms=now_ms())
            )
        await self.store.claim("me", ["m"], 60_000, 1)
        nothing = cast(Any, None)
        own = Settings("unix:///nowhere", Path("/nowhere"), "file:///nowhere")
        trigger = RunningTrigger(
            await self.store.get("m"), "me", cast(Any, self), nothing, self.store, own, lambda _: None
        )
        task = asyncio.create_task(module.read_stream(trigger, settings, nothing, nothing))
        yield
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def served(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Served:
    return Served(stream, monkeypatch)


async def test_children_come_after_their_parents(stream: Stream, served: Served) -> None:
    stream.add("grandchild", 7, 8, parent="child")
    stream.add("child", 4, 5, 6, parent="parent", closed=True)
    stream.add("parent", 1, 2, 3, closed=True)
    async with served.running():
        await until(lambda: len(served.seen) == 8)
    assert served.seen == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_child_that_appears_when_its_parent_closes_is_found(stream: Stream, served: Served) -> None:
    stream.add("parent", 1)
    async with served.running():
        await until(lambda: served.seen == [1])
        stream.add("parent", 2, closed=True)
        stream.add("child", 3, parent="parent")
        await until(lambda: served.seen == [1, 2, 3])


async def test_finished_shards_are_not_read_again_and_forgotten_in_time(
    stream: Stream, served: Served
) -> None:
    stream.add("parent", 1, 2, closed=True)
    stream.add("child", 3, parent="parent")
    async with served.running():
        await until(lambda: served.seen == [1, 2, 3])
    del stream.known["parent"]
    stream.add("child", 4, parent="parent")
    async with served.running():
        await until(lambda: served.seen == [1, 2, 3, 4])
        assert set(await served.store.checkpoints("m")) == {"start", "child"}


async def test_latest_passes_over_shards_that_were_closed_before(stream: Stream, served: Served) -> None:
    stream.add("closed", 1, 2, closed=True)
    stream.add("open", 3, parent="closed")
    async with served.running("LATEST"):
        await until(lambda: len(stream.asked) == 1)
        stream.add("open", 4, parent="closed")
        await until(lambda: served.seen == [4])


async def test_a_lost_iterator_is_replaced_where_reading_stopped(stream: Stream, served: Served) -> None:
    stream.add("shard", 1, 2)
    async with served.running():
        await until(lambda: served.seen == [1, 2])
        stream.lose_iterators = True
        stream.add("shard", 3)
        await until(lambda: served.seen == [1, 2, 3])
    assert stream.asked[-1] == Position(after=f"{2:021d}")


async def test_reading_goes_on_at_the_horizon_where_the_checkpoint_was_trimmed(
    stream: Stream, served: Served
) -> None:
    stream.add("shard", 1, 2)
    async with served.running():
        await until(lambda: served.seen == [1, 2])
    stream.add("shard", 3, 4)
    stream.trimmed = {1, 2, 3}
    async with served.running():
        await until(lambda: served.seen == [1, 2, 4])
