"""The replay of the keep-alive benchmark, small: its promise holds for some dozen functions and a day."""

from __future__ import annotations

import itertools
import statistics

import pytest

from tests.benchmarks.invocation_trace import DAY_SECONDS, Call, TracedFunction, calls, functions
from tests.benchmarks.keep_alive_replay import replay
from worker.environments.keep_alive import AdaptiveKeepAlive, FixedKeepAlive

HOURLY = TracedFunction("hourly", "timer", 3600.0, 1.0, 1024)


def hourly_calls(hours: int) -> list[Call]:
    return [Call(hour * 3600.0, 0) for hour in range(hours)]


async def test_cold_starts_and_idle_memory_are_counted() -> None:
    replayed = await replay([HOURLY], hourly_calls(10), [FixedKeepAlive(600.0)], 10 * 3600.0)
    assert (replayed.calls, replayed.cold_starts, replayed.starts) == (10, 10, 10)
    assert replayed.idle_gb_hours == pytest.approx(10 * 600 / 3600, rel=0.06)


async def test_a_timers_calls_are_prepared_for_at_less_memory() -> None:
    seconds = 48 * 3600.0
    fixed = await replay([HOURLY], hourly_calls(48), [FixedKeepAlive()], seconds)
    adaptive = await replay([HOURLY], hourly_calls(48), [AdaptiveKeepAlive()], seconds)
    assert adaptive.cold_starts <= 10
    assert adaptive.idle_gb_hours <= fixed.idle_gb_hours


async def test_the_adaptive_policy_has_fewer_cold_starts_at_no_more_memory() -> None:
    made = functions(50, seed=3)
    trace = list(calls(made, DAY_SECONDS, seed=3))
    fixed = await replay(made, trace, [FixedKeepAlive()], DAY_SECONDS)
    adaptive = await replay(made, trace, [AdaptiveKeepAlive()], DAY_SECONDS)
    assert fixed.calls == adaptive.calls == len(trace)
    assert adaptive.cold_starts <= 0.85 * fixed.cold_starts
    assert adaptive.idle_gb_hours <= fixed.idle_gb_hours


def test_the_trace_has_the_published_shape() -> None:
    made = functions(2_000, seed=1)
    gaps = [function.gap_seconds for function in made]
    assert sum(gap >= 3600 for gap in gaps) / len(gaps) == pytest.approx(0.45, abs=0.04)
    assert sum(gap >= 60 for gap in gaps) / len(gaps) == pytest.approx(0.81, abs=0.04)
    memory = sorted(function.memory_mb for function in made)
    assert memory[1_000] == pytest.approx(170, rel=0.1)
    assert memory[1_800] == pytest.approx(400, rel=0.15)
    assert statistics.median(function.run_seconds for function in made) < 1.0


def test_the_times_between_calls_vary_as_their_pattern_says() -> None:
    for pattern, least, most in (("timer", 0.0, 0.05), ("poisson", 0.85, 1.15), ("bursty", 1.5, 9.0)):
        function = TracedFunction(pattern, pattern, 60.0, 1.0, 128)  # type: ignore[arg-type]
        at = [call.at for call in calls([function], 5 * DAY_SECONDS, seed=1)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert least <= statistics.stdev(gaps) / statistics.mean(gaps) <= most
        assert statistics.mean(gaps) == pytest.approx(60.0, rel=0.15)
