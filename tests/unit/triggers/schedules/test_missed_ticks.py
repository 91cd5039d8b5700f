"""Ticks that nobody fired in time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from triggers.schedules.expression import parse
from triggers.schedules.missed_ticks import MOST_AT_A_TIME, Missed, Plan, Timing

MINUTE = 60_000
HOUR = 60 * MINUTE


def timing(missed: Missed, window_ms: int = HOUR, expression: str = "rate(10 minutes)") -> Timing:
    return Timing(parse(expression), ZoneInfo("UTC"), 0, missed, window_ms)


def test_a_tick_on_time_fires_and_the_next_is_known() -> None:
    for missed in ("skip", "once", "all"):
        assert timing(missed).plan(10 * MINUTE, 10 * MINUTE + 900) == Plan((10 * MINUTE,), 20 * MINUTE)


def test_a_tick_that_is_not_due_waits() -> None:
    assert timing("all").plan(10 * MINUTE, 9 * MINUTE) == Plan((), 10 * MINUTE)


def test_missed_ticks_are_skipped() -> None:
    assert timing("skip").plan(10 * MINUTE, 45 * MINUTE) == Plan((), 50 * MINUTE)
    assert timing("skip").plan(10 * MINUTE, 40 * MINUTE + 1) == Plan((40 * MINUTE,), 50 * MINUTE)


def test_or_made_up_for_by_one() -> None:
    assert timing("once").plan(10 * MINUTE, 45 * MINUTE) == Plan((40 * MINUTE,), 50 * MINUTE)
    late = timing("once", window_ms=2 * MINUTE)
    assert late.plan(10 * MINUTE, 45 * MINUTE) == Plan((), 50 * MINUTE)


def test_or_fired_each_within_the_window() -> None:
    ticks = tuple(minutes * MINUTE for minutes in (30, 40, 50, 60, 70, 80))
    assert timing("all").plan(10 * MINUTE, 90 * MINUTE - 1) == Plan(ticks, 90 * MINUTE)


def test_very_many_are_fired_in_parts() -> None:
    every_minute = timing("all", 24 * HOUR, "rate(1 minute)")
    first = every_minute.plan(MINUTE, 300 * MINUTE)
    assert len(first.fires) == MOST_AT_A_TIME
    assert first.next_ms == 101 * MINUTE
    rest = every_minute.plan(101 * MINUTE, 300 * MINUTE)
    assert rest.fires[0] == 101 * MINUTE


def test_a_single_time_is_over_once_it_came() -> None:
    once = timing("once", expression="at(1970-01-01T00:10:00)")
    assert once.plan(10 * MINUTE, 11 * MINUTE) == Plan((10 * MINUTE,), None)
    assert once.plan(10 * MINUTE, 200 * MINUTE) == Plan((), None)
