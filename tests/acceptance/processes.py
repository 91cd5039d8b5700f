"""What became of processes that were told to end."""

from __future__ import annotations

import time
from collections.abc import Collection

import psutil


def until_gone(processes: Collection[psutil.Process], within_seconds: float = 10) -> None:
    """Return when none of them runs; a zombie that waits for init does not run."""
    deadline = time.monotonic() + within_seconds
    while alive := [process for process in processes if runs(process)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.01)


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
