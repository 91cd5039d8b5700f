"""The peak memory of an environment beyond what its runtime reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from worker.sandbox.interface import SandboxProcess

SAMPLE_SECONDS = 1.0


class PeakMemory:
    """Measures at most once in SAMPLE_SECONDS: a measurement costs as much as a short run. High-water marks
    make up for it: what one run misses, the next one sees."""

    def __init__(self) -> None:
        self._peak_kb = 0
        self._next_sample = 0.0

    def kb(self, measure: Callable[[], int], now_seconds: float) -> int:
        """The largest value of `measure` so far."""
        if now_seconds >= self._next_sample:
            self._next_sample = now_seconds + SAMPLE_SECONDS
            self._peak_kb = max(self._peak_kb, measure())
        return self._peak_kb

    def mb(self, process: SandboxProcess | None, told_kb: int, now_seconds: float) -> int:
        """Of all processes of an environment where somebody counts them; of its main one, where its runtime
        tells nothing (0) of it."""

        def measured_kb() -> int:
            if process is None:
                return 0
            return max(0 if told_kb else high_water_kb(process.pid), process.peak_memory_kb())

        return math.ceil(max(told_kb, self.kb(measured_kb, now_seconds)) / 1024)

    def expire(self) -> None:
        """Measure when asked next: there will be no later time."""
        self._next_sample = 0.0


def high_water_kb(pid: int) -> int:
    """The most memory that a process had; 0 where there is none."""
    if not pid:
        return 0
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0
