"""How short a function's runs can be, remembered for a while."""

from __future__ import annotations

from dataclasses import dataclass

_MEMORY_SECONDS = 300.0
"""How long the shortest run is remembered, at least; twice that at most. Under load a run looks longer than
it is where only the worker can measure it, so moments of calm must count for a while."""


@dataclass(slots=True)
class ShortestRun:
    """The shortest of late, in milliseconds; infinite while there was none."""

    ms: float = float("inf")
    _lately_ms: float = float("inf")
    _lately_since: float = 0.0

    def learn(self, run_ms: float, now: float) -> None:
        """A run has ended."""
        if now - self._lately_since > _MEMORY_SECONDS:
            self.ms = self._lately_ms
            self._lately_ms, self._lately_since = float("inf"), now
        self._lately_ms = min(run_ms, self._lately_ms)
        self.ms = min(run_ms, self.ms)
