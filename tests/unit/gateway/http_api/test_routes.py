"""The compiled routes follow the triggers."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from broker.trigger_store.directory import Directory
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord
from gateway.http_api.routes import Route, Routes


def record(trigger_id: str, created_ms: int = 1, **settings: Any) -> TriggerRecord:
    return TriggerRecord(
        trigger_id, "route", "f", msgspec.Raw(msgspec.json.encode(settings)), created_ms=created_ms
    )


class Stage:
    """A store, its directory and the routes."""

    def __init__(self) -> None:
        self.store = MemoryTriggerStore()
        self.directory = Directory(self.store)
        self.routes = Routes(self.directory)

    async def create(self, made: TriggerRecord) -> None:
        await self.store.create(made)
        await self.directory.refresh()

    def match(self, *segments: str) -> Route | None:
        found = self.routes.table.match("GET", segments)
        return None if found is None else found[0]


async def test_routes_appear_change_and_disappear() -> None:
    stage = Stage()
    assert stage.match("a") is None
    await stage.create(record("r1", route="GET /a"))
    assert stage.match("a") is not None
    moved = msgspec.Raw(b'{"route":"GET /b"}')
    await stage.store.update("r1", lambda current: replace(current, settings=moved))
    await stage.directory.refresh()
    assert stage.match("a") is None
    assert stage.match("b") is not None
    await stage.store.update("r1", lambda current: replace(current, enabled=False))
    await stage.directory.refresh()
    assert stage.match("b") is None


async def test_a_route_keeps_its_bucket_while_others_change() -> None:
    stage = Stage()
    await stage.create(record("r1", route="GET /a", rate_per_second=1))
    before = stage.match("a")
    await stage.create(record("r2", route="GET /b"))
    assert before is not None
    assert before.bucket is not None
    assert stage.match("a") is before


async def test_of_two_equal_routes_the_older_one_counts() -> None:
    stage = Stage()
    await stage.create(record("a-younger", created_ms=2, route="GET /a"))
    await stage.create(record("b-older", created_ms=1, route="GET /a"))
    found = stage.match("a")
    assert found is not None
    assert found.record.id == "b-older"


async def test_a_route_that_is_not_understood_leaves_the_others_alone() -> None:
    stage = Stage()
    await stage.create(record("r1", route="GET /a", invented="later"))
    await stage.create(record("r2", route="GET /b"))
    assert stage.match("a") is None
    assert stage.match("b") is not None
