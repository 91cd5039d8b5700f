"""What is left of a run after its answer: extensions work on, or the environment comes to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from worker.environments.interface import ExtensionFailed, TimedOut

RestFailure = TimedOut | ExtensionFailed


class RestPhase:
    """Begun when a run's outcome is there and its environment is neither free nor gone."""

    def __init__(self) -> None:
        self._over: asyncio.Future[RestFailure | None] | None = None
        self._since = 0.0

    @property
    def under_way(self) -> bool:
        """Begun, and nobody has waited for its end yet."""
        return self._over is not None

    def begin(self) -> None:
        """From now on."""
        self._since = time.perf_counter()
        self._over = asyncio.get_running_loop().create_future()

    def end(self, failure: RestFailure | None = None) -> None:
        """It is over; what is said first counts. Does nothing where none is under way."""
        if self._over is not None and not self._over.done():
            self._over.set_result(failure)

    async def wait(
        self, deadline: float, on_deadline: Callable[[], None]
    ) -> tuple[float, RestFailure | None]:
        """How long it took (ms), and what ended the environment. `on_deadline` is called at `deadline` (epoch
        seconds) where it is not over yet."""
        if self._over is None:
            raise RuntimeError("the last run is finished")
        timer = asyncio.get_running_loop().call_later(max(deadline - time.time(), 0), on_deadline)
        try:
            failure = await self._over
            return (time.perf_counter() - self._since) * 1000, failure
        finally:
            timer.cancel()
            self._over = None
