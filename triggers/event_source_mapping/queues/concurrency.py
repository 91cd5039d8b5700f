"""How many batches of a mapping run at the same time.

Source: "Configuring scaling behavior for SQS event source mappings" in the Lambda developer guide: five at
first, 300 more each minute while messages keep coming, 1,250 at most; less where the function is throttled.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST = 5
MOST = 1250
_GROWTH_PER_SECOND = 5.0
_CALM_SECONDS = 5.0
"""No growth so soon after a throttle."""
_SOON_SECONDS = 0.1
_NEWEST = 0.1
"""Weight of the last batch in how long batches run."""


class Concurrency:
    """Counts what runs against a limit that follows the load; `maximum` is MaximumConcurrency."""

    def __init__(self, maximum: int | None, clock: Callable[[], float]) -> None:
        self._most = maximum or MOST
        self._clock = clock
        self._limit = float(min(FIRST, self._most))
        self._looked_at = clock()
        self._throttled_at = float("-inf")
        self._run_seconds = 0.0
        self.running = 0

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def free(self) -> int:
        """Batches that may start now."""
        return max(0, self.limit - self.running)

    @property
    def soon(self) -> int:
        """More batches that find a slot within a tenth of a second, as long as the last ones ran."""
        return int(self.limit * _SOON_SECONDS / self._run_seconds) if self._run_seconds else 0

    def begin(self) -> None:
        """A batch starts."""
        self.running += 1

    def end(self, run_seconds: float) -> None:
        """A batch has ended, after so long; grow where the limit was what held others up."""
        last = self._run_seconds or run_seconds
        self._run_seconds = last + (run_seconds - last) * _NEWEST
        saturated = self.running >= self.limit
        self.running -= 1
        now = self._clock()
        elapsed, self._looked_at = now - self._looked_at, now
        if saturated and now - self._throttled_at > _CALM_SECONDS:
            self._limit = min(self._most, self._limit + _GROWTH_PER_SECOND * min(elapsed, 1.0))

    def throttled(self) -> None:
        """The function may not run that often: half as many, and one in any case."""
        self._throttled_at = self._clock()
        self._limit = max(1.0, min(self._limit, self.running) / 2)

    def idle(self) -> None:
        """There is nothing to do: start anew with the next load."""
        if self.running == 0:
            self._limit = float(min(FIRST, self._most))
