"""What a worker is sent because it offers provisioned environments, and how much of it its numbers know of.

The scripts number what they send to a worker for a version. Until it has an environment there, the worker's
count of those without work does not know of it and would, told as it is, undo the broker's own counting: so a
count is told together with the number of messages that it knows of.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Count:
    latest: int = 0
    unplaced: int = 0


class Arrivals:
    """Of one worker, by the name of the version (`envelope.offer_name`).

    A message that a broken connection swallowed arrives without its number: it counts as under way until the
    next one of its version arrives.
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def arrived(self, version: str, number: int) -> None:
        """The `number`-th for this version is here and has no environment yet. A large one may come late."""
        count = self._counts.setdefault(version, _Count())
        count.latest = max(count.latest, number)
        count.unplaced += 1

    def placed(self, version: str) -> None:
        """One of them has an environment, or needs none."""
        self._counts[version].unplaced -= 1

    def accounted(self, version: str) -> int:
        """So many of all that were sent are seen in the number of environments without work."""
        count = self._counts.get(version)
        return count.latest - count.unplaced if count else 0

    def forget(self, version: str) -> None:
        """It is offered no more; what is unplaced still will be placed."""
        count = self._counts.get(version)
        if count is not None and not count.unplaced:
            del self._counts[version]
