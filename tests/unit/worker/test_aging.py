"""Idle environments grow old by their function's history, and are loaded again ahead of its calls."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.worker.manual_environments import ManualEnvironment, ManualFactory, settle, spec
from worker.environments.fleet import Place
from worker.environments.keep_alive import AdaptiveKeepAlive, FixedKeepAlive, KeepAlive
from worker.environments.pool import Pool
from worker.environments.room import PoolLimits
from worker.journal import Journal

MINUTE = 60.0
HOUR = 60 * MINUTE


class Days:
    """A pool whose time passes by hand; housekeeping comes every five seconds."""

    def __init__(self, policy: KeepAlive, memory_mb: int = 1024) -> None:
        self.now = 1_000.0
        self.policy = policy
        self.factory = ManualFactory()
        self.pool = Pool(
            self.factory,
            PoolLimits(memory_mb),
            lambda made_for: Journal(lambda function, stream, text: None, made_for.function_name),
            policy,
            lambda: self.now,
        )

    async def call(self, function: str = "f") -> Place:
        """A run without duration; its environment."""
        asking = asyncio.create_task(self.pool.acquire(function, spec(function)))
        await self.start_all()
        place = await asking
        self.pool.release(place)
        return place

    async def start_all(self) -> None:
        await settle()
        for made in self.factory.made:
            if not made.started.done():
                made.started.set_result(None)
        await settle()

    async def wait(self, seconds: float) -> None:
        for _ in range(int(seconds / 5)):
            self.now += 5
            self.pool.reap()
            await self.start_all()

    @property
    def live(self) -> list[ManualEnvironment]:
        return [made for made in self.factory.made if not made.stopped]


@pytest.fixture
def days() -> Days:
    return Days(AdaptiveKeepAlive())


async def every(days: Days, seconds: float, times: int) -> None:
    for _ in range(times):
        await days.call()
        await days.wait(seconds)


async def test_a_fixed_time_is_the_same_whatever_was() -> None:
    days = Days(FixedKeepAlive(300.0))
    await every(days, 10.0, 20)
    await days.wait(280.0)
    assert len(days.live) == 1
    await days.wait(15.0)
    assert not days.live


async def test_a_function_without_history_is_kept_for_ten_minutes(days: Days) -> None:
    await days.call()
    await days.wait(595.0)
    assert len(days.live) == 1
    await days.wait(10.0)
    assert not days.live


async def test_a_timers_next_call_finds_an_environment_that_was_loaded_for_it(days: Days) -> None:
    await every(days, HOUR, 6)
    before = await days.call()
    await days.wait(2 * MINUTE)
    assert not days.live
    await days.wait(50 * MINUTE)
    assert not days.live
    await days.wait(7 * MINUTE)
    [loaded] = days.live
    await days.wait(1 * MINUTE)

    place = await days.call()
    assert place.environment is loaded
    assert place is not before
    assert not place.fresh, "no run reports its init"
    assert loaded.spec.initialization_type == "on-demand"


async def test_what_was_loaded_for_a_call_that_does_not_come_is_stopped(days: Days) -> None:
    await every(days, HOUR, 7)
    await days.wait(10 * MINUTE)
    assert not days.live
    made = len(days.factory.made)
    await days.wait(10 * HOUR)
    assert len(days.factory.made) == made, "one guess for each call"


async def test_a_call_that_comes_early_makes_the_guess_void(days: Days) -> None:
    await every(days, HOUR, 6)
    await days.call()
    await days.wait(20 * MINUTE)
    assert (await days.call()).environment is days.factory.made[-1]
    made = len(days.factory.made)
    await days.wait(36 * MINUTE)
    assert len(days.factory.made) == made


async def test_nobody_is_stopped_for_a_guess() -> None:
    days = Days(AdaptiveKeepAlive(), memory_mb=128)
    await every(days, HOUR, 6)
    await days.call()
    await days.wait(50 * MINUTE)
    await days.call("other")
    await days.wait(9 * MINUTE)
    assert [made.spec.function_name for made in days.live] == ["other"]


async def test_idle_times_are_learned_where_room_was_needed_meanwhile() -> None:
    days = Days(AdaptiveKeepAlive(), memory_mb=128)
    for _ in range(6):
        await days.call("f")
        await days.wait(10.0)
        await days.call("other")
        await days.wait(10.0)
    assert len(days.policy.history("f:$LATEST")) == 5


async def test_a_history_outlives_its_environments_and_its_configuration(days: Days) -> None:
    for revision in range(7):
        asking = asyncio.create_task(days.pool.acquire(f"f:{revision}", spec()))
        await days.start_all()
        days.pool.release(await asking)
        await days.wait(HOUR)
    assert len(days.factory.made) > 7, "the last calls were prepared for"
