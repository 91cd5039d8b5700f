"""Whether this gateway can serve: how long ago the broker answered last."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from broker.cancellation import end
from broker.errors import BrokerUnavailable
from broker.interface import Broker

PING_SECONDS = 1.0
READY_SECONDS = 5.0
"""A broker that has been silent for longer than this makes the gateway unready."""


class Readiness:
    """Pings the broker between `start` and `stop`."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._answered: float | None = None
        self._pinging: asyncio.Task[None] | None = None
        self.draining = False
        """Set when the process is asked to end: no new callers, please."""

    async def start(self) -> None:
        await self._ping()
        self._pinging = asyncio.create_task(self._ping_for_ever(), name="broker-ping")

    async def stop(self) -> None:
        """Idempotent."""
        if self._pinging is not None:
            await end(self._pinging)
            self._pinging = None

    @property
    def age_seconds(self) -> float | None:
        """Since the broker answered last; None where it never did."""
        return None if self._answered is None else self._clock() - self._answered

    @property
    def ready(self) -> bool:
        age = self.age_seconds
        return not self.draining and age is not None and age <= READY_SECONDS

    async def _ping_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            await self._ping()

    async def _ping(self) -> None:
        # A broker that does not answer is what this class is for: it shows as a growing age.
        with contextlib.suppress(BrokerUnavailable, TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await self._broker.ping()
            self._answered = self._clock()
