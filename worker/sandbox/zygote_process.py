"""One process that a zygote forked, with everything it has started."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from worker.runtimes.python.sweep import MARK
from worker.sandbox.interface import OnExit, OnFailure, SandboxUnavailable, StartFailed
from worker.sandbox.slot import Slot
from worker.sandbox.zygote_connection import Event

logger = logging.getLogger(__name__)


class ZygoteProcess:
    """A SandboxProcess. `on_gone` is called once when nothing of it is left."""

    def __init__(
        self,
        identifier: str,
        uid: int,
        scratch: str,
        slot: Slot,
        on_exit: OnExit,
        on_failure: OnFailure,
        on_gone: Callable[[ZygoteProcess], None],
    ) -> None:
        self.identifier = identifier
        self.uid = uid
        self.scratch = scratch
        self.slot = slot
        self.mark = MARK + identifier
        self.pid = 0
        self.loopback_address = ""
        self.processors = 0.0
        """What it may use once it is initialized; 0: without limit."""
        self.output = -1
        self._exit_code: int | None = None
        self._furnished: asyncio.Future[bool] | None = None
        self._group = ""
        self._frozen = False
        self._on_exit = on_exit
        self._on_failure = on_failure
        self._on_gone = on_gone
        self._ended = False
        self._gone = asyncio.Event()
        self._gone_or_lost = asyncio.Event()
        self._killing: asyncio.Task[None] | None = None

    async def furnish(self, request: Mapping[str, object], descriptors: Sequence[int]) -> bool:
        """Have the zygote give a waiting generic process what is a function's; False where it is no longer
        fit to become one."""
        self._furnished = asyncio.get_running_loop().create_future()
        if self._ended:
            return False
        try:
            connection = await self.slot.connection()
            await connection.send(
                {"request": "furnish", "identifier": self.identifier, **request}, descriptors
            )
        except (SandboxUnavailable, ConnectionError):
            return False
        return await self._furnished and not self._ended

    def hand_over(self, on_exit: OnExit, on_failure: OnFailure) -> None:
        """From now on its end is told to others: at once where it has come already."""
        self._on_exit, self._on_failure = on_exit, on_failure
        if self._exit_code is not None:
            on_exit(self._exit_code)

    def initialized(self) -> None:
        """Set the processor's limit."""
        if self.processors and self._group and self.slot.cgroups is not None:
            # What has ended meanwhile is reported by the zygote.
            with contextlib.suppress(OSError):
                self.slot.cgroups.limit_cpu(self._group, self.processors)

    def signal(self, number: int) -> None:
        """To the main process."""
        if self.pid and not self._ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def is_frozen(self) -> bool:
        """None of its processes runs."""
        return self._frozen

    def freeze(self) -> None:
        """The group's freezer; without groups, the main process's process group is stopped."""
        if not self._frozen and not self._ended and self.pid:
            self._frozen = True
            self._set_frozen()

    def thaw(self) -> None:
        """Let all of it go on."""
        if self._frozen:
            self._frozen = False
            self._set_frozen()
            if self.slot.storage is not None:
                self.slot.storage.went_on(self._group)

    def _set_frozen(self) -> None:
        # What has ended meanwhile is reported by the zygote.
        with contextlib.suppress(OSError):
            if self.slot.cgroups is not None:
                self.slot.cgroups.freeze(self._group, frozen=self._frozen)
            elif self.pid:
                os.killpg(self.pid, signal.SIGSTOP if self._frozen else signal.SIGCONT)

    def peak_memory_kb(self) -> int:
        """Of the group; 0 without groups."""
        if self.slot.cgroups is None or not self._group:
            return 0
        counter = self.slot.storage or self.slot.cgroups
        return counter.peak_bytes(self._group) // 1024

    async def kill(self) -> None:
        """Have the zygote kill everything; a new zygote takes over where the old one has died."""
        if self._killing is None:
            self._killing = asyncio.create_task(self._kill(), name=f"kill {self.identifier}")
        await asyncio.shield(self._killing)

    async def _kill(self) -> None:
        while not self._gone.is_set():
            self._gone_or_lost.clear()
            try:
                connection = await self.slot.connection()
                await connection.send(self._kill_request())
            except SandboxUnavailable:
                # Closed: the zygote kills all that it forked before it ends. `was_killed` follows.
                await self._gone.wait()
            except ConnectionError:
                await asyncio.sleep(0)
            else:
                await self._gone_or_lost.wait()

    def _kill_request(self) -> dict[str, object]:
        remains = {"uid": self.uid, "pid": self.pid, "mark": self.mark, "scratch": self.scratch}
        return {
            "request": "kill",
            "identifier": self.identifier,
            "remains": {"identifier": self.identifier, **remains},
        }

    def heard(self, event: Event) -> None:
        """An event of the zygote about this process."""
        match event["event"]:
            case "started":
                self.pid, self._group = event["pid"], event["group"]
                if self.slot.storage is not None:
                    self.slot.storage.joined(self._group, self)
            case "furnished":
                if self.slot.storage is not None:
                    self.slot.storage.was_limited(self._group)
                self._know_furnished(True)
            case "unfurnished":
                logger.warning("generic process not furnished", extra={"reason": event["text"]})
                self._know_furnished(False)
            case "failed":
                self._end()
                self._on_failure(StartFailed(event["kind"], event["text"]))
            case "exited":
                self._exit(event["code"])
            case "gone":
                self.was_killed()

    def zygote_lost(self) -> None:
        """The zygote died, and the process with it: its pid may soon be another's."""
        self.pid = 0
        self._gone_or_lost.set()
        self._exit(-signal.SIGKILL)

    def was_killed(self) -> None:
        """Nothing is left."""
        if self._gone.is_set():
            return
        self._gone.set()
        self._gone_or_lost.set()
        if self.slot.storage is not None:
            self.slot.storage.left(self._group)
        self._on_gone(self)
        self._exit(-signal.SIGKILL)

    def _exit(self, code: int) -> None:
        if not self._ended:
            self._end()
            self._exit_code = code
            self._on_exit(code)

    def _end(self) -> None:
        self._ended = True
        self._know_furnished(False)

    def _know_furnished(self, furnished: bool) -> None:
        if self._furnished is not None and not self._furnished.done():
            self._furnished.set_result(furnished)
