from __future__ import annotations

import asyncio
import contextlib

import pytest

from broker.cancellation import end


async def for_ever(deaf_times: int) -> None:
    for _ in range(deaf_times):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
    await asyncio.sleep(3600)


@pytest.mark.parametrize("deaf_times", [0, 1])
async def test_a_task_ends_though_it_loses_a_cancellation(deaf_times: int) -> None:
    task = asyncio.create_task(for_ever(deaf_times))
    await asyncio.sleep(0)

    await end(task)

    assert task.cancelled()


async def test_what_a_task_raised_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("of the task")

    task = asyncio.create_task(fail())
    await asyncio.wait({task})

    with pytest.raises(ValueError, match="of the task"):
        await end(task)
