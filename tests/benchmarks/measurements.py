"""What one round of load measured, and how several rounds become one figure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Round:
    """One stretch of load: answers per second and how long callers waited.

    `errors` counts answers that were wrong, refused or missing; they are in no other figure.
    """

    requests: int
    errors: int
    elapsed_seconds: float
    requests_per_second: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of an ascending sequence; 0 of an empty one."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def summarise(latencies_seconds: Sequence[float], errors: int, elapsed_seconds: float) -> Round:
    """A round from the latencies of its right answers."""
    ordered = sorted(latencies_seconds)
    return Round(
        requests=len(ordered),
        errors=errors,
        elapsed_seconds=elapsed_seconds,
        requests_per_second=len(ordered) / elapsed_seconds if elapsed_seconds else 0.0,
        p50_ms=percentile(ordered, 50) * 1000,
        p90_ms=percentile(ordered, 90) * 1000,
        p99_ms=percentile(ordered, 99) * 1000,
    )


def median_round(rounds: Sequence[Round]) -> Round:
    """Each figure's own median over several rounds; counts and times are added up.

    Medians, because a neighbour on a noisy machine spoils a round now and then, never improves one.
    """
    return Round(
        requests=sum(r.requests for r in rounds),
        errors=sum(r.errors for r in rounds),
        elapsed_seconds=sum(r.elapsed_seconds for r in rounds),
        requests_per_second=statistics.median(r.requests_per_second for r in rounds),
        p50_ms=statistics.median(r.p50_ms for r in rounds),
        p90_ms=statistics.median(r.p90_ms for r in rounds),
        p99_ms=statistics.median(r.p99_ms for r in rounds),
    )
