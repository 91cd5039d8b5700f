from __future__ import annotations

from deploy.back_off import BackOff


def test_delays_double_up_to_the_longest() -> None:
    back_off = BackOff(first_seconds=1, longest_seconds=5, random=lambda: 0)

    assert [back_off.delay(failures) for failures in (1, 2, 3, 4, 100)] == [1, 2, 4, 5, 5]


def test_a_delay_is_shortened_by_half_at_most() -> None:
    assert BackOff(first_seconds=1, random=lambda: 1).delay(1) == 0.5


def test_failures_are_counted_while_lives_are_short() -> None:
    assert BackOff(settled_seconds=10).count(4, lived_seconds=9.9) == 5


def test_a_settled_life_starts_the_count_afresh() -> None:
    assert BackOff(settled_seconds=10).count(4, lived_seconds=10) == 1
