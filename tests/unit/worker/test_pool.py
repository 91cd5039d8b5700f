"""Which environment runs what: reuse, bursts, room, retirement."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.worker.manual_environments import ManualFactory, settle, spec
from worker.environments.fleet import Place
from worker.environments.interface import EnvironmentSpec, InitFailed
from worker.environments.keep_alive import FixedKeepAlive
from worker.environments.lifecycle import State
from worker.environments.pool import Pool
from worker.environments.room import NoRoom, PoolLimits
from worker.environments.turnover import NotStarted
from worker.journal import Journal


@pytest.fixture
def factory() -> ManualFactory:
    return ManualFactory()


def pool_of(
    factory: ManualFactory,
    memory_mb: int = 1024,
    starts: int = 16,
    keep_alive: float = 600,
    enough_busy: int = 1000,
) -> Pool:
    def journal(made_for: EnvironmentSpec) -> Journal:
        return Journal(lambda function, stream, text: None, made_for.function_name)

    limits = PoolLimits(memory_mb, starts, enough_busy)
    return Pool(factory, limits, journal, FixedKeepAlive(keep_alive))


async def warm(
    pool: Pool, factory: ManualFactory, made_for: EnvironmentSpec | None = None, key: str = "f"
) -> Place:
    asking = asyncio.create_task(pool.acquire(key, made_for or spec()))
    await settle()
    factory.made[-1].started.set_result(None)
    return await asking


async def test_the_most_recently_used_idle_environment_goes_first(factory: ManualFactory) -> None:
    pool = pool_of(factory)
    first, second = await warm(pool, factory), await warm(pool, factory)
    pool.release(first)
    pool.release(second)
    assert await pool.acquire("f", spec()) is second
    assert await pool.acquire("f", spec()) is first


async def test_who_waits_takes_an_environment_that_is_freed_before_the_new_one_is_up(
    factory: ManualFactory,
) -> None:
    pool = pool_of(factory)
    busy = await warm(pool, factory)
    asking = asyncio.create_task(pool.acquire("f", spec()))
    await settle()
    assert len(factory.made) == 2
    pool.release(busy)
    assert await asking is busy
    factory.made[1].started.set_result(None)
    await settle()
    assert (await pool.acquire("f", spec())).environment is factory.made[1]


async def test_a_burst_starts_no_more_than_allowed_at_one_time(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=10_000, starts=3)
    asking = [asyncio.create_task(pool.acquire("f", spec())) for _ in range(8)]
    await settle()
    assert len(factory.made) == 3
    for _ in range(8):
        next(e for e in factory.made if not e.started.done()).started.set_result(None)
        await settle()
    assert len({id(place) for place in await asyncio.gather(*asking)}) == 8


async def test_idle_environments_make_room_oldest_first(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=256)
    for key in ("a", "b"):
        pool.release(await warm(pool, factory, spec(key), key))
    await warm(pool, factory, spec("c"), "c")
    assert [environment.stopped for environment in factory.made] == [True, False, False]


async def test_without_room_an_invocation_waits_for_another_to_end(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=128)
    busy = await warm(pool, factory, spec("a"), "a")
    asking = asyncio.create_task(pool.acquire("b", spec("b")))
    await settle()
    assert len(factory.made) == 1
    pool.release(busy)
    await settle()
    factory.made[1].started.set_result(None)
    assert (await asking).environment is factory.made[1]
    assert factory.made[0].stopped


async def test_a_function_larger_than_the_worker_is_refused(factory: ManualFactory) -> None:
    with pytest.raises(NoRoom, match="needs 2048 MB; this worker has 1024 MB"):
        await pool_of(factory).acquire("f", spec(memory_mb=2048))


async def test_a_failed_init_is_told_to_one_and_frees_its_room(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=128)
    asking = asyncio.create_task(pool.acquire("f", spec()))
    await settle()
    factory.made[0].started.set_exception(InitFailed("Runtime.ImportModuleError", b"{}", 1.0))
    with pytest.raises(NotStarted, match=r"Runtime\.ImportModuleError"):
        await asking
    assert (await warm(pool, factory)).environment is factory.made[1]


async def test_a_machine_without_resources_is_told_of_and_takes_no_room(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=128)
    factory.exhausted = True
    with pytest.raises(OSError, match="too many open files"):
        await pool.acquire("f", spec())
    assert pool.census() == {"idle": 0, "starting": 0, "memory_mb": 0}
    factory.exhausted = False
    assert (await warm(pool, factory)).environment is factory.made[0]


async def test_a_new_configuration_retires_the_environments_of_the_old(factory: ManualFactory) -> None:
    pool = pool_of(factory)
    idle, busy = await warm(pool, factory, key="f:1"), await warm(pool, factory, key="f:1")
    pool.release(idle)
    await warm(pool, factory, key="f:2")
    await settle()
    assert factory.made[0].stopped
    assert not factory.made[1].stopped
    pool.release(busy)
    await settle()
    assert factory.made[1].stopped


async def test_who_waits_on_a_configuration_that_is_replaced_still_runs_on_it(factory: ManualFactory) -> None:
    pool = pool_of(factory)
    asking = asyncio.create_task(pool.acquire("f:1", spec()))
    await settle()
    await warm(pool, factory, key="f:2")
    factory.made[0].started.set_result(None)
    place = await asking
    assert place.environment is factory.made[0]
    pool.release(place)
    await settle()
    assert factory.made[0].stopped


async def short_runs(pool: Pool, factory: ManualFactory) -> list[Place]:
    """Two environments that are busy with runs of a kind that took no time before."""
    places = [await warm(pool, factory) for _ in range(2)]
    for place in places:
        pool.release(place, run_ms=0.05)
    return [await pool.acquire("f", spec()) for _ in range(2)]


async def test_short_runs_wait_a_moment_for_a_busy_environment(factory: ManualFactory) -> None:
    pool = pool_of(factory, enough_busy=2)
    third = await warm(pool, factory)
    busy = await short_runs(pool, factory)
    pool.release(third)
    asking = asyncio.create_task(pool.acquire("f", spec()))
    await settle()
    assert not asking.done()
    pool.release(busy[0])
    assert await asking is busy[0]


async def test_a_moment_later_they_take_an_idle_one_or_start_another(factory: ManualFactory) -> None:
    pool = pool_of(factory, enough_busy=2)
    third = await warm(pool, factory)
    await short_runs(pool, factory)
    pool.release(third)
    asking = [asyncio.create_task(pool.acquire("f", spec())) for _ in range(2)]
    assert await asking[0] is third
    await settle()
    factory.made[3].started.set_result(None)
    assert (await asking[1]).environment is factory.made[3]


async def test_long_runs_never_wait_for_each_other(factory: ManualFactory) -> None:
    pool = pool_of(factory, enough_busy=1)
    first, second = await warm(pool, factory), await warm(pool, factory)
    for place in (first, second):
        pool.release(place, run_ms=30.0)
    assert {await pool.acquire("f", spec()), await pool.acquire("f", spec())} == {first, second}


async def test_an_environment_that_died_is_not_handed_out(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=128)
    place = await warm(pool, factory)
    pool.release(place)
    factory.made[0].state = State.GONE
    factory.made[0].on_gone()
    assert (await warm(pool, factory)).environment is factory.made[1]


async def test_an_environment_that_died_in_its_run_frees_its_room(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=128)
    place = await warm(pool, factory)
    factory.made[0].state = State.GONE
    pool.release(place)
    assert (await warm(pool, factory)).environment is factory.made[1]


async def test_a_cancelled_wait_leaks_nothing(factory: ManualFactory) -> None:
    pool = pool_of(factory, memory_mb=128)
    asking = asyncio.create_task(pool.acquire("f", spec()))
    await settle()
    asking.cancel()
    factory.made[0].started.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await asking
    await settle()
    assert (await pool.acquire("f", spec())).environment is factory.made[0]


async def test_reaping_stops_what_has_been_idle_for_too_long(factory: ManualFactory) -> None:
    pool = pool_of(factory, keep_alive=-1)
    pool.release(await warm(pool, factory))
    pool.reap()
    await settle()
    assert factory.made[0].stopped
    assert factory.has_reaped
    assert pool.census() == {"idle": 0, "starting": 0, "memory_mb": 0}


async def test_closing_stops_every_idle_environment(factory: ManualFactory) -> None:
    pool = pool_of(factory)
    for key in ("a", "b"):
        pool.release(await warm(pool, factory, spec(key), key))
    await pool.close()
    assert all(environment.stopped for environment in factory.made)


async def test_what_has_been_idle_for_a_moment_is_frozen_and_is_taken_as_it_is(
    factory: ManualFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(factory)
    place = await warm(pool, factory)
    pool.release(place)

    pool.freeze()
    assert not factory.made[0].is_frozen()

    monkeypatch.setattr("worker.environments.idle_places.FREEZE_AFTER_SECONDS", 0.0)
    pool.freeze()
    assert factory.made[0].is_frozen()
    assert await pool.acquire("f", spec()) is place


async def test_where_memory_runs_short_the_oldest_idle_environment_goes(factory: ManualFactory) -> None:
    pool = pool_of(factory)
    first, second = await warm(pool, factory), await warm(pool, factory)
    pool.release(first)
    pool.release(second)

    pool.shed()
    await settle()

    assert [made.stopped for made in factory.made] == [True, False]
    assert factory.has_shed
