"""Many small script runs in one: what gathers within a moment travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from broker.redis_broker.wire import Argument

MOST_IN_ONE_RUN = 128
"""A script holds up everybody else on the server while it runs."""

Run = Callable[[list[Argument]], asyncio.Future[object]]
OnAnswer = Callable[[object], None]
"""Gets one group's answer, or the exception that the run raised; must not raise."""


class Batch:
    """Gathers groups of arguments for one script, which answers a list with one element for each group."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._gathered: list[tuple[tuple[Argument, ...], OnAnswer]] = []
        self._due = False

    def add(self, arguments: tuple[Argument, ...]) -> asyncio.Future[object]:
        """Send a group in this tick; the future has its answer, or raises what the run raised."""
        settled: asyncio.Future[object] = self._loop.create_future()

        def settle(answer: object) -> None:
            if settled.done():
                return
            if isinstance(answer, BaseException):
                settled.set_exception(answer)
            else:
                settled.set_result(answer)

        self.send(arguments, settle)
        return settled

    def send(self, arguments: tuple[Argument, ...], on_answer: OnAnswer, within_seconds: float = 0.0) -> None:
        """Send a group in this tick, or `within_seconds`."""
        self._gathered.append((arguments, on_answer))
        if not within_seconds:
            if not self._due:
                self._due = True
                self._loop.call_soon(self._send)
        elif len(self._gathered) == 1:
            self._loop.call_later(within_seconds, self._send)

    def _send(self) -> None:
        self._due = False
        gathered, self._gathered = self._gathered, []
        for start in range(0, len(gathered), MOST_IN_ONE_RUN):
            self._send_some(gathered[start : start + MOST_IN_ONE_RUN])

    def _send_some(self, groups: list[tuple[tuple[Argument, ...], OnAnswer]]) -> None:
        def answered(run: asyncio.Future[object]) -> None:
            error = asyncio.CancelledError() if run.cancelled() else run.exception()
            answers = run.result() if error is None else None
            for index, (_, on_answer) in enumerate(groups):
                on_answer(answers[index] if isinstance(answers, list) else error)

        arguments = [argument for group, _ in groups for argument in group]
        self._run(arguments).add_done_callback(answered)
