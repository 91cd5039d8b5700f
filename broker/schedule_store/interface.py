"""When schedules fire next, shared by all who fire them. `tests/contract/test_schedule_store.py` holds this.

One process claims a schedule's tick, publishes what it makes and says which tick is next. If it dies in
between, the claim lapses and another process does the same again: so what a tick publishes is to be accepted
once (`Broker.publish_once`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Tick(msgspec.Struct, frozen=True):
    """The first tick of a schedule that has not fired, in epoch milliseconds."""

    schedule_id: str
    tick_ms: int


class Registration(msgspec.Struct, frozen=True):
    """A schedule as of one generation of its trigger; `next_ms` None: it never fires (again)."""

    schedule_id: str
    generation: int
    next_ms: int | None


class Look(msgspec.Struct, frozen=True):
    """What a look at the clock found: ticks that are the caller's now, and when the next one is to be looked
    for (None: no schedule is waiting)."""

    claimed: tuple[Tick, ...]
    next_ms: int | None


class ScheduleStore(Protocol):
    """Ticks by schedule. Times are epoch milliseconds of the callers' clocks. All raise BrokerUnavailable."""

    async def start(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""

    async def register(self, registrations: Sequence[Registration]) -> None:
        """Set the next tick of each schedule, unless that generation of it or a later one is registered."""

    async def forget(self, generations: Mapping[str, int]) -> None:
        """Remove schedules by id, unless a later generation than the given one is registered."""

    async def registered(self) -> Mapping[str, int]:
        """Generations by schedule id."""

    async def claim(self, now_ms: int, claim_ms: int, most: int) -> Look:
        """Take up to `most` schedules that are due, earliest first; nobody else gets them for `claim_ms`."""

    async def advance(self, ticks: Mapping[Tick, int | None]) -> None:
        """These ticks are done and the given ones are next; where a schedule's tick is another one by now,
        nothing is changed."""
