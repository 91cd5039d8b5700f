"""How much of everything a run does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of one run. Rounds alternate between the contestants; figures are medians of rounds."""

    rounds: int
    seconds: float
    """Of each round, after `warm_seconds`."""
    warm_seconds: float
    try_seconds: float
    """For each way to call a peer, when the fastest is chosen."""
    async_rounds: int
    async_invocations: int
    async_tasks_celery: int
    async_tasks_dramatiq: int
    deployed_functions: int
    cold_in_sequence: int
    """From a prepared process, and as many from the zygote."""
    cold_in_parallel: int
    burst: int
    burst_sleep_seconds: float
    queued_messages: int
    isolated_starts: int
    """At each level."""
    launches: int
    """Of every other launcher of sandboxes."""
    crowd: int
    traced_functions: int
    """Of the trace that keep-alive policies are replayed over."""


FULL = Effort(
    rounds=5,
    seconds=3.0,
    warm_seconds=0.5,
    try_seconds=2.0,
    async_rounds=5,
    async_invocations=10_000,
    async_tasks_celery=1_500,
    async_tasks_dramatiq=5_000,
    deployed_functions=1_000,
    cold_in_sequence=150,
    cold_in_parallel=600,
    burst=500,
    burst_sleep_seconds=12.0,
    queued_messages=100_000,
    isolated_starts=100,
    launches=25,
    crowd=1_000,
    traced_functions=200,
)

QUICK = Effort(
    rounds=2,
    seconds=1.5,
    warm_seconds=0.3,
    try_seconds=1.0,
    async_rounds=2,
    async_invocations=5_000,
    async_tasks_celery=800,
    async_tasks_dramatiq=2_500,
    deployed_functions=300,
    cold_in_sequence=60,
    cold_in_parallel=200,
    burst=100,
    burst_sleep_seconds=5.0,
    queued_messages=20_000,
    isolated_starts=30,
    launches=10,
    crowd=300,
    traced_functions=60,
)
