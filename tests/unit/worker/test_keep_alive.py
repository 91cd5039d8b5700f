"""How long an idle environment stays."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from worker.environments.idle_times import IdleTimes
from worker.environments.keep_alive import Adaptation, AdaptiveKeepAlive, FixedKeepAlive, Windows

MINUTE = 60.0


def history(idle_minutes: Iterable[float]) -> IdleTimes:
    made = IdleTimes()
    for minutes in idle_minutes:
        made.add(minutes * MINUTE)
    return made


@pytest.fixture
def policy() -> AdaptiveKeepAlive:
    return AdaptiveKeepAlive()


def test_fixed_is_the_same_for_all() -> None:
    policy = FixedKeepAlive(300.0)
    assert policy.windows(history([1.0] * 50), 128) == Windows(300.0)
    assert policy.windows(history([]), 3008) == Windows(300.0)


def test_while_little_is_known_an_environment_stays_as_long_as_all_do(policy: AdaptiveKeepAlive) -> None:
    assert policy.windows(history([]), 128) == Windows(600.0)
    assert policy.windows(history([60.0] * 4), 128) == Windows(600.0)


def test_a_function_called_every_few_seconds_needs_no_ten_minutes(policy: AdaptiveKeepAlive) -> None:
    windows = policy.windows(history([0.1] * 100), 128)
    assert windows.keep_seconds < 2 * MINUTE
    assert not windows.load_after_seconds


def test_a_function_called_every_quarter_of_an_hour_is_waited_for(policy: AdaptiveKeepAlive) -> None:
    windows = policy.windows(history([3.0, 12.0, 14.0, 6.0, 9.0, 1.0] * 5), 128)
    assert windows.keep_seconds > 14 * MINUTE


def test_a_timer_is_stopped_after_its_run_and_loaded_shortly_before_the_next(
    policy: AdaptiveKeepAlive,
) -> None:
    windows = policy.windows(history([60.0, 60.1, 59.9, 60.0, 59.8, 60.2]), 512)
    assert windows.keep_seconds < MINUTE
    assert 50 * MINUTE < windows.load_after_seconds < 59 * MINUTE
    assert 61 * MINUTE < windows.loaded_until_seconds < 70 * MINUTE


def test_a_burst_is_sat_out_and_the_next_one_prepared_for(policy: AdaptiveKeepAlive) -> None:
    windows = policy.windows(history([0.5, 1.5, 0.2, 120.0] * 10), 256)
    assert 2 * MINUTE <= windows.keep_seconds < 5 * MINUTE
    assert 100 * MINUTE < windows.load_after_seconds < 120 * MINUTE


def test_what_comes_further_apart_than_can_be_bridged_is_not_kept(policy: AdaptiveKeepAlive) -> None:
    windows = policy.windows(history([1440.0] * 20), 128)
    assert windows.keep_seconds <= MINUTE
    assert not windows.load_after_seconds


def test_a_large_environment_waits_for_less(policy: AdaptiveKeepAlive) -> None:
    seen = history([float(minutes) for minutes in range(1, 25)])
    assert policy.windows(seen, 3008).keep_seconds < policy.windows(seen, 128).keep_seconds


def test_who_pays_more_for_a_cold_start_has_fewer(policy: AdaptiveKeepAlive) -> None:
    seen = history([float(minutes) for minutes in range(1, 25)])
    generous = AdaptiveKeepAlive(Adaptation(gb_minutes_per_cold_start=20.0))
    assert policy.windows(seen, 1024).keep_seconds < generous.windows(seen, 1024).keep_seconds


def test_histories_are_kept_by_function_and_the_longest_unused_is_forgotten() -> None:
    policy = AdaptiveKeepAlive(most_functions=2)
    first = policy.history("a")
    first.add(1.0)
    policy.history("b")
    assert policy.history("a") is first
    policy.history("c")
    assert policy.history("a") is first
    policy.history("d")
    policy.history("e")
    assert len(policy.history("a")) == 0
