"""The environments of all functions that wait for work, in the order in which they fell idle."""

from __future__ import annotations

from collections.abc import Iterator

from worker.environments.fleet import Place
from worker.environments.lifecycle import State

FREEZE_AFTER_SECONDS = 0.1
MOST_FROZEN_AT_ONCE = 20
"""Freezing takes a tenth of a millisecond, in which the worker does nothing else."""


class IdlePlaces:
    """Each also stands on its shelf in its fleet, which `add`, `take` and `remove` keep in step."""

    def __init__(self) -> None:
        self._oldest_first: dict[Place, None] = {}

    def __len__(self) -> int:
        return len(self._oldest_first)

    def __iter__(self) -> Iterator[Place]:
        """Oldest first."""
        return iter(self._oldest_first)

    def __contains__(self, place: Place) -> bool:
        return place in self._oldest_first

    def add(self, place: Place) -> None:
        """It has fallen idle."""
        place.shelf.append(place)
        self._oldest_first[place] = None

    def take(self, shelf: list[Place]) -> Place:
        """The most recently used of a shelf: so that few stay warm and the rest age out."""
        place = shelf.pop()
        del self._oldest_first[place]
        return place

    def remove(self, place: Place) -> None:
        """It is idle no more."""
        place.shelf.remove(place)
        del self._oldest_first[place]

    def oldest(self) -> Place | None:
        """The one that has been idle for longest."""
        return next(iter(self._oldest_first), None)

    def freeze(self, now: float) -> None:
        """Freeze what has been idle for a moment: what runs again at once is spared the cost."""
        latest = now - FREEZE_AFTER_SECONDS
        frozen = 0
        for place in reversed(self._oldest_first):
            if place.environment.state is State.FROZEN or frozen == MOST_FROZEN_AT_ONCE:
                return  # older ones are frozen already, or have their turn
            if place.idle_since <= latest:
                place.environment.freeze()
                frozen += 1
