"""The few Linux calls that Python's standard library lacks."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x00020000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19


class Kernel:
    """Calls into libc; every failure is an OSError that names the call."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def prctl(self, option: int, value: int) -> None:
        """prctl(2) with one argument."""
        self._check("prctl", self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))

    def unshare_mounts(self) -> None:
        """A mount table of our own, which still follows the host's changes but makes none there."""
        self._check("unshare", self._libc.unshare(CLONE_NEWNS))
        self._mount(None, "/", MS_REC | MS_SLAVE)

    def bind(self, source: str, target: str, *, read_only: bool) -> None:
        """Show directory `source` at `target`."""
        self._mount(source, target, MS_BIND)
        flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV
        self._mount(None, target, flags | MS_RDONLY if read_only else flags)

    def _mount(self, source: str | None, target: str, flags: int) -> None:
        encoded = None if source is None else os.fsencode(source)
        call = self._libc.mount(encoded, os.fsencode(target), None, ctypes.c_ulong(flags), None)
        self._check("mount on " + target, call)

    def _check(self, call: str, result: int) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, call + ": " + os.strerror(number))
