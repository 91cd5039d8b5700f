"""When a worker believes that others are gone."""

from __future__ import annotations

from worker.provisioning.neighbours import LONGEST_DOUBT_SECONDS, SETTLED_SECONDS, Neighbours


def test_a_fleet_is_believed_at_first_when_it_has_been_the_same_for_a_moment() -> None:
    neighbours = Neighbours()
    assert not neighbours.believed("a", 1.5)
    assert not neighbours.believed("ab", 2.0)
    assert not neighbours.believed("ab", 2.0 + SETTLED_SECONDS / 2)
    assert neighbours.believed("ab", 2.0 + SETTLED_SECONDS)


def test_newcomers_are_believed_at_once_and_losses_a_moment_later() -> None:
    neighbours = Neighbours()
    neighbours.believed("ab", 0.0)
    assert neighbours.believed("ab", 1.0)
    assert neighbours.believed("abc", 1.1)
    assert not neighbours.believed("a", 2.0)
    assert neighbours.believed("abc", 2.5), "they were only silent"
    assert not neighbours.believed("acd", 3.0)
    assert neighbours.believed("acd", 3.0 + SETTLED_SECONDS)


def test_a_fleet_that_is_never_the_same_is_believed_in_the_end() -> None:
    neighbours = Neighbours()
    answers = [neighbours.believed({f"w{turn}"}, turn * 0.5) for turn in range(20)]
    assert answers.count(True) == int(20 * 0.5 / LONGEST_DOUBT_SECONDS)
