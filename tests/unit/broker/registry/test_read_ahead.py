"""What was announced is read before anybody asks: together, and never too much."""

from __future__ import annotations

from collections.abc import Collection

from broker.errors import BrokerUnavailable
from broker.registry import read_ahead
from broker.registry.read_ahead import ReadAhead
from tests.waiting import until


class Reads:
    """Notes what is read; fails while `away`."""

    def __init__(self) -> None:
        self.cached: set[str] = set()
        self.asked: list[list[str]] = []
        self.away = False
        self.overtaken = 0

    async def __call__(self, names: Collection[str]) -> None:
        self.asked.append(list(names))
        if self.away:
            raise BrokerUnavailable("away")
        if self.overtaken:
            self.overtaken -= 1
        else:
            self.cached.update(names)


async def test_changes_that_come_together_are_read_together() -> None:
    reads = Reads()
    ahead = ReadAhead(reads, reads.cached)
    for name in ("one", "two", "one"):
        ahead.changed(name)
    await until(lambda: reads.cached == {"one", "two"})
    ahead.changed("three")
    await until(lambda: "three" in reads.cached)
    assert reads.asked == [["one", "two"], ["three"]]
    await ahead.close()


async def test_what_is_known_already_is_not_read() -> None:
    reads = Reads()
    reads.cached = {"mine"}
    ahead = ReadAhead(reads, reads.cached)
    ahead.changed("mine")
    ahead.changed("other")
    await until(lambda: "other" in reads.cached)
    assert reads.asked == [["other"]]
    await ahead.close()


async def test_many_changes_are_read_a_part_at_a_time_and_a_flood_is_forgotten() -> None:
    reads = Reads()
    ahead = ReadAhead(reads, reads.cached)
    for number in range(read_ahead.MOST_WAITING + 50):
        ahead.changed(f"f{number}")
    await until(lambda: len(reads.cached) == read_ahead.MOST_WAITING)
    assert max(map(len, reads.asked)) == read_ahead.AT_ONCE
    await ahead.close()


async def test_what_was_overtaken_is_read_again_but_not_for_ever() -> None:
    reads = Reads()
    reads.overtaken = 2
    ahead = ReadAhead(reads, reads.cached)
    ahead.changed("twice")
    await until(lambda: reads.cached == {"twice"})
    reads.asked.clear()
    reads.overtaken = 1000
    ahead.changed("never")
    await until(lambda: len(reads.asked) == read_ahead.MOST_TRIES)
    reads.overtaken = 0
    ahead.changed("later")
    await until(lambda: "later" in reads.cached)
    assert "never" not in reads.cached
    await ahead.close()


async def test_an_outage_ends_nothing() -> None:
    reads = Reads()
    reads.away = True
    ahead = ReadAhead(reads, reads.cached)
    ahead.changed("lost")
    await until(lambda: reads.asked == [["lost"]])
    reads.away = False
    ahead.changed("found")
    await until(lambda: reads.cached == {"found"})
    await ahead.close()


async def test_with_many_functions_known_none_is_read_ahead() -> None:
    reads = Reads()
    reads.cached = {f"f{number}" for number in range(read_ahead.MOST_KEPT)}
    ahead = ReadAhead(reads, reads.cached)
    ahead.changed("one more")
    await ahead.close()
    assert reads.asked == []
