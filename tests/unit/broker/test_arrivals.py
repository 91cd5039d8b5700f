"""What a worker knows of the messages that its offers bring it."""

from __future__ import annotations

from broker.redis_broker.arrivals import Arrivals


def test_what_has_arrived_is_known_once_it_has_an_environment() -> None:
    arrivals = Arrivals()
    assert arrivals.accounted("f:1") == 0
    arrivals.arrived("f:1", 1)
    arrivals.arrived("f:1", 2)
    assert (arrivals.accounted("f:1"), arrivals.accounted("g:1")) == (0, 0)
    arrivals.placed("f:1")
    assert arrivals.accounted("f:1") == 1
    arrivals.placed("f:1")
    assert arrivals.accounted("f:1") == 2


def test_one_that_was_lost_on_its_way_is_known_with_the_next() -> None:
    arrivals = Arrivals()
    arrivals.arrived("f:1", 3)
    arrivals.placed("f:1")
    assert arrivals.accounted("f:1") == 3


def test_a_large_one_that_comes_after_its_successor_is_counted_all_the_same() -> None:
    arrivals = Arrivals()
    arrivals.arrived("f:1", 2)
    arrivals.arrived("f:1", 1)
    assert arrivals.accounted("f:1") == 0
    arrivals.placed("f:1")
    arrivals.placed("f:1")
    assert arrivals.accounted("f:1") == 2


def test_a_version_that_is_withdrawn_begins_anew_unless_something_is_unplaced() -> None:
    arrivals = Arrivals()
    arrivals.arrived("f:1", 1)
    arrivals.forget("f:1")
    arrivals.placed("f:1")
    assert arrivals.accounted("f:1") == 1
    arrivals.forget("f:1")
    assert arrivals.accounted("f:1") == 0
