"""How the kernel shares processors among our processes: for many short turns, not for quick ones."""

from __future__ import annotations

import contextlib
import os


def favour_throughput() -> None:
    """Let this process, and all that it will start, not interrupt one another when they are woken.

    A call passes through gateway, Redis, worker and function; by default each that is woken interrupts the
    one that woke it, which then finds its caches cold and has sent less in one go. With SCHED_BATCH who runs
    goes on until he waits: with 64 callers on two processors a quarter more calls a second, and a lower p99.
    A lone caller sees no difference. Where the system refuses, nothing changes.

    For gateways, workers with their functions, and triggers. Redis is left as it is: it may serve others too,
    and gains nothing.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
