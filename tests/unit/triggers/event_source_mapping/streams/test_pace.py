"""A stream is asked quickly while it is busy, and rarely while it is idle or away."""

from __future__ import annotations

from triggers.event_source_mapping.streams import pace as module
from triggers.event_source_mapping.streams.pace import Pace


def test_after_records_there_is_no_wait() -> None:
    assert Pace(0).after_records(0) == 0


def test_waits_grow_over_empty_answers_and_longer_when_it_has_been_idle() -> None:
    pace = Pace(0)
    active = [pace.after_nothing(1) for _ in range(10)]
    assert active[0] == module.SHORTEST_SECONDS
    assert active[-1] == module.LONGEST_WHILE_ACTIVE_SECONDS
    idle = [pace.after_nothing(100) for _ in range(10)]
    assert idle[-1] == module.LONGEST_SECONDS


def test_a_record_makes_it_quick_again() -> None:
    pace = Pace(0)
    for _ in range(10):
        pace.after_nothing(100)
    pace.after_records(200)
    assert pace.after_nothing(200) == module.SHORTEST_SECONDS


def test_a_source_that_is_away_is_asked_ever_more_rarely() -> None:
    pace = Pace(0)
    waits = [pace.after_failure() for _ in range(10)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.5, 20.0)
