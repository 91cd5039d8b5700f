"""Ending a process that a test started, with whatever it started itself."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Any, Self

import psutil


def end_family(process: subprocess.Popen[Any], within_seconds: float) -> None:
    """Ask it to end, kill it where it takes longer, and kill what it leaves behind."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in family:
        if each.is_running():
            each.kill()


class Closing:
    """Closed at the end of its `with` block."""

    def close(self) -> object:
        """End what it has started."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
