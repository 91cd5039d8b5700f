"""Provisioned environments in the pool: initialised ahead, used first, never given up."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.worker.manual_environments import ManualFactory, settle, spec
from worker.environments.interface import InitFailed
from worker.environments.keep_alive import FixedKeepAlive
from worker.environments.lifecycle import State
from worker.environments.pool import Pool
from worker.environments.room import NoRoom, PoolLimits
from worker.environments.turnover import NotStarted
from worker.journal import Journal


@pytest.fixture
def factory() -> ManualFactory:
    return ManualFactory()


@pytest.fixture
def written() -> list[bytes]:
    """What the functions' logs got."""
    return []


@pytest.fixture
def pool(factory: ManualFactory, written: list[bytes]) -> Pool:
    return pool_of(factory, written)


def pool_of(factory: ManualFactory, written: list[bytes], memory_mb: int = 1024, starts: int = 16) -> Pool:
    return Pool(
        factory,
        PoolLimits(memory_mb, starts),
        lambda made_for: Journal(lambda f, s, text: written.append(text), "f"),
        FixedKeepAlive(-1.0),
    )


async def start_all(factory: ManualFactory) -> None:
    """Whatever starts comes up, and what follows from it, too."""
    while waiting := [made for made in factory.made if not made.started.done()]:
        for made in waiting:
            made.started.set_result(None)
        await settle()


async def test_as_many_as_asked_for_are_initialised_before_anybody_calls(
    pool: Pool, factory: ManualFactory, written: list[bytes]
) -> None:
    provision = pool.provision("f", spec(), 2)
    assert (provision.initialised, provision.available) == (0, 0)
    await start_all(factory)

    assert (provision.initialised, provision.available) == (2, 2)
    assert {made.spec.initialization_type for made in factory.made} == {"provisioned-concurrency"}
    assert written == [b"INIT_REPORT Init Duration: 1.00 ms\tPhase: init\tStatus: success\n"] * 2
    place = await pool.acquire("f", spec())
    assert not place.fresh, "no run reports its init"
    assert (provision.initialised, provision.available) == (2, 1)


async def test_they_go_first_and_what_they_cannot_take_spills_over(
    pool: Pool, factory: ManualFactory
) -> None:
    asking = asyncio.create_task(pool.acquire("f", spec()))
    await settle()
    await start_all(factory)
    pool.release(await asking)
    pool.provision("f", spec(), 1)
    await start_all(factory)

    first, second = await pool.acquire("f", spec()), await pool.acquire("f", spec())

    assert (first.provisioned, second.provisioned) == (True, False)
    assert second.environment.spec.initialization_type == "on-demand"


async def test_they_neither_age_out_nor_make_room(factory: ManualFactory, written: list[bytes]) -> None:
    pool = pool_of(factory, written, memory_mb=256)
    pool.provision("f", spec(), 2)
    await start_all(factory)
    pool.reap()
    pool.shed()
    asking = asyncio.create_task(pool.acquire("g", spec("g")))
    await settle()

    assert len(factory.made) == 2
    assert not any(made.stopped for made in factory.made)
    asking.cancel()


async def test_idle_environments_make_room_for_them(factory: ManualFactory, written: list[bytes]) -> None:
    pool = pool_of(factory, written, memory_mb=256)
    asking = asyncio.create_task(pool.acquire("g", spec("g")))
    await settle()
    await start_all(factory)
    pool.release(await asking)

    provision = pool.provision("f", spec(), 2)
    await start_all(factory)

    assert provision.available == 2
    assert factory.made[0].stopped


@pytest.mark.parametrize("busy", [True, False])
async def test_one_that_dies_is_replaced(pool: Pool, factory: ManualFactory, busy: bool) -> None:
    provision = pool.provision("f", spec(), 1)
    await start_all(factory)
    if busy:
        place = await pool.acquire("f", spec())
        factory.made[0].state = State.GONE
        pool.release(place)
    else:
        factory.made[0].state = State.GONE
        factory.made[0].on_gone()
    await settle()

    assert (provision.initialised, len(factory.made)) == (0, 2)
    await start_all(factory)
    assert provision.available == 1


async def test_too_many_are_stopped_busy_ones_after_their_run(pool: Pool, factory: ManualFactory) -> None:
    provision = pool.provision("f", spec(), 3)
    await start_all(factory)
    busy = await pool.acquire("f", spec())

    pool.provision("f", spec(), 0)
    await settle()
    assert sum(made.stopped for made in factory.made) == 2
    pool.release(busy)
    await settle()

    assert all(made.stopped for made in factory.made)
    assert (provision.live, pool.census()["memory_mb"]) == (0, 0)


async def test_what_does_not_start_is_not_tried_again_until_somebody_says_so(
    pool: Pool, factory: ManualFactory
) -> None:
    provision = pool.provision("f", spec(), 1)
    factory.made[0].started.set_exception(InitFailed("Runtime.ImportModuleError", b"{}", 1.0))
    await settle()
    pool.provision("f", spec(), 1)
    await settle()
    assert isinstance(provision.failure, NotStarted)
    assert len(factory.made) == 1

    provision.failure = None
    pool.provision("f", spec(), 1)
    await start_all(factory)
    assert provision.available == 1


async def test_half_of_the_starts_are_left_for_who_waits(
    factory: ManualFactory, written: list[bytes]
) -> None:
    pool = pool_of(factory, written, starts=4)
    provision = pool.provision("f", spec(), 6)
    assert len(factory.made) == 2
    asking = [asyncio.create_task(pool.acquire("g", spec("g"))) for _ in range(2)]
    await settle()
    assert [made.spec.function_name for made in factory.made] == ["f", "f", "g", "g"]

    await start_all(factory)
    await asyncio.gather(*asking)
    assert provision.available == 6


async def test_an_invocation_takes_one_that_is_still_starting(pool: Pool, factory: ManualFactory) -> None:
    pool.provision("f", spec(), 1)
    asking = asyncio.create_task(pool.acquire("f", spec()))
    await settle()
    assert len(factory.made) == 1
    await start_all(factory)
    assert (await asking).provisioned


async def test_more_than_the_worker_has_is_refused(pool: Pool) -> None:
    with pytest.raises(NoRoom):
        pool.provision("f", spec(memory_mb=4096), 1)


async def test_closing_stops_them_for_good(pool: Pool, factory: ManualFactory) -> None:
    pool.provision("f", spec(), 2)
    await start_all(factory)
    await pool.close()
    assert all(made.stopped for made in factory.made)
    assert len(factory.made) == 2
