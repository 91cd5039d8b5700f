"""Messages become batches by number, size, window and message group."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from triggers.event_source_mapping.queues.batching import Batch, Batching, split
from triggers.event_source_mapping.queues.concurrency import Concurrency
from triggers.event_source_mapping.queues.message import Message
from triggers.event_source_mapping.queues.message_groups import MessageGroups
from triggers.event_source_mapping.settings import MappingSettings
from triggers.events.sqs import event, event_bytes

QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"


def message(name: str, group: str = "", record: bytes = b"{}") -> Message:
    return Message(name, f"handle-{name}", group, record, "", 0.0, 0.0)


def names(batch: Batch) -> str:
    return "".join(each.id for each in batch)


class Batches:
    """What a Batching delivers, and the windows that it opened."""

    def __init__(self, **parameters: Any) -> None:
        self.delivered: list[str] = []
        self.windows: list[tuple[float, Callable[..., None], int]] = []
        settings = MappingSettings(**{"event_source_arn": QUEUE, **parameters})
        self.batching = Batching(settings, lambda batch: self.delivered.append(names(batch)), self._later)

    def _later(self, seconds: float, function: Callable[..., None], window: int) -> None:
        self.windows.append((seconds, function, window))

    def close_window(self) -> None:
        """The window opened first ends."""
        _, function, window = self.windows.pop(0)
        function(window)

    def add(self, letters: str) -> None:
        self.batching.add([message(letter) for letter in letters])


def test_without_a_window_nothing_waits() -> None:
    batches = Batches(batch_size=3)
    batches.add("abcd")
    assert batches.delivered == ["abc", "d"]
    assert batches.batching.pending == 0


def test_a_window_gathers_what_several_polls_bring() -> None:
    batches = Batches(batch_size=4, maximum_batching_window_seconds=5)
    batches.add("abc")
    assert (batches.delivered, batches.batching.pending) == ([], 3)
    batches.add("def")
    assert batches.delivered == ["abcd"]
    assert [seconds for seconds, _, _ in batches.windows] == [5, 5]
    batches.close_window()  # of the batch that is full already
    assert batches.delivered == ["abcd"]
    batches.close_window()
    assert batches.delivered == ["abcd", "ef"]


def test_a_window_is_counted_from_the_first_message() -> None:
    batches = Batches(batch_size=10, maximum_batching_window_seconds=5)
    batches.add("a")
    batches.add("b")
    assert len(batches.windows) == 1
    batches.close_window()
    assert batches.delivered == ["ab"]


def test_what_is_taken_back_is_not_delivered_any_more() -> None:
    batches = Batches(batch_size=10, maximum_batching_window_seconds=5)
    batches.add("ab")
    assert names(batches.batching.take()) == "ab"
    batches.close_window()
    assert batches.delivered == []


def test_a_batch_has_messages_of_one_group() -> None:
    batches = Batches(event_source_arn=f"{QUEUE}.fifo", batch_size=2)
    batches.batching.add([message("a", "1"), message("b", "2"), message("c", "1"), message("d", "1")])
    assert batches.delivered == ["ac", "d", "b"]


def test_a_batch_stays_below_the_largest_event() -> None:
    messages = [message(letter, record=b"x" * 40) for letter in "abcde"]
    batches = split(messages, 10, most_bytes=100)
    assert [names(batch) for batch in batches] == ["ab", "cd", "e"]
    assert all(event_bytes([each.record for each in batch]) <= 100 for batch in batches)
    assert [names(batch) for batch in split([message("a", record=b"x" * 200)], 10, most_bytes=100)] == ["a"]


def test_the_size_of_an_event_is_known_before_it_is_made() -> None:
    for records in ([], [b"{}"], [b'{"a": 1}', b"{}", b"{}"]):
        assert event_bytes(records) == len(event(records))
        assert len(json.loads(event(records))["Records"]) == len(records)


def test_one_batch_of_a_group_runs_at_a_time_in_order() -> None:
    groups = MessageGroups()
    first, second, third, other = ([message(name, "g")] for name in "abcd")
    other[0].group = "h"
    assert groups.admit(first)
    assert not groups.admit(second)
    assert not groups.admit(third)
    assert groups.admit(other)
    assert groups.succeeded(first) is second
    assert groups.succeeded(second) is third
    assert groups.succeeded(third) is None
    assert groups.admit(first)


def test_what_stands_behind_a_failure_goes_back_with_it() -> None:
    groups = MessageGroups()
    first, second, third = ([message(name, "g")] for name in "abc")
    for batch in (first, second, third):
        groups.admit(batch)
    assert names(groups.failed(first)) == "bc"
    assert groups.admit(second)


def test_without_a_group_everything_runs_at_once() -> None:
    groups = MessageGroups()
    assert all(groups.admit([message("a")]) for _ in range(3))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def saturate(concurrency: Concurrency, clock: Clock, seconds: int) -> None:
    """Keep it busy to its limit, with runs of a tenth of a second."""
    for _ in range(seconds * 10):
        while concurrency.free:
            concurrency.begin()
        clock.now += 0.1
        concurrency.end(0.1)


def test_concurrency_starts_at_five_and_grows_by_three_hundred_a_minute() -> None:
    clock = Clock()
    concurrency = Concurrency(None, clock)
    assert concurrency.limit == 5
    saturate(concurrency, clock, 60)
    assert 300 <= concurrency.limit <= 310
    saturate(concurrency, clock, 600)
    assert concurrency.limit == 1250


def test_concurrency_does_not_grow_without_load() -> None:
    clock = Clock()
    concurrency = Concurrency(None, clock)
    for _ in range(100):
        concurrency.begin()
        clock.now += 1
        concurrency.end(1.0)
    assert concurrency.limit == 5


def test_what_finds_a_slot_soon_follows_from_how_long_batches_run() -> None:
    concurrency = Concurrency(5, Clock())
    assert concurrency.soon == 0
    concurrency.begin()
    concurrency.end(0.01)
    assert concurrency.soon == 50
    for _ in range(100):
        concurrency.begin()
        concurrency.end(1.0)
    assert concurrency.soon == 0


def test_maximum_concurrency_is_never_exceeded() -> None:
    clock = Clock()
    concurrency = Concurrency(2, clock)
    saturate(concurrency, clock, 60)
    assert concurrency.limit == 2


def test_a_throttle_halves_what_runs_and_one_always_may() -> None:
    clock = Clock()
    concurrency = Concurrency(None, clock)
    saturate(concurrency, clock, 60)
    while concurrency.free:
        concurrency.begin()
    before = concurrency.limit
    concurrency.throttled()
    assert concurrency.limit == before // 2
    assert concurrency.free == 0
    for _ in range(20):
        concurrency.throttled()
    assert concurrency.limit == 1
