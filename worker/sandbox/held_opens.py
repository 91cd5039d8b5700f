"""Hears of files that are about to be opened, and lets their openers wait meanwhile (fanotify(7))."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from worker.sandbox.inside.kernel import FAN_MARK_ADD, FAN_MARK_FILESYSTEM, FAN_MARK_REMOVE, Kernel

EVENT = struct.Struct("=IBBHQii")
RESPONSE = struct.Struct("=iI")
FAN_ALLOW = 1
MOST_EVENTS = 32
"""Read at one time: each comes with a descriptor."""


@dataclass(frozen=True, slots=True)
class HeldOpen:
    """Process `pid` waits to open the file that `descriptor` stands for."""

    pid: int
    descriptor: int


class HeldOpens:
    """A fanotify group. Who waits can be killed, and goes on once the group is closed by all who have it."""

    def __init__(self, directory: Path) -> None:
        """`directory` is for a try. Raises OSError: it needs root's rights outside of user namespaces, and a
        kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS."""
        self._kernel = Kernel()
        self.descriptor = self._kernel.listen_to_opens()
        try:
            # Opens of directories are not heard of, so that nobody is held by this.
            self._kernel.mark_opens(self.descriptor, str(directory), FAN_MARK_ADD)
            self._kernel.mark_opens(self.descriptor, str(directory), FAN_MARK_REMOVE)
        except OSError:
            self.close()
            raise

    def hold(self, path: str) -> None:
        """From now on who opens a file in the file system of `path` waits. Raises OSError."""
        self._kernel.mark_opens(self.descriptor, path)

    def take(self) -> list[HeldOpen]:
        """Some of those who wait; each is to be let go."""
        try:
            events = os.read(self.descriptor, MOST_EVENTS * EVENT.size)
        except BlockingIOError:
            return []
        held = [HeldOpen(event[-1], event[-2]) for event in EVENT.iter_unpack(events)]
        return [each for each in held if each.descriptor >= 0]

    def hold_no_more(self, held: HeldOpen) -> None:
        """From now on nobody waits in this file system. Raises OSError."""
        path = f"/proc/self/fd/{held.descriptor}"
        self._kernel.mark_opens(self.descriptor, path, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM)

    def let_go(self, held: HeldOpen) -> None:
        """It may open its file, unless it has been killed."""
        with suppress(FileNotFoundError):
            os.write(self.descriptor, RESPONSE.pack(held.descriptor, FAN_ALLOW))
        os.close(held.descriptor)

    def close(self) -> None:
        """Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
