"""What /tmp holds is no memory, as on Lambda.

/tmp is kept in memory, and the kernel charges it to the control group of whoever writes. While nothing is in
it, the kernel alone holds the environment to its memory. The first open of a file there is held until the
limit is raised by all that may be in /tmp. From then on the worker looks, while the environment runs, whether
the rest is still within its memory, and kills it where it is not. When /tmp is found empty, the limit is
lowered again.

Shared memory that is in no file of /tmp (memfd, MAP_SHARED) counts as memory all the same: only what the file
system itself says that it holds does not.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.sandbox.group_memory import GroupMemory
from worker.sandbox.held_opens import HeldOpen, HeldOpens
from worker.sandbox.inside.cgroups import Cgroups
from worker.sandbox.inside.root import SCRATCH

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""What a function may take beyond its memory is what it can touch within this time."""

SECONDS_FOR_EACH = 0.001
"""Looking at one takes 0.02 ms: where many use their /tmp at one time, they are looked at less often."""

INODE_BYTES = 1024
"""What the kernel needs for a file, besides its content."""


class Resident(Protocol):
    """The processes of one environment, as far as they matter here."""

    @property
    def pid(self) -> int:
        """Of the main process; 0 once it has ended."""

    @property
    def is_frozen(self) -> bool:
        """None of them runs."""

    def signal(self, number: int) -> None:
        """To the main process, whose end is the environment's."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Of a /tmp: how many files, what they take, and what all of it may take, in bytes."""

    files: int
    size: int
    room: int

    @classmethod
    def of(cls, descriptor: int) -> Contents:
        """Of the file system of a descriptor. Raises OSError."""
        found = os.fstatvfs(descriptor)
        files = found.f_files - found.f_ffree - 1  # without the directory itself
        size = (found.f_blocks - found.f_bfree) * found.f_frsize + files * INODE_BYTES
        return cls(files, size, found.f_blocks * found.f_frsize + found.f_files * INODE_BYTES)


@dataclass
class Used:
    """A group whose /tmp, on `device`, has been used. Its memory is `allowed` bytes; `peak_bytes` is the most
    that it had of it."""

    memory: GroupMemory
    device: int
    allowed: int
    peak_bytes: int
    is_raised: bool = False
    is_over: bool = False

    @contextmanager
    def storage_of(self, resident: Resident) -> Iterator[int]:
        """A descriptor of its /tmp, and of no other directory. Raises OSError where there is none."""
        descriptor = _open_storage(resident.pid)
        try:
            if os.fstat(descriptor).st_dev != self.device:
                raise FileNotFoundError(errno.ENOENT, f"another process is {resident.pid} by now")
            yield descriptor
        finally:
            os.close(descriptor)

    def measure(self, contents: Contents) -> int:
        """What it has beside the contents of /tmp, in bytes; remembered as its peak. Raises OSError."""
        used = self.memory.used() - contents.size
        self.peak_bytes = max(self.peak_bytes, min(used, self.allowed))
        return used


