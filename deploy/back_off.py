"""How long to wait before a process that ended is started again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackOff:
    """Delays double from `first_seconds` to `longest_seconds`, each shortened by up to a half at random.

    A process that lived `settled_seconds` starts the count afresh.
    """

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    settled_seconds: float = 10.0
    random: Callable[[], float] = random.random

    def delay(self, failures_in_a_row: int) -> float:
        """Seconds before the next start; `failures_in_a_row` counts from 1."""
        doubled: float = self.first_seconds * 2.0 ** min(failures_in_a_row - 1, 30)
        return min(doubled, self.longest_seconds) * (1 - self.random() / 2)

    def count(self, failures_in_a_row: int, lived_seconds: float) -> int:
        """The failures in a row after a process ended that had lived that long."""
        return 1 if lived_seconds >= self.settled_seconds else failures_in_a_row + 1
