"""Short runs wait a moment for a busy environment instead of taking, or starting, another.

Many more busy processes than processors do not finish short runs sooner; taken in turn, each finds its caches
cold. So where runs of a function may be shorter than a millisecond and enough of its environments are busy,
an invocation waits for one of them, as long as runs go on ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from worker.environments.fleet import Fleet, Place

SHORT_RUN_MS = 1.0
PATIENCE_SECONDS = 0.005
"""Without any run ending, those who wait for one wait no longer."""
LONGEST_PATIENCE_SECONDS = 0.25
"""A thousand short runs that a worker took at once end within this."""

LetGo = Callable[[Fleet, list[asyncio.Future[Place]]], None]
"""Takes those of a fleet who have waited in vain."""


class Patience:
    """Who waits so is in `Fleet.patient`; `let_go` gets those who shall wait no longer."""

    def __init__(self, enough_busy: int, let_go: LetGo) -> None:
        self._enough_busy = enough_busy
        self._let_go = let_go

    def pays(self, fleet: Fleet) -> bool:
        """Whether an invocation had better wait for one of the busy environments."""
        return fleet.runs.ms < SHORT_RUN_MS and fleet.busy >= self._enough_busy

    def wait(self, fleet: Fleet) -> asyncio.Future[Place]:
        """Line up for the next environment that is given back."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Place] = loop.create_future()
        if not fleet.patient:
            loop.call_later(PATIENCE_SECONDS, self._look_again, fleet, fleet.ended)
        fleet.patient.append((loop.time(), waiting))
        return waiting

    def _look_again(self, fleet: Fleet, ended_before: int) -> None:
        """Let go those who have waited in vain: no run has ended meanwhile, or theirs was too long a wait."""
        loop = asyncio.get_running_loop()
        in_vain = fleet.ended == ended_before
        latest_since = loop.time() - (0.0 if in_vain else LONGEST_PATIENCE_SECONDS)
        tired = []
        while fleet.patient and fleet.patient[0][0] <= latest_since:
            _, waiting = fleet.patient.popleft()
            if not waiting.done():
                tired.append(waiting)
        if fleet.patient:
            loop.call_later(PATIENCE_SECONDS, self._look_again, fleet, fleet.ended)
        self._let_go(fleet, tired)
