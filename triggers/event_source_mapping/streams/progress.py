"""How far a shard has been read when its records are handled side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class Progress:
    """The last sequence number up to which every record is done.

    Records `begin` in the shard's order and are `done` in any; only the gapless beginning counts, because a
    restart reads on after `position`.
    """

    def __init__(self, position: str = "") -> None:
        self.position = position
        self._open: dict[str, bool] = {}

    @property
    def outstanding(self) -> int:
        """How many have begun and do not count yet."""
        return len(self._open)

    def begin(self, sequence_number: str) -> None:
        self._open[sequence_number] = False

    def done(self, sequence_numbers: Iterable[str]) -> bool:
        """Whether `position` moved."""
        for sequence_number in sequence_numbers:
            self._open[sequence_number] = True
        before = self.position
        while self._open:
            first = next(iter(self._open))
            if not self._open[first]:
                break
            del self._open[first]
            self.position = first
        return self.position != before
