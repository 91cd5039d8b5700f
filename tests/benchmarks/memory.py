"""What processes weigh."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def pss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Proportional set size of processes, added up; those that are gone count nothing."""
    total = 0
    for process in processes:
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
