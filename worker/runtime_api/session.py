"""The Runtime API's state for one environment: who may say what, when."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from worker.environments.interface import HandlerFailed, ResponseSink, Succeeded, Work


class SessionListener(Protocol):
    """Whom the runtime's words concern."""

    def runtime_ready(self, report: bytes = b"") -> None: ...

    def runtime_init_failed(self, error_type: str, document: bytes) -> None: ...

    def runtime_answered(
        self, outcome: Succeeded | HandlerFailed, peak_memory_kb: int, run_us: int
    ) -> None: ...


class RuntimeState(enum.Enum):
    """Where the runtime is between two calls."""

    INITIALIZING = "Initializing"
    READY = "Ready"
    RUNNING = "Running"
    RESPONDING = "Responding"
    ANSWERED = "Answered"
    FAILED = "InitError"
    CLOSED = "Closed"


Deliver = Callable[[Work], None]
"""Writes the answer to a `next` that had to wait."""


class Session:
    """Pairs the worker's runs with the runtime's calls. Methods for the runtime return False when the
    call is not allowed in the present state; then nothing has changed."""

    def __init__(self, listener: SessionListener) -> None:
        self._listener = listener
        self._offered: Work | None = None
        self._deliver: Deliver | None = None
        self._delivered: Deliver | None = None
        self._sink: ResponseSink | None = None
        self._broken: HandlerFailed | None = None
        self.state = RuntimeState.INITIALIZING
        self.request_id = ""
        """Of the run that the runtime has, or had last."""

    @property
    def waiting(self) -> bool:
        """The runtime has asked for work and gets the next at once."""
        return self._deliver is not None

    def offer(self, work: Work) -> None:
        """Give the next run to the runtime, now or when it asks."""
        if self._deliver is None:
            self._offered = work
            return
        deliver, self._deliver = self._deliver, None
        self._begin(work, deliver)
        deliver(work)

    def withdraw(self) -> bool:
        """Take back a run that the runtime has not asked for; False where it has it."""
        taken, self._offered = self._offered is None, None
        return not taken

    def close(self) -> None:
        """Refuse everything from now on."""
        self.state = RuntimeState.CLOSED
        self._deliver = self._offered = None

    def next(self, deliver: Deliver) -> bool:
        """The runtime asks for work; `deliver` is called now or later."""
        self.give_up(self.request_id)
        if self._deliver is None and (self.state is RuntimeState.RESPONDING or self._overtakes(deliver)):
            # It has given up a response whose connection has not ended for us yet, or does not await our 202.
            self._deliver = deliver
            return True
        if self.state not in (RuntimeState.INITIALIZING, RuntimeState.READY, RuntimeState.ANSWERED):
            return False
        if self._deliver is not None:
            return False
        first = self.state is RuntimeState.INITIALIZING
        self.state = RuntimeState.READY
        work, self._offered = self._offered, None
        if work is not None:
            self._begin(work, deliver)
            deliver(work)
            return True
        self._deliver = deliver
        if first:
            self._listener.runtime_ready()
        return True

    def is_early(self, deliver: Deliver) -> bool:
        """This `next` waits although nothing was heard of the run that the runtime has: it may have overtaken
        that on another connection. `refuse` it if nothing comes."""
        return self.state is RuntimeState.RUNNING and self._deliver == deliver

    def refuse(self, deliver: Deliver) -> bool:
        """Let an early `next` wait no longer; False where it is not early any more."""
        early = self.is_early(deliver)
        if early:
            self._deliver = None
        return early

    def hang_up(self, deliver: Deliver) -> None:
        """The connection on which a `next` waited is gone; the runtime may ask again."""
        if self._deliver == deliver:
            self._deliver = None

    def respond(self, content_type: str) -> ResponseSink | None:
        """The runtime begins to stream its response: where it goes, None where it must come whole."""
        if self.state is not RuntimeState.RUNNING or self._sink is None:
            return None
        self.state = RuntimeState.RESPONDING
        self._sink.begin(content_type)
        return self._sink

    def answer(self, outcome: Succeeded | HandlerFailed, *, streamed: bool = False) -> bool:
        """The runtime has the result of its run, or has `streamed` it."""
        if self.state is not (RuntimeState.RESPONDING if streamed else RuntimeState.RUNNING):
            return False
        self.state = RuntimeState.ANSWERED if self._deliver is None else RuntimeState.READY
        self._listener.runtime_answered(outcome, 0, 0)
        return True

    def break_off(self, outcome: HandlerFailed) -> None:
        """The connection was lost on which a response came: `outcome` counts as soon as the runtime asks for
        more work, or `give_up` is called; unless its process turns out to have ended."""
        if self.state in (RuntimeState.RUNNING, RuntimeState.RESPONDING):
            self._broken = outcome
            if self._deliver is not None:
                self.give_up(self.request_id)

    def give_up(self, request_id: str) -> None:
        """Nothing more was heard about a response that broke off."""
        if self._broken is not None and self.request_id == request_id:
            self.answer(self._broken, streamed=self.state is RuntimeState.RESPONDING)

    def fail_init(self, error_type: str, document: bytes) -> bool:
        """The runtime cannot serve."""
        if self.state is not RuntimeState.INITIALIZING:
            return False
        self.state = RuntimeState.FAILED
        self._listener.runtime_init_failed(error_type, document)
        return True

    def _overtakes(self, deliver: Deliver) -> bool:
        """Two connections have no order between them, and a busy machine may bring the later first."""
        return self.state is RuntimeState.RUNNING and deliver != self._delivered

    def _begin(self, work: Work, deliver: Deliver) -> None:
        self.state = RuntimeState.RUNNING
        self._delivered = deliver
        self.request_id = work.request_id
        self._sink, self._broken = work.sink, None
