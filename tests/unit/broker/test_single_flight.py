"""Shared work is done once, and neither a cancelled nor a failing caller spoils it for the others."""

from __future__ import annotations

import asyncio

import pytest

from broker.single_flight import SingleFlight


async def test_callers_of_one_key_share_one_run() -> None:
    flights: SingleFlight[int] = SingleFlight()
    runs = 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return runs

    assert await asyncio.gather(*(flights.run("key", work) for _ in range(5))) == [1] * 5
    assert await flights.run("key", work) == 2


async def test_keys_do_not_wait_for_each_other() -> None:
    flights: SingleFlight[str] = SingleFlight()
    first_may_end = asyncio.Event()

    async def slow() -> str:
        await first_may_end.wait()
        return "slow"

    async def fast() -> str:
        return "fast"

    slow_call = asyncio.create_task(flights.run("a", slow))
    assert await flights.run("b", fast) == "fast"
    first_may_end.set()
    assert await slow_call == "slow"


async def test_a_cancelled_caller_leaves_the_work_to_the_others() -> None:
    flights: SingleFlight[str] = SingleFlight()
    may_end = asyncio.Event()

    async def work() -> str:
        await may_end.wait()
        return "done"

    impatient = asyncio.create_task(flights.run("key", work))
    patient = asyncio.create_task(flights.run("key", work))
    await asyncio.sleep(0)
    impatient.cancel()
    may_end.set()
    assert await patient == "done"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_failure_reaches_every_caller_and_the_next_one_tries_again() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def fail() -> str:
        raise ValueError("no")

    async def work() -> str:
        return "yes"

    results = await asyncio.gather(*(flights.run("key", fail) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert await flights.run("key", work) == "yes"


async def test_closing_cancels_what_is_under_way() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def work() -> str:
        await asyncio.Event().wait()
        return "never"

    caller = asyncio.create_task(flights.run("key", work))
    await asyncio.sleep(0)
    await flights.close()
    with pytest.raises(asyncio.CancelledError):
        await caller
