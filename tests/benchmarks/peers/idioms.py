"""How a caller of a task queue keeps many requests outstanding: three idioms, the same for every peer.

No queue documents one fastest client, so the benchmark tries all on this machine and keeps the best.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from tests.benchmarks.measurements import Round, summarise
from tests.benchmarks.payloads import event

EVENTS = [event(number) for number in range(256)]


class Peer(Protocol):
    """A task queue's client, reduced to what the idioms need."""

    def send(self, payload: dict[str, object]) -> object:
        """Enqueue one echo; returns the handle of its result."""

    def result(self, handle: object) -> object:
        """Wait for a result, as the peer documents it, at most 30 seconds."""

    def forget(self, handle: object) -> None:
        """Free what the client keeps of a result."""

    def send_group(self, payloads: list[dict[str, object]]) -> object:
        """Enqueue several echoes as the peer's own group."""

    def group_results(self, group: object) -> list[object]:
        """Wait for all results of a group, in order."""


@dataclass(slots=True)
class Tally:
    """What a caller saw; latencies of right answers inside the measured stretch."""

    starts_at: float
    ends_at: float
    latencies: list[float]
    errors: int = 0

    @classmethod
    def begin(cls, warm_seconds: float, seconds: float) -> Tally:
        starts_at = time.perf_counter() + warm_seconds
        return cls(starts_at, starts_at + seconds, [])

    def count(self, sent_at: float, right: bool) -> None:
        done_at = time.perf_counter()
        if not right:
            self.errors += 1
        elif self.starts_at <= done_at < self.ends_at:
            self.latencies.append(done_at - sent_at)

    def over(self) -> bool:
        return time.perf_counter() >= self.ends_at

    def round(self) -> Round:
        return summarise(self.latencies, self.errors, self.ends_at - self.starts_at)


def window(peer: Peer, tally: Tally, outstanding: int) -> None:
    """One thread: send until `outstanding` wait, take the oldest result, send the next."""
    waiting: deque[tuple[object, dict[str, object], float]] = deque()
    number = 0
    while not tally.over():
        while len(waiting) < outstanding:
            payload = EVENTS[number % len(EVENTS)]
            sent_at = time.perf_counter()
            waiting.append((peer.send(payload), payload, sent_at))
            number += 1
        _take(peer, tally, *waiting.popleft())
    for handle, payload, sent_at in waiting:
        _take(peer, tally, handle, payload, sent_at)


def group(peer: Peer, tally: Tally, outstanding: int) -> None:
    """One thread: a group of `outstanding` tasks, all results, the next group."""
    payloads = EVENTS[:outstanding]
    while not tally.over():
        sent_at = time.perf_counter()
        for result, payload in zip(peer.group_results(peer.send_group(payloads)), payloads, strict=True):
            tally.count(sent_at, result == payload)


def threads(peer: Peer, tally: Tally, outstanding: int) -> None:
    """`outstanding` threads with one request each."""

    def call(first: int) -> None:
        number = first
        while not tally.over():
            payload = EVENTS[number % len(EVENTS)]
            sent_at = time.perf_counter()
            _take(peer, tally, peer.send(payload), payload, sent_at)
            number += 1

    with ThreadPoolExecutor(outstanding) as pool:
        for ended in [pool.submit(call, first) for first in range(outstanding)]:
            ended.result()


def _take(peer: Peer, tally: Tally, handle: object, payload: object, sent_at: float) -> None:
    tally.count(sent_at, peer.result(handle) == payload)
    peer.forget(handle)


IDIOMS: dict[str, Callable[[Peer, Tally, int], None]] = {"window": window, "group": group, "threads": threads}
