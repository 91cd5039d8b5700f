"""Which ticks of a schedule fire now, and which is the next: with what was missed while nobody looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from triggers.schedules.expression import Expression, next_fire

Missed = Literal["skip", "once", "all"]

PUNCTUAL_MS = 60_000
"""A tick that fires within this is on time: the precision that EventBridge promises."""
MOST_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """Ticks (epoch ms) to fire, in order, and the one after them, which may be overdue itself."""

    fires: tuple[int, ...]
    next_ms: int | None


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule fires. `missed`: of ticks more than a minute ago fire none, one for all, or each, as
    far as they lie within `window_ms`."""

    expression: Expression
    zone: ZoneInfo
    made_ms: int
    missed: Missed
    window_ms: int

    def after(self, moment_ms: int) -> int | None:
        """The first tick after a moment."""
        return next_fire(self.expression, self.zone, moment_ms, self.made_ms)

    def plan(self, tick_ms: int, now_ms: int) -> Plan:
        """What to do at `now_ms` where `tick_ms` is the first tick that has not fired."""
        oldest_ms = now_ms - (PUNCTUAL_MS if self.missed == "skip" else max(PUNCTUAL_MS, self.window_ms))
        tick: int | None = tick_ms if tick_ms >= oldest_ms else self.after(oldest_ms - 1)
        due: list[int] = []
        while tick is not None and tick <= now_ms:
            if self.missed == "all" and len(due) == MOST_AT_A_TIME:
                break
            due.append(tick)
            tick = self.after(tick)
        return Plan(tuple(due[-1:] if self.missed == "once" else due), tick)
