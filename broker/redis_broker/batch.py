"""Many small script runs in one: what gathers within a moment travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from broker.redis_broker.wire import Argument

MOST_IN_ONE_RUN = 128
"""A script holds up everybody else on the server while it runs."""

FULL_WITH = 16
"""So many messages that somebody waits for go on before the tick ends: the next process can begin with them,
on a processor that has nothing to do. Where nobody waits larger batches cost fewer writes to the disk."""

Run = Callable[[list[Argument]], asyncio.Future[object]]
OnAnswer = Callable[[object], None]
"""Gets one group's answer, or the exception that the run raised; must not raise."""


class Group(NamedTuple):
    """Arguments for one message: those that it may have in common with its neighbours, and its own."""

    shared: tuple[Argument, ...]
    own: tuple[Argument, ...]


class Batch:
    """Gathers groups for one script, which gets them as runs (what a run shares, how many groups it has, what
    is their own) and answers a list with one element for each group.

    They are sent when the tick ends, or as soon as there are `most`; `flush` then hurries them on.
    """

    def __init__(self, run: Run, flush: Callable[[], None], most: int = MOST_IN_ONE_RUN) -> None:
        self._run = run
        self._flush = flush
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._gathered: list[tuple[Group, OnAnswer]] = []
        self._due = False

    def add(self, group: Group) -> asyncio.Future[object]:
        """Send a group in this tick; the future has its answer, or raises what the run raised."""
        settled: asyncio.Future[object] = self._loop.create_future()

        def settle(answer: object) -> None:
            if settled.done():
                return
            if isinstance(answer, BaseException):
                settled.set_exception(answer)
            else:
                settled.set_result(answer)

        self.send(group, settle)
        return settled

    def send(self, group: Group, on_answer: OnAnswer, within_seconds: float = 0.0) -> None:
        """Send a group in this tick, or `within_seconds`."""
        self._gathered.append((group, on_answer))
        if len(self._gathered) >= self._most:
            self._send()
            self._flush()
        elif not within_seconds:
            if not self._due:
                self._due = True
                self._loop.call_soon(self._send)
        elif len(self._gathered) == 1:
            self._loop.call_later(within_seconds, self._send)

    def _send(self) -> None:
        self._due = False
        groups, self._gathered = self._gathered, []
        if not groups:
            return  # there were enough of them sooner

        def answered(run: asyncio.Future[object]) -> None:
            error = asyncio.CancelledError() if run.cancelled() else run.exception()
            answers = run.result() if error is None else None
            for index, (_, on_answer) in enumerate(groups):
                on_answer(answers[index] if isinstance(answers, list) else error)

        self._run(_in_runs([group for group, _ in groups])).add_done_callback(answered)


def _in_runs(groups: list[Group]) -> list[Argument]:
    arguments: list[Argument] = []
    for shared, run in groupby(groups, itemgetter(0)):
        own = [argument for group in run for argument in group.own]
        arguments += shared
        arguments.append(len(own) // len(groups[0].own))
        arguments += own
    return arguments
