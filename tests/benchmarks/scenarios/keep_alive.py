"""Cold starts and memory of the adaptive keep-alive beside fixed times.

The trace (`invocation_trace`) goes through the worker's own pool and policies by a clock that jumps
(`keep_alive_replay`): nothing waits, and nothing of this machine is measured. The broker gives calls to the
worker that last said it has room, so one worker sees nearly all calls of a rare function; what it would be
like if calls fell on workers at random is shown, too.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping

from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.invocation_trace import DAY_SECONDS, Call, TracedFunction, calls, functions
from tests.benchmarks.keep_alive_replay import Replayed, replay
from worker.environments.keep_alive import Adaptation, AdaptiveKeepAlive, FixedKeepAlive, KeepAlive

SEED = 1
DAYS = 2
FIXED_MINUTES = (2, 5, 10, 15, 20, 30, 45, 60)
PRICES = (1.5, 2.0, 3.0, 5.0)
AT_SAME_MEMORY = 0.8
BESIDE_TEN_MINUTES = 0.9
RANDOM_WORKERS = 2


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """The curve of fixed times, the curve of the adaptive policy, and both where calls fall at random."""
    findings = Findings("keep-alive")
    trace = Trace(effort.traced_functions)
    fixed = {minutes: trace.replay(FixedKeepAlive(60.0 * minutes)) for minutes in FIXED_MINUTES}
    for minutes, replayed in fixed.items():
        _add(findings, f"fixed, {minutes} minutes", replayed)
    adaptive = trace.replay(AdaptiveKeepAlive())
    default = Adaptation().gb_minutes_per_cold_start
    _add(findings, f"adaptive, {default:g} GB minutes for a cold start (default)", adaptive)
    for price in PRICES:
        policy = AdaptiveKeepAlive(Adaptation(gb_minutes_per_cold_start=price))
        _add(findings, f"adaptive, {price:g} GB minutes", trace.replay(policy))
    without = trace.replay(AdaptiveKeepAlive(Adaptation(load_cost=math.inf)))
    _add(findings, "adaptive, nothing loaded ahead", without)
    _add(findings, "fixed, 10 minutes, 2 workers at random", trace.replay_at_random(FixedKeepAlive))
    _add(findings, "adaptive, 2 workers at random", trace.replay_at_random(AdaptiveKeepAlive))
    _promise(findings, adaptive, fixed)
    return findings


class Trace:
    """The same calls for every policy."""

    def __init__(self, count: int) -> None:
        self._functions: list[TracedFunction] = functions(count, SEED)
        self._seconds = DAYS * DAY_SECONDS
        self._calls: list[Call] = list(calls(self._functions, self._seconds, SEED))

    def replay(self, policy: KeepAlive) -> Replayed:
        """All on one worker."""
        return asyncio.run(replay(self._functions, self._calls, [policy], self._seconds))

    def replay_at_random(self, policy: Callable[[], KeepAlive]) -> Replayed:
        """Each call on any worker, each with a history of its own."""
        policies = [policy() for _ in range(RANDOM_WORKERS)]
        return asyncio.run(replay(self._functions, self._calls, policies, self._seconds))


def fixed_at(idle_gb_hours: float, fixed: Mapping[int, Replayed]) -> float:
    """The cold starts of the fixed time that takes so much idle memory, between those that were replayed."""
    curve = sorted(fixed.values(), key=lambda replayed: replayed.idle_gb_hours)
    for less, more in itertools.pairwise(curve):
        if less.idle_gb_hours <= idle_gb_hours <= more.idle_gb_hours:
            part = (idle_gb_hours - less.idle_gb_hours) / (more.idle_gb_hours - less.idle_gb_hours)
            return less.cold_starts * math.pow(more.cold_starts / less.cold_starts, part)
    raise ValueError(f"{idle_gb_hours:.0f} GB hours are not between those of the fixed times")


def _add(findings: Findings, what: str, replayed: Replayed) -> None:
    findings.add(
        what,
        calls=replayed.calls,
        cold_starts=replayed.cold_starts,
        cold_percent=round(replayed.cold_percent, 2),
        loaded_ahead=replayed.starts - replayed.cold_starts,
        idle_gb_hours=round(replayed.idle_gb_hours, 1),
    )


def _promise(findings: Findings, adaptive: Replayed, fixed: Mapping[int, Replayed]) -> None:
    usual = fixed[10]
    same_memory = fixed_at(adaptive.idle_gb_hours, fixed)
    findings.promise(
        "cold starts, beside a fixed time of the same memory",
        adaptive.cold_starts / same_memory,
        "at most",
        AT_SAME_MEMORY,
        "x",
    )
    findings.promise(
        "cold starts, beside fixed 10 minutes",
        adaptive.cold_starts / usual.cold_starts,
        "at most",
        BESIDE_TEN_MINUTES,
        "x",
    )
    findings.promise(
        "idle memory-time, beside fixed 10 minutes",
        adaptive.idle_gb_hours / usual.idle_gb_hours,
        "at most",
        1.0,
        "x",
    )
