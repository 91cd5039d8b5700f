"""Callers that never pause: what the platform promises, it promises while it is busy."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.callers import Answer, Callers


class Load:
    """Threads that go on calling, synchronously and asynchronously, and remember every answer."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(8)
        self.submitted: list[Answer] = []
        self.called: list[Answer] = []
        self.last_accepted_begun_at = 0.0
        self._threads = [self._pool.submit(self._submit) for _ in range(4)]
        self._threads += [self._pool.submit(self._call) for _ in range(4)]

    def _submit(self) -> None:
        while not self._over.is_set():
            begun_at = time.monotonic()
            self.submitted.append(self._callers.submit({"label": "event"}))
            if self.submitted[-1].succeeded:
                self.last_accepted_begun_at = max(self.last_accepted_begun_at, begun_at)

    def _call(self) -> None:
        while not self._over.is_set():
            self.called.append(self._callers.call({"label": "call"}).result())

    def accepted(self) -> list[str]:
        return [answer.request_id for answer in self.submitted if answer.succeeded]

    def failed(self) -> list[Answer]:
        return [answer for answer in self.submitted + self.called if not answer.succeeded]

    def slowest_seconds(self) -> float:
        return max(answer.seconds for answer in self.submitted + self.called)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.result()
