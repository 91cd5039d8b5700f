"""A deployed function that writes down when its runs begin, and what its system spends meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.benchmarks.findings import Findings
from tests.benchmarks.measurements import percentile
from tests.benchmarks.packages import python_package
from tests.live_system import LiveSystem

FUNCTION = "queue-clock"
PATIENCE_SECONDS = 180.0

Starts = list[tuple[float, int]]
"""When runs began (epoch seconds), and with how many messages."""


class QueueClock:
    """The function on one system, and its journal, whose folder other users must be able to traverse."""

    def __init__(self, live: LiveSystem, journal: Path) -> None:
        journal.touch()
        journal.chmod(0o666)
        self._journal = journal
        self._live = live
        variables = {"JOURNAL": str(journal)}
        with contextlib.suppress(live.client.exceptions.ResourceNotFoundException):
            live.client.delete_function(FunctionName=FUNCTION)  # of another scenario, with its journal
        live.deploy(
            FUNCTION,
            python_package("queue_clock"),
            timeout_seconds=20,
            Environment={"Variables": variables},
        )

    def clear(self) -> None:
        """Forget all runs so far."""
        self._journal.write_bytes(b"")

    def starts(self, messages: int) -> Starts:
        """All runs, once they had so many messages. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            lines = self._journal.read_text().splitlines()
            starts = [(float(at), int(count)) for at, count in (line.split() for line in lines)]
            if sum(count for _, count in starts) >= messages:
                return starts
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(starts)} runs in {PATIENCE_SECONDS:g} s")
            time.sleep(0.02 if messages > 1000 else 0.002)

    def latencies_ms(self, send: Callable[[], object], count: int) -> list[float]:
        """From just before `send` to the handler's first statement, one message at a time, sorted."""
        self.clear()
        send()
        self.starts(1)
        waits = []
        for number in range(2, count + 2):
            sent = time.time()
            send()
            waits.append((self.starts(number)[-1][0] - sent) * 1000)
        return sorted(waits)

    def cpu_seconds(self) -> float:
        """Of every process of the system so far."""
        total = 0.0
        for process in self._live.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def elapsed_seconds(starts: Starts) -> float:
    """From the first run's start to the last one's."""
    return max(at for at, _ in starts) - min(at for at, _ in starts)


def add_latency(findings: Findings, source: str, latencies_ms: list[float], promise_ms: float) -> None:
    """A row of sorted latencies, and the promise for half of them."""
    p50 = percentile(latencies_ms, 50)
    findings.add(
        f"{source}, sent to handler's start",
        p50_ms=round(p50, 2),
        p99_ms=round(percentile(latencies_ms, 99), 2),
    )
    findings.promise(f"{source}, message to handler's start, p50", p50, "at most", promise_ms, "ms")
