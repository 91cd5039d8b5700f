"""Whom a worker plans with: it waits a moment before it believes that others are gone.

After a restart of Redis, or of the whole system, the first worker to speak hears nobody else; it must not
initialise everything by itself, only to stop most of it a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable

SETTLED_SECONDS = 1.0
"""A fleet without some of those known before is believed when it has been the same for so long."""
LONGEST_DOUBT_SECONDS = 4.0
"""Workers that come and go all the time hold nobody up for longer."""


class Neighbours:
    """The workers that were last believed to be there."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._seen: frozenset[str] = frozenset()
        self._same_since = 0.0
        self._doubting_since: float | None = None

    def believed(self, workers: Iterable[str], now: float) -> bool:
        """Whether to plan with these now; all those known before and others are believed at once."""
        seen = frozenset(workers)
        if seen != self._seen:
            self._seen, self._same_since = seen, now
        if self._doubting_since is None:
            self._doubting_since = now
        grown = bool(self._known) and seen >= self._known
        doubted = now - self._doubting_since >= LONGEST_DOUBT_SECONDS
        if grown or doubted or now - self._same_since >= SETTLED_SECONDS:
            self._known, self._doubting_since = seen, None
            return True
        return False
