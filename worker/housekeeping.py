"""What a worker does beside running functions: provisions, freezes and stops environments, watches memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

from worker.environments.pool import Pool
from worker.provisioning.keeper import Keeper

FREEZE_SECONDS = 0.05
REAP_SECONDS = 5.0
MEMORY_SECONDS = 1.0
LITTLE_MEMORY = 0.08
"""Share of the machine's memory that is kept available."""


async def keep_house(pool: Pool, keeper: Keeper) -> None:
    """Until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.run(), name="provision")
        group.create_task(_freeze(pool), name="freeze")
        group.create_task(_reap(pool), name="reap")
        group.create_task(_watch_memory(pool), name="watch memory")


async def _freeze(pool: Pool) -> None:
    while True:
        await asyncio.sleep(FREEZE_SECONDS)
        pool.freeze()


async def _reap(pool: Pool) -> None:
    while True:
        await asyncio.sleep(REAP_SECONDS)
        pool.reap()


async def _watch_memory(pool: Pool) -> None:
    while True:
        await asyncio.sleep(MEMORY_SECONDS)
        if available_share(_meminfo()) < LITTLE_MEMORY:
            pool.shed()


def _meminfo() -> str:
    return Path("/proc/meminfo").read_text()


def available_share(meminfo: str) -> float:
    """How much of the memory can be had without swapping, as a share of all; `meminfo` as in /proc."""
    amounts = {name: value for name, _, value in (line.partition(":") for line in meminfo.splitlines())}
    return int(amounts["MemAvailable"].split()[0]) / int(amounts["MemTotal"].split()[0])
