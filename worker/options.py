"""What one worker process is told at its start, besides the shared settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.sandbox.levels import IsolationPolicy


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Zero means: as the machine allows, shared fairly with `siblings` other workers on it."""

    memory_mb: int = 0
    """Memory for execution environments: the sum of their functions' `memory_mb` stays below it."""
    max_concurrency: int = 0
    """Invocations at one time."""
    siblings: int = 0
    """Workers that share this machine, not counting this one."""
    drain_seconds: float = 20.0
    """After SIGTERM: how long running invocations may go on before they are handed back."""
    keep_alive_seconds: float | None = None
    """How long idle environments stay; None: by what is known of each function's calls."""
    isolation: IsolationPolicy = field(default_factory=IsolationPolicy)
    """Which levels of isolation may be used."""
