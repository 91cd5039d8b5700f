"""The time limit of an environment's runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class RunLimit:
    """Calls `expired` when the run under way has lasted too long. One run at a time.

    A timer costs as much as the rest of a short run's way through the loop. So one serves many runs: it stays
    when a run ends, and looks how much the run has left that it finds.
    """

    def __init__(self, expired: Callable[[], None]) -> None:
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._ends_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0

    def begin(self, seconds: float) -> None:
        """A run starts that may last so long."""
        self._ends_at = self._loop.time() + max(seconds, 0.0)
        if self._timer is None or self._ends_at < self._looks_at:
            self.close()
            self._look_at(self._ends_at)

    def end(self) -> None:
        """The run is over in time."""
        self._ends_at = None

    def close(self) -> None:
        """Leave no timer behind. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, when: float) -> None:
        self._looks_at = when
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._ends_at is None:
            return  # the next run sets a timer again
        if self._ends_at > self._loop.time():
            self._look_at(self._ends_at)
        else:
            self._expired()
