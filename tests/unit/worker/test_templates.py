"""Which templates a worker keeps, and when it makes another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker.manual_environments import settle
from worker.environments import templates
from worker.environments.interface import EnvironmentSpec, InitFailed, OnOutput
from worker.environments.templates import Templates
from worker.runtimes.python.template import NOT_COPYABLE

SPEC = EnvironmentSpec(
    *("f", "1", "arn", "python3.12", "app.handler", 3, 128, 512, {}, Path("/code"), "region", "/log"),
    snap_start=True,
)


class Made:
    """An environment that starts when it is told to."""

    init_duration_ms = 12.0

    def __init__(
        self, spec: EnvironmentSpec, on_gone: Callable[[], None], failure: InitFailed | None
    ) -> None:
        self.spec, self.on_gone, self._failure = spec, on_gone, failure
        self.process: Any = object()
        self.may_come_up = asyncio.Event()
        self.may_come_up.set()
        self.stopped = False

    async def start(self) -> None:
        await asyncio.sleep(0)
        await self.may_come_up.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        self.stopped = True


class Factory:
    def __init__(self) -> None:
        self.made: list[Made] = []
        self.failure: InitFailed | None = None
        self.slow = False
        self.output = bytearray()
        self.templates = Templates(self._make)

    def _make(self, spec: EnvironmentSpec, on_output: OnOutput, on_gone: Callable[[], None]) -> Made:
        self.made.append(Made(spec, on_gone, self.failure))
        if self.slow:
            self.made[-1].may_come_up.clear()
        return self.made[-1]

    async def lend(self, spec: EnvironmentSpec = SPEC) -> Any:
        async with self.templates.lend(spec, self.output.extend) as process:
            return process


@pytest.fixture
def factory() -> Factory:
    return Factory()


async def test_many_who_ask_at_once_share_one(factory: Factory) -> None:
    lent = await asyncio.gather(*(factory.lend() for _ in range(5)))

    assert len(factory.made) == 1
    assert set(lent) == {factory.made[0].process}
    assert factory.output == b"INIT_REPORT Init Duration: 12.00 ms\n"


async def test_one_that_has_died_is_made_again(factory: Factory) -> None:
    await factory.lend()
    factory.made[0].on_gone()

    await factory.lend()

    assert len(factory.made) == 2


async def test_a_changed_version_gets_another_and_the_old_one_ends(factory: Factory) -> None:
    await factory.lend()

    await factory.lend(replace(SPEC, variables={"NEW": "1"}))
    await factory.templates.close()

    assert [made.stopped for made in factory.made] == [True, False]


async def test_a_failed_init_is_told_to_all_who_wait_and_tried_again_for_the_next(factory: Factory) -> None:
    factory.failure = InitFailed("KeyError", b"{}", 1.0)

    told = await asyncio.gather(*(factory.lend() for _ in range(3)), return_exceptions=True)

    assert [type(each) for each in told] == [InitFailed] * 3
    factory.failure = None
    assert await factory.lend() is factory.made[1].process


async def test_what_cannot_be_copied_is_tried_once_only(factory: Factory) -> None:
    factory.failure = InitFailed(NOT_COPYABLE, b"{}", 1.0)

    assert [await factory.lend() for _ in range(3)] == [None] * 3

    assert len(factory.made) == 1
    assert b"initialised by itself" in factory.output


async def test_those_unused_for_longest_make_room(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 2)
    specs = [replace(SPEC, version=str(number)) for number in range(3)]
    await factory.lend(specs[0])
    await factory.lend(specs[1])
    await factory.lend(specs[0])

    await factory.lend(specs[2])
    await factory.templates.close()

    assert [made.stopped for made in factory.made] == [False, True, False]


async def test_one_in_use_is_kept(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 1)
    async with factory.templates.lend(SPEC, factory.output.extend):
        await factory.lend(replace(SPEC, version="2"))
        await factory.templates.close()

        assert not factory.made[0].stopped


async def test_one_that_nobody_used_for_long_ends(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    await factory.lend()
    monkeypatch.setattr(templates, "KEEP_SECONDS", -1.0)

    await factory.lend(replace(SPEC, version="2"))
    await factory.templates.close()

    assert factory.made[0].stopped


async def test_one_that_nobody_used_for_long_ends_though_no_other_is_made(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await factory.lend()

    factory.templates.reap()
    await factory.templates.close()
    assert not factory.made[0].stopped

    monkeypatch.setattr(templates, "KEEP_SECONDS", -1.0)
    factory.templates.reap()
    await factory.templates.close()
    assert factory.made[0].stopped


async def test_where_memory_runs_short_those_that_nobody_uses_end(factory: Factory) -> None:
    async with factory.templates.lend(SPEC, factory.output.extend):
        await factory.lend(replace(SPEC, version="2"))

        factory.templates.shed()
        await factory.templates.close()

    assert [made.stopped for made in factory.made] == [False, True]
    await factory.lend(replace(SPEC, version="2"))
    assert len(factory.made) == 3


async def test_what_cannot_be_copied_is_remembered_where_memory_runs_short(factory: Factory) -> None:
    factory.failure = InitFailed(NOT_COPYABLE, b"{}", 1.0)
    await factory.lend()

    factory.templates.shed()

    assert await factory.lend() is None
    assert len(factory.made) == 1


async def test_a_replaced_one_ends_when_its_last_user_leaves(factory: Factory) -> None:
    async with factory.templates.lend(SPEC, factory.output.extend):
        await factory.lend(replace(SPEC, variables={"NEW": "1"}))
        await settle()
        assert not factory.made[0].stopped

    await settle()
    assert [made.stopped for made in factory.made] == [True, False]


async def test_one_that_is_replaced_while_it_starts_ends_after_its_use(factory: Factory) -> None:
    factory.slow = True
    slow = asyncio.create_task(factory.lend())
    await settle()
    factory.slow = False
    await factory.lend(replace(SPEC, variables={"NEW": "1"}))

    factory.made[0].may_come_up.set()

    assert await slow is factory.made[0].process
    await settle()
    assert [made.stopped for made in factory.made] == [True, False]


async def test_one_that_comes_up_for_nobody_after_it_was_replaced_ends(factory: Factory) -> None:
    factory.slow = True
    slow = asyncio.create_task(factory.lend())
    await settle()
    slow.cancel()
    await settle()
    factory.slow = False
    await factory.lend(replace(SPEC, variables={"NEW": "1"}))

    factory.made[0].may_come_up.set()
    await settle()

    assert [made.stopped for made in factory.made] == [True, False]
