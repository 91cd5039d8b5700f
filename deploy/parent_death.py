"""Processes that never outlive their parent, even when it is killed with -9."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def stop_with_parent() -> None:
    """Have the kernel send this process SIGTERM when the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def die_with(parent_pid: int) -> Callable[[], None]:
    """A step for a child between fork and exec: the kernel kills it when `parent_pid` ends."""
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: afterwards only async-signal-safe work

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before the kernel knew of our wish
            os._exit(1)

    return in_child
