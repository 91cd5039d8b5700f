"""Lets children prepare themselves in processor time that nobody else wants."""

from __future__ import annotations

import os

SYS_NICE = 1 << 23
"""The capability without which nobody comes back from the background."""


class Background:
    """Sends children there and recalls them. Where one could not be recalled, nothing is done."""

    def __init__(self, level: str) -> None:
        # At L2 the capability is one of the user namespace, and worth nothing here.
        self._allowed = level == "L3" and bool(_capabilities() & SYS_NICE)
        self._policy = os.sched_getscheduler(0)

    def send(self, pid: int) -> None:
        """From now on whoever is woken interrupts it."""
        if self._allowed:
            _schedule(pid, os.SCHED_IDLE)

    def recall(self, pid: int) -> None:
        """From now on it is scheduled as this process is."""
        if self._allowed:
            _schedule(pid, self._policy)


def _schedule(pid: int, policy: int) -> None:
    try:
        os.sched_setscheduler(pid, policy, os.sched_param(0))
    except ProcessLookupError:
        return  # its end will be noticed


def _capabilities() -> int:
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0
