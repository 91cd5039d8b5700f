"""The registry's cache in one process: never holds a record older than what was announced.

Invalidation by subscription has three races, and each would leave an old record for ever: a read that
was under way when a change was announced, a change made while nobody listened, and our own write
overtaken by somebody else's. `remember` refuses a record where one of them is possible.
"""

from __future__ import annotations

from broker.registry.model import FunctionRecord

Moment = int
"""A point in the stream of announcements; differs after anything was announced or lost."""


class RecordCache:
    """Records by name; empty while deaf, that is, while changes are not being heard."""

    def __init__(self) -> None:
        self.records: dict[str, FunctionRecord] = {}
        self._listening = False
        self._moment: Moment = 0
        self._flushed_at: Moment = 0
        self._newest_announced = 0

    def now(self) -> Moment:
        """Take this before reading a record that is to be remembered."""
        return self._moment

    def listening(self) -> None:
        """Announcements arrive from here on; what was changed before is not known."""
        self._flush()
        self._listening = True

    def deaf(self) -> None:
        """The subscription was lost."""
        self._flush()
        self._listening = False

    def announced(self, name: str, generation: int) -> None:
        """The function was changed or deleted at `generation`."""
        self._moment += 1
        self._newest_announced = generation
        self.drop_older(name, generation)

    def drop_older(self, name: str, generation: int) -> None:
        """Forget the record if it is older than `generation`."""
        held = self.records.get(name)
        if held is not None and held.generation < generation:
            del self.records[name]

    def remember(self, record: FunctionRecord, since: Moment) -> None:
        """Keep a record that was read or written after `since`, if nothing can have overtaken it.

        Generations are given out in the order of announcements, over all functions.
        """
        overtaken = self._moment != since and self._newest_announced > record.generation
        if not self._listening or overtaken or since < self._flushed_at:
            return
        held = self.records.get(record.name)
        if held is None or held.generation < record.generation:
            self.records[record.name] = record

    def _flush(self) -> None:
        self.records.clear()
        self._moment += 1
        self._flushed_at = self._moment
        self._newest_announced = 0
