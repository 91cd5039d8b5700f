"""What is remembered of a function's idle times."""

from __future__ import annotations

from worker.environments.idle_times import MINUTES, MOST_COUNTED, MOST_UNLOADED, IdleTimes


def test_idle_times_are_counted_by_the_minute_up_to_four_hours() -> None:
    history = IdleTimes()
    for seconds in (0.1, 59.9, 60.0, 4 * 3600.0, 9e9):
        history.add(seconds)

    counts = history.counts()
    assert (counts[0], counts[1], sum(counts)) == (2, 1, 3)
    assert len(history) == 5
    waiting = history.waiting()
    assert (waiting[0], waiting[1], waiting[2], waiting[MINUTES - 1]) == (5, 3, 2, 2)


def test_an_endless_history_takes_no_more_room_and_forgets_what_is_long_ago() -> None:
    history = IdleTimes()
    for _ in range(MOST_COUNTED):
        history.add(3600.0)
    for _ in range(20 * MOST_COUNTED):
        history.add(1.0)

    assert len(history) <= MOST_COUNTED
    assert history.counts()[60] == 0
    assert history.seen == 21 * MOST_COUNTED


def test_a_call_that_finds_nothing_tells_how_long_the_last_one_that_was_stopped_had_to_stay() -> None:
    history = IdleTimes()
    history.missed(now=100.0)
    assert len(history) == 0, "nothing was ever stopped: it is a first call, or one more at a time"

    history.unloaded(idle_since=1000.0)
    history.unloaded(idle_since=1030.0)
    history.missed(now=1630.0)
    assert history.counts()[10] == 1
    assert history.last_unloaded() == 1000.0
    assert history.last_unloaded() is None


def test_few_of_those_that_were_stopped_are_remembered() -> None:
    history = IdleTimes()
    for number in range(10 * MOST_UNLOADED):
        history.unloaded(float(number))
    for _ in range(10 * MOST_UNLOADED):
        history.missed(1e4)
    assert len(history) == MOST_UNLOADED