class EphemeralStorage:
    """Of one zygote's environments. Works on the loop it was made on, until `close`. `cgroups` are those of
    the environments, None before they are known."""

    def __init__(self, opens: HeldOpens) -> None:
        self._opens = opens
        self.cgroups: Cgroups | None = None
        self._residents: dict[str, Resident] = {}
        self._used: dict[str, Used] = {}
        self._loop = asyncio.get_running_loop()
        self._next_look: asyncio.TimerHandle | None = None
        self._loop.add_reader(opens.descriptor, self._hear)

    @property
    def descriptor(self) -> int:
        """Of the fanotify group; for who makes a /tmp."""
        return self._opens.descriptor

    def close(self) -> None:
        """Nobody is held any more."""
        self._loop.remove_reader(self._opens.descriptor)
        self._opens.close()
        if self._next_look is not None:
            self._next_look.cancel()

    def joined(self, group: str, resident: Resident) -> None:
        """Somebody lives in the group."""
        self._residents[group] = resident
        self.went_on(group)

    def left(self, group: str) -> None:
        """Nobody does any more."""
        self._residents.pop(group, None)
        self._used.pop(group, None)

    def went_on(self, group: str) -> None:
        """Who lives there is not frozen, or no longer."""
        if group in self._used:
            self._look_later()

    def was_limited(self, group: str) -> None:
        """The group was given its limit, and its /tmp a size, when it might have been in use already."""
        used, resident = self._used.get(group), self._residents.get(group)
        if used is None or resident is None or not used.is_raised:
            return
        with suppress(OSError), used.storage_of(resident) as storage:
            used.memory.set_limit(used.allowed + Contents.of(storage).room)

    def peak_bytes(self, group: str) -> int:
        """The most memory that the group had at one time, without what was in /tmp; 0 where nobody knows."""
        used, resident = self._used.get(group), self._residents.get(group)
        if used is None:
            return self.cgroups.peak_bytes(group) if self.cgroups is not None else 0
        if resident is not None:
            with suppress(OSError), used.storage_of(resident) as storage:
                used.measure(Contents.of(storage))
        return used.peak_bytes

    def _hear(self) -> None:
        with ExitStack() as waiting:
            for held in self._held():
                waiting.callback(self._opens.let_go, held)
                try:
                    self._make_room(held)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # killed while it waited
                except OSError as error:
                    logger.error("what is in /tmp counts as memory: %s", error)

    def _held(self) -> list[HeldOpen]:
        try:
            return self._opens.take()
        except OSError as error:
            logger.error("a function may not open a file in /tmp: %s", error)
            return []

    def _make_room(self, held: HeldOpen) -> None:
        if self.cgroups is None:
            return  # a trial
        group, device = _group_of(held.pid, self.cgroups), os.fstat(held.descriptor).st_dev
        if not group or os.stat(f"/proc/{held.pid}/root{SCRATCH}").st_dev != device:
            return  # a copy fetches what its template has left
        used = self._used.get(group) or self._first_use(group, device, self.cgroups)
        if not used.is_raised:
            used.memory.set_limit(used.allowed + Contents.of(held.descriptor).room)
            used.is_raised = True
        self._opens.hold_no_more(held)
        self._look_later()

    def _first_use(self, group: str, device: int, cgroups: Cgroups) -> Used:
        memory = GroupMemory(cgroups, group)
        used = Used(memory, device, memory.limit(), cgroups.peak_bytes(group))
        self._used[group] = used
        return used

    def _look_later(self, seconds: float = LOOK_SECONDS) -> None:
        if self._next_look is None:
            self._next_look = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._next_look = None
        looked_at = 0
        for group, used in self._used.items():
            resident = self._residents.get(group)
            if resident is None or resident.is_frozen or used.is_over or not used.is_raised:
                continue
            with suppress(OSError), used.storage_of(resident) as storage:
                self._look_at(used, resident, storage)
            looked_at += 1
        if looked_at:
            self._look_later(max(LOOK_SECONDS, looked_at * SECONDS_FOR_EACH))

    def _look_at(self, used: Used, resident: Resident, storage: int) -> None:
        contents = Contents.of(storage)
        fits = used.measure(contents) <= used.allowed
        if not fits and used.memory.exceeds(used.allowed + contents.size):
            used.is_over = True
            resident.signal(signal.SIGKILL)
        elif contents.files == 0:
            self._lower(used, storage)

    def _lower(self, used: Used, storage: int) -> None:
        """Have the kernel alone hold it to its memory again, unless it creates a file at this moment."""
        self._opens.hold(f"/proc/self/fd/{storage}")
        if Contents.of(storage).files == 0:
            used.memory.set_limit(used.allowed)
            used.is_raised = False


def _open_storage(pid: int) -> int:
    """A descriptor of what the process has as /tmp. Raises OSError."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/{pid}/root{SCRATCH}", flags)
    except FileNotFoundError:
        # A process whose first thread has ended shows nothing by its own name, though others go on.
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                return os.open(f"/proc/{pid}/task/{thread}/root{SCRATCH}", flags)
        raise


def _group_of(pid: int, cgroups: Cgroups) -> str:
    """The name of its control group, empty where it has none. Raises OSError."""
    wanted = "" if cgroups.unified else "memory"
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if wanted in controllers.split(","):
            return path.rpartition("/")[2]
    return ""
