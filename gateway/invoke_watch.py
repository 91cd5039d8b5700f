"""Callers that wait for long: noticing that they hung up, and giving up at their deadline.

A short call costs two dictionary operations: one timer for all looks ten times a second for calls that were
there at its last look already, and only those get a task that watches their connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.http_body import CallerGone

_LOOK_SECONDS = 0.1

Gone = Callable[[], Awaitable[None]]
Waiting = asyncio.Future[Any]


class CallWatch:
    """Fails the future of a call with CallerGone or TimeoutError; all calls of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._new: dict[Waiting, tuple[Gone, float]] = {}
        self._seen: dict[Waiting, tuple[Gone, float]] = {}
        self._tasks: dict[Waiting, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiting: Waiting, gone: Gone, patience_seconds: float) -> None:
        """Watch a call; `gone` returns when its caller has hung up. Follow with `end`."""
        self._new[waiting] = gone, patience_seconds
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)

    def end(self, waiting: Waiting) -> None:
        """The call is over."""
        if self._new.pop(waiting, None) is None and self._seen.pop(waiting, None) is None:
            self._tasks.pop(waiting).cancel()

    def _look(self) -> None:
        for waiting, (gone, patience_seconds) in self._seen.items():
            watching = _watch(waiting, gone, patience_seconds)
            self._tasks[waiting] = self._loop.create_task(watching, name="watch-caller")
        self._seen, self._new = self._new, {}
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look) if self._seen else None


async def _watch(waiting: Waiting, gone: Gone, patience_seconds: float) -> None:
    failure: Exception = TimeoutError()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_seconds):
            await gone()
            failure = CallerGone()
    if not waiting.done():
        waiting.set_exception(failure)
