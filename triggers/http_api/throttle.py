"""Throttling of a route: a token bucket that fills at a rate and holds a burst, as API Gateway's do.

Each gateway counts what it serves itself: N gateways behind a balancer let through up to N times the rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Not thread-safe: for one event loop."""

    __slots__ = ("_burst", "_clock", "_filled_at", "_rate", "_tokens")

    def __init__(
        self, rate_per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate_per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def take(self) -> bool:
        """Take the token of one request; False where there is none: refuse it."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
