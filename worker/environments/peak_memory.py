"""The peak memory of a process whose runtime does not report it."""

from __future__ import annotations

from pathlib import Path

SAMPLE_SECONDS = 1.0


class PeakMemory:
    """Reads a process's high-water mark, at most once in SAMPLE_SECONDS: a read costs as much as a run."""

    def __init__(self) -> None:
        self._peak_kb = 0
        self._next_sample = 0.0

    def kb(self, pid: int, now_seconds: float) -> int:
        """The peak in KB; `pid` 0 where there is no process."""
        if pid and now_seconds >= self._next_sample:
            self._next_sample = now_seconds + SAMPLE_SECONDS
            self._peak_kb = max(self._peak_kb, _high_water_kb(pid))
        return self._peak_kb


def _high_water_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0
