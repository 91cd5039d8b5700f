"""Ending a task for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.5


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel `task` and return when it has ended. Raises what it raised.

    A cancellation may get lost: before Python 3.12, `asyncio.wait_for`, by which redis-py waits for answers,
    drops one that comes together with the answer. A task that loops would then go on for ever, so it is told
    again until it listens.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_SECONDS)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
