"""Cold starts as a caller sees them: every call is the first one of its function."""

from __future__ import annotations

import json

from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.load.callers import Sent
from tests.benchmarks.load.calls import Call, invoke
from tests.benchmarks.packages import python_package

PARALLEL = 8


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """One after the other for latency, eight at a time for the rate."""
    findings = Findings("cold start, python3.11")
    system = contestants.crowded
    first, rest = effort.cold_in_sequence, effort.cold_in_parallel
    calls = _deploy(system, 1 + first + rest)
    _check_cold(system.callers.send(calls[:1], 1))  # the platform itself warms up: zygote, package
    alone = system.callers.send(calls[1 : 1 + first], 1)
    together = system.callers.send(calls[1 + first :], PARALLEL)
    for sent in (alone, together):
        _check_cold(sent)
    findings.add_round("one after the other", alone.round)
    findings.add_round(f"{PARALLEL} at a time", together.round)
    findings.promise("cold start p50 at the caller", alone.round.p50_ms, "at most", 15, "ms")
    findings.promise("cold starts per second", together.round.requests_per_second, "at least", 100)
    return findings


def _deploy(system: System, functions: int) -> list[Call]:
    names = [f"cold-{number:04d}" for number in range(functions)]
    system.deploy_many(names, python_package("fresh"))
    return [Call(invoke(system.callers.endpoint, name, b"{}").request, 200, None) for name in names]


def _check_cold(sent: Sent) -> None:
    """Raise RuntimeError unless every answer came from an environment's first run."""
    bodies = [answer.body for answer in sent.answers]
    warm = [body for body in bodies if json.loads(body) != {"runs": 1}]
    if warm or sent.round.errors:
        raise RuntimeError(
            f"{sent.round.errors} errors and {len(warm)} answers that were not cold: {warm[:1]}"
        )
