"""One timer for the time limits of many runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest

from worker.environments.run_limit import RunLimit

A_MOMENT_SECONDS = 0.02


class Expiries:
    """Hears of a limit that was passed."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.first = asyncio.Event()

    def expired(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        self.first.set()


@pytest.fixture
async def expiries() -> Expiries:
    return Expiries()


@pytest.fixture
async def limit(expiries: Expiries) -> AsyncIterator[RunLimit]:
    limit = RunLimit(expiries.expired)
    yield limit
    limit.close()


@pytest.fixture
async def timers() -> AsyncIterator[list[float]]:
    """When each timer was to go off that was set meanwhile."""
    loop = asyncio.get_running_loop()
    set_for: list[float] = []
    call_at = loop.call_at

    def counting(when: float, *arguments: object) -> asyncio.TimerHandle:
        set_for.append(when)
        return call_at(when, *arguments)  # type: ignore[arg-type]

    with patch.object(loop, "call_at", counting):
        yield set_for


async def test_a_run_that_lasts_too_long_expires_once(limit: RunLimit, expiries: Expiries) -> None:
    began = asyncio.get_running_loop().time()
    limit.begin(A_MOMENT_SECONDS)

    await asyncio.wait_for(expiries.first.wait(), 5)

    assert len(expiries.at) == 1
    assert expiries.at[0] >= began + A_MOMENT_SECONDS


async def test_a_run_that_began_too_late_expires_at_once(limit: RunLimit, expiries: Expiries) -> None:
    limit.begin(-1.0)

    await asyncio.wait_for(expiries.first.wait(), 5)


async def test_a_later_run_has_its_own_time(limit: RunLimit, expiries: Expiries) -> None:
    limit.begin(A_MOMENT_SECONDS)
    limit.end()
    began = asyncio.get_running_loop().time()
    limit.begin(2 * A_MOMENT_SECONDS)

    await asyncio.wait_for(expiries.first.wait(), 5)

    assert expiries.at[0] >= began + 2 * A_MOMENT_SECONDS


async def test_a_later_run_with_less_time_does_not_wait_for_the_timer_of_the_one_before(
    limit: RunLimit, expiries: Expiries
) -> None:
    limit.begin(3600)
    limit.end()
    limit.begin(A_MOMENT_SECONDS)

    await asyncio.wait_for(expiries.first.wait(), 5)


async def test_nothing_expires_between_runs(limit: RunLimit, expiries: Expiries) -> None:
    limit.begin(A_MOMENT_SECONDS)
    limit.end()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(expiries.first.wait(), 3 * A_MOMENT_SECONDS)


async def test_many_short_runs_share_a_timer(limit: RunLimit, timers: list[float]) -> None:
    for _ in range(1000):
        limit.begin(60)
        limit.end()

    assert len(timers) == 1
