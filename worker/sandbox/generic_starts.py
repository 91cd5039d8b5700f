"""Keeps generic processes waiting for the kinds of functions that were started lately, and gives them out.

They are made one at a time, when no function's process has been asked for during a moment, and with hardly
any claim to processor time. A kind whose processes never get ready is given up: its functions start plainly.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Protocol

from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.interface import OnExit, OnFailure, StartFailed
from worker.sandbox.zygote_process import ZygoteProcess

logger = logging.getLogger(__name__)

QUIET_SECONDS = 0.1
READY_SECONDS = 30.0
MOST_KINDS = 4
"""Kinds that processes are kept for at one time; the one that was asked for longest ago gives way."""
MOST_FAILURES = 3


class LaunchGeneric(Protocol):
    """Starts a generic process with `descriptors`: what it writes to, ASSIGNMENT, READINESS."""

    async def __call__(
        self, kind: GenericProcess, descriptors: list[int], on_exit: OnExit, on_failure: OnFailure
    ) -> ZygoteProcess: ...


class Waiting:
    """A generic process with our ends of its pipes. `on_end` is called when the process has ended."""

    def __init__(self, kind: GenericProcess, on_end: Callable[[Waiting], None]) -> None:
        self.kind = kind
        self._on_end = on_end
        self.process: ZygoteProcess | None = None
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it waits for its function; False: it has ended."""
        self._taken_on: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._assigned, self._assignment = os.pipe2(os.O_CLOEXEC)
        self._readiness, self._said_ready = os.pipe2(os.O_CLOEXEC)
        self.output, self._output = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._assignment, False)
        asyncio.get_running_loop().add_reader(self._readiness, self._hear)

    async def launch(self, launch: LaunchGeneric) -> None:
        """Start it. Raises StartFailed."""
        descriptors = [self._output, self._assigned, self._said_ready]
        try:
            self.process = await launch(self.kind, descriptors, self._process_ended, self._process_ended)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def assign(self, variables: Mapping[str, str]) -> bool:
        """Tell it its function: it goes on as the function's process. False where it has not been told, nor
        will be."""
        told = "".join(f"{name}={value}\0" for name, value in variables.items()).encode()
        try:
            complete = os.write(self._assignment, told) == len(told)
        except OSError:
            complete = False
        finally:
            os.close(self._assignment)
            self._assignment = -1
        return complete and await self._taken_on

    def close(self, *, keep_output: bool = False) -> None:
        """Let go of the pipes: one that waits leaves. `keep_output`: it belongs to somebody else now."""
        self._hang_up()
        if self._assignment >= 0:
            os.close(self._assignment)
        if not keep_output:
            os.close(self.output)

    def _hear(self) -> None:
        if not os.read(self._readiness, 1):
            self._hang_up()
        elif not self.ready.done():
            self.ready.set_result(True)
        elif not self._taken_on.done():
            self._taken_on.set_result(True)

    def _process_ended(self, _: int | StartFailed) -> None:
        self._hang_up()
        self._on_end(self)

    def _hang_up(self) -> None:
        """It says nothing any more."""
        for future in (self.ready, self._taken_on):
            if not future.done():
                future.set_result(False)
        if self._readiness >= 0:
            asyncio.get_running_loop().remove_reader(self._readiness)
            os.close(self._readiness)
            self._readiness = -1


class GenericStarts:
    """`keep` processes of each kind; 0: none."""

    def __init__(self, launch: LaunchGeneric, keep: int) -> None:
        self._launch = launch
        self._keep = keep
        self._kinds: OrderedDict[GenericProcess, deque[Waiting]] = OrderedDict()
        self._failures: dict[GenericProcess, int] = {}
        self._latest_start = 0.0
        self._preparing: asyncio.Task[None] | None = None
        self._burials: set[asyncio.Task[None]] = set()

    def take(self, kind: GenericProcess) -> Waiting | None:
        """One that waits, if any; the caller kills it, or gives it to `discard`."""
        if not self._keep:
            return None
        waiting = self._kinds.setdefault(kind, deque())
        self._kinds.move_to_end(kind)
        while len(self._kinds) > MOST_KINDS:
            for surplus in self._kinds.popitem(last=False)[1]:
                self.discard(surplus)
        return waiting.popleft() if waiting else None

    def pids(self) -> list[int]:
        """Of those that wait."""
        every = (one.process for waiting in self._kinds.values() for one in waiting)
        return [process.pid for process in every if process is not None]

    def note_start(self) -> None:
        """A function's process is asked for: leave the machine to it for a moment."""
        if self._kinds:
            self._latest_start = asyncio.get_running_loop().time()
            if self._preparing is None:
                self._preparing = asyncio.create_task(self._prepare(), name="prepare generic processes")

    def shed(self) -> None:
        """Memory runs short: end all that wait, until functions ask again."""
        for waiting in self._kinds.values():
            while waiting:
                self.discard(waiting.popleft())
        self._kinds.clear()

    def discard(self, waiting: Waiting) -> None:
        """End it."""
        waiting.close()
        if waiting.process is not None:
            burial = asyncio.create_task(waiting.process.kill(), name="kill generic process")
            self._burials.add(burial)
            burial.add_done_callback(self._burials.discard)

    async def close(self) -> None:
        """End all that wait. Idempotent."""
        self._keep = 0
        if self._preparing is not None:
            self._preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._preparing
        self.shed()

    async def _prepare(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (kind := self._wanted()) is not None:
                quiet_from = self._latest_start + QUIET_SECONDS
                if quiet_from > loop.time():
                    await asyncio.sleep(quiet_from - loop.time())
                else:
                    await self._prepare_one(kind)
        finally:
            self._preparing = None

    def _wanted(self) -> GenericProcess | None:
        for kind in reversed(self._kinds):
            if len(self._kinds[kind]) < self._keep and self._failures.get(kind, 0) < MOST_FAILURES:
                return kind
        return None

    async def _prepare_one(self, kind: GenericProcess) -> None:
        waiting = Waiting(kind, self._forget)
        ready = False
        try:
            with contextlib.suppress(StartFailed, TimeoutError):
                await waiting.launch(self._launch)
                async with asyncio.timeout(READY_SECONDS):
                    ready = await asyncio.shield(waiting.ready)
        finally:
            if ready and kind in self._kinds:
                self._kinds[kind].append(waiting)
            else:
                self.discard(waiting)
        self._note_readiness(kind, ready=ready)

    def _forget(self, waiting: Waiting) -> None:
        """It ended while it waited; another is made when functions start again."""
        kept = self._kinds.get(waiting.kind)
        if kept is not None and waiting in kept:
            kept.remove(waiting)
            self.discard(waiting)

    def _note_readiness(self, kind: GenericProcess, *, ready: bool) -> None:
        self._failures[kind] = 0 if ready else self._failures.get(kind, 0) + 1
        if self._failures[kind] == MOST_FAILURES:
            extra = {"runtime": kind.runtime, "memory_mb": kind.memory_mb}
            logger.warning("generic processes do not get ready; functions start plainly", extra=extra)
