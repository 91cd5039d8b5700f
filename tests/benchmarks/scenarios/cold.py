"""Cold starts as a caller sees them, over HTTP: every call is the first one of its function."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.load.callers import Sent
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.measurements import Round, median_round, summarise
from tests.benchmarks.packages import python_package

PARALLEL = 8
PARALLEL_ROUNDS = 3
PAUSE_SECONDS = 0.06
"""Before each call to a prepared process: by then the worker has prepared another."""


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """From prepared processes after a pause each; as many a second as go; and, in a system that prepares
    nothing, from the zygote one after the other."""
    findings = Findings("cold start, python3.11")
    system, bare = contestants.crowded, contestants.start_fresh("unprepared", "--prepared", "0")
    prepared = _one_by_one(_warmed_up(system, "ready", effort.cold_in_sequence), system)
    calls = _warmed_up(system, "cold", effort.cold_in_parallel)
    size = len(calls) // PARALLEL_ROUNDS
    rounds = [_cold(system.callers.send(calls[n * size :][:size], PARALLEL)) for n in range(PARALLEL_ROUNDS)]
    together = median_round(rounds)
    forked = _cold(bare.callers.send(_warmed_up(bare, "bare", effort.cold_in_sequence), 1))
    findings.add_round("from a prepared process, after a pause", prepared)
    findings.add_round(f"{PARALLEL} at a time", together)
    findings.add_round("from the zygote, one after the other", forked)
    findings.promise("cold start at the caller, prepared, p50", prepared.p50_ms, "at most", 5, "ms")
    findings.promise("cold start at the caller, from the zygote, p50", forked.p50_ms, "at most", 10, "ms")
    findings.promise("cold starts per second, at the caller", together.requests_per_second, "at least", 150)
    return findings


def _warmed_up(system: System, name: str, functions: int) -> list[Call]:
    """Calls of so many new functions. One more has run: the platform itself is warm."""
    names = [f"{name}-{number:04d}" for number in range(1 + functions)]
    system.deploy_many(names, python_package("fresh"))
    calls = [Call(invoke(system.callers.endpoint, each, b"{}").request, 200, None) for each in names]
    _cold(system.callers.send(calls[:1], 1))
    return calls[1:]


def _one_by_one(calls: Sequence[Call], system: System) -> Round:
    latencies, started = list[float](), time.perf_counter()
    for call in calls:
        time.sleep(PAUSE_SECONDS)
        latencies.append(_cold(system.callers.send([call], 1)).p50_ms / 1000)
    return summarise(latencies, 0, time.perf_counter() - started)


def _cold(sent: Sent) -> Round:
    """Raises RuntimeError unless every answer came from an environment's first run."""
    bodies = [answer.body for answer in sent.answers]
    warm = [body for body in bodies if json.loads(body) != {"runs": 1}]
    if warm or sent.round.errors:
        raise RuntimeError(
            f"{sent.round.errors} errors and {len(warm)} answers that were not cold: {warm[:1]}"
        )
    return sent.round
