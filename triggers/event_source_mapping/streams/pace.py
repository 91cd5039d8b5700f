"""How long to wait before a shard is asked again: streams have no long poll. Pure; it is told the time."""

from __future__ import annotations

SHORTEST_SECONDS = 0.1
LONGEST_WHILE_ACTIVE_SECONDS = 0.4
LONGEST_SECONDS = 1.0
ACTIVE_FOR_SECONDS = 60.0
"""A shard counts as active for so long after its last record."""

_FIRST_FAILURE_SECONDS = 0.5
_LAST_FAILURE_SECONDS = 20.0
_GROWTH = 1.5


class Pace:
    """Quick after records, slower over empty answers, much slower while the source is away."""

    def __init__(self, now_seconds: float) -> None:
        self._last_record = now_seconds
        self._idle_seconds = SHORTEST_SECONDS
        self._failure_seconds = _FIRST_FAILURE_SECONDS

    def after_records(self, now_seconds: float) -> float:
        """There may be more: ask again at once."""
        self._last_record = now_seconds
        self._idle_seconds = SHORTEST_SECONDS
        self._failure_seconds = _FIRST_FAILURE_SECONDS
        return 0.0

    def after_nothing(self, now_seconds: float) -> float:
        """There was nothing new."""
        active = now_seconds - self._last_record < ACTIVE_FOR_SECONDS
        longest = LONGEST_WHILE_ACTIVE_SECONDS if active else LONGEST_SECONDS
        self._failure_seconds = _FIRST_FAILURE_SECONDS
        delay = min(self._idle_seconds, longest)
        self._idle_seconds = min(longest, self._idle_seconds * _GROWTH)
        return delay

    def after_failure(self) -> float:
        """The source did not answer."""
        delay = self._failure_seconds
        self._failure_seconds = min(_LAST_FAILURE_SECONDS, delay * 2)
        return delay
