"""What a worker may give to environments, and what it has given."""

from __future__ import annotations

import os
from dataclasses import dataclass


class NoRoom(Exception):
    """The function's memory setting is larger than all that this worker may give."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`memory_mb` bounds the sum of live environments' memory settings; `starts` those at one time."""

    memory_mb: int
    starts: int = 16
    enough_busy: int = 12 * (os.cpu_count() or 1)
    """Above so many busy environments of a function, more do not finish short runs sooner. Far fewer cost the
    worker more than they save: it wakes for one run where it could have dealt with several."""


@dataclass(slots=True)
class Room:
    """The accounts of one worker: memory promised to live environments, and how many start now."""

    limits: PoolLimits
    used_mb: int = 0
    starts: int = 0

    @property
    def may_start(self) -> bool:
        return self.starts < self.limits.starts

    @property
    def may_start_ahead(self) -> bool:
        """Whether one may start that nobody waits for: half of the starts are left for who waits."""
        return self.starts < max(1, self.limits.starts // 2)

    def has(self, memory_mb: int) -> bool:
        """Whether so much is free."""
        return self.used_mb + memory_mb <= self.limits.memory_mb

    def check(self, function_name: str, memory_mb: int) -> None:
        """Raises NoRoom where not even an empty worker could hold such an environment."""
        if memory_mb > self.limits.memory_mb:
            raise NoRoom(f"{function_name} needs {memory_mb} MB; this worker has {self.limits.memory_mb} MB")
