"""Many small script runs in one: what gathers within a moment travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from broker.redis_broker.wire import Argument

MOST_IN_ONE_RUN = 128
"""A script holds up everybody else on the server while it runs."""

Run = Callable[[list[Argument]], asyncio.Future[object]]
Settled = asyncio.Future[object]


class Batch:
    """Gathers groups of arguments for one script, which answers a list with one element for each group."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._gathered: list[tuple[tuple[Argument, ...], Settled]] = []
        self._due = False

    def add(self, arguments: tuple[Argument, ...], within_seconds: float = 0.0) -> Settled:
        """One group's answer, or what the run raised; sent in this tick, or `within_seconds`."""
        settled: Settled = self._loop.create_future()
        self._gathered.append((arguments, settled))
        if not within_seconds:
            if not self._due:
                self._due = True
                self._loop.call_soon(self._send)
        elif len(self._gathered) == 1:
            self._loop.call_later(within_seconds, self._send)
        return settled

    def _send(self) -> None:
        self._due = False
        gathered, self._gathered = self._gathered, []
        for start in range(0, len(gathered), MOST_IN_ONE_RUN):
            self._send_some(gathered[start : start + MOST_IN_ONE_RUN])

    def _send_some(self, groups: list[tuple[tuple[Argument, ...], Settled]]) -> None:
        def answered(answer: asyncio.Future[object]) -> None:
            error = None if answer.cancelled() else answer.exception()
            values = answer.result() if error is None and not answer.cancelled() else None
            for index, (_, settled) in enumerate(groups):
                if settled.done():
                    continue
                if isinstance(values, list):
                    settled.set_result(values[index])
                else:
                    settled.set_exception(error or asyncio.CancelledError())

        arguments = [argument for group, _ in groups for argument in group]
        self._run(arguments).add_done_callback(answered)
