"""Waiting for a state that announces itself to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], within_seconds: float = 10) -> None:
    """Return as soon as `condition()` holds; raises TimeoutError when it does not in time."""
    async with asyncio.timeout(within_seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.001)


async def until_async(condition: Callable[[], Awaitable[bool]], within_seconds: float = 10) -> None:
    """As `until`, for a condition that must be awaited."""
    async with asyncio.timeout(within_seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
