"""How long a function was idle before each of its calls: what its keep-alive is decided by."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence

MINUTES = 240
"""Idle times are told apart by the minute, up to four hours."""
MOST_COUNTED = 1_000
"""With more, all counts are halved: what was long ago fades, and a function costs a kilobyte for ever."""
MOST_UNLOADED = 32


class IdleTimes:
    """The history of one function, bounded."""

    __slots__ = ("_beyond", "_by_minute", "_total", "_unloaded", "seen")

    def __init__(self) -> None:
        self._by_minute = array("H", bytes(2 * MINUTES))
        self._beyond = 0
        self._total = 0
        self.seen = 0
        """How many there ever were."""
        self._unloaded: deque[float] = deque(maxlen=MOST_UNLOADED)

    def __len__(self) -> int:
        """How many idle times are counted."""
        return self._total

    def add(self, seconds: float) -> None:
        """A call came after so much idleness."""
        minute = int(seconds / 60)
        if minute < MINUTES:
            self._by_minute[minute] += 1
        else:
            self._beyond += 1
        self._total += 1
        self.seen += 1
        if self._total >= MOST_COUNTED:
            self._fade()

    def unloaded(self, idle_since: float) -> None:
        """An environment, idle since then, was stopped: nobody came, or its room was needed."""
        self._unloaded.append(idle_since)

    def missed(self, now: float) -> None:
        """A call found no environment: had the last one that was stopped stayed, this was its idle time."""
        if self._unloaded:
            self.add(now - self._unloaded.pop())

    def last_unloaded(self) -> float | None:
        """Since when the environment was idle that was stopped last; it is taken to be there again."""
        return self._unloaded.pop() if self._unloaded else None

    def counts(self) -> Sequence[int]:
        """How many idle times ended in each minute."""
        return self._by_minute

    def waiting(self) -> list[int]:
        """How many had not ended when each minute began."""
        left = self._total
        waiting = []
        for count in self._by_minute:
            waiting.append(left)
            left -= count
        return waiting

    def _fade(self) -> None:
        for minute, count in enumerate(self._by_minute):
            self._by_minute[minute] = count // 2
        self._beyond //= 2
        self._total = sum(self._by_minute) + self._beyond
