"""The few Linux calls that Python's standard library lacks."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

FAN_CLOEXEC = 1
FAN_NONBLOCK = 2
FAN_CLASS_CONTENT = 4
FAN_UNLIMITED_MARKS = 0x20
FAN_MARK_ADD = 1
FAN_MARK_REMOVE = 2
FAN_MARK_FILESYSTEM = 0x100
FAN_OPEN_PERM = 0x1_0000

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4

LAST_DESCRIPTOR = 0x7FFF_FFFF
CAPABILITY_VERSION_3 = 0x2008_0522

NUMBERS = {
    "x86_64": {
        "pivot_root": 155,
        "seccomp": 317,
        "capset": 126,
        "bpf": 321,
        "fanotify_init": 300,
        "fanotify_mark": 301,
    },
    "aarch64": {
        "pivot_root": 41,
        "seccomp": 277,
        "capset": 91,
        "bpf": 280,
        "fanotify_init": 262,
        "fanotify_mark": 263,
    },
}
"""System calls whose number depends on the machine."""

FUNCTIONS = ("fanotify_mark", "mount", "prctl", "setns", "syscall", "umount2", "unshare")
"""Of libc, that are called."""

COMMON_NUMBERS = {
    "open_tree": 428,
    "close_range": 436,
    "move_mount": 429,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}


class Kernel:
    """Calls into libc; every failure is an OSError that names the call."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        for name in FUNCTIONS:
            getattr(self._libc, name)  # found now, that no child needs to search
        self._numbers = {**COMMON_NUMBERS, **NUMBERS.get(platform.machine(), {})}
        self._command_line = _command_line()

    def prctl(self, option: int, value: int) -> None:
        """prctl(2) with one argument."""
        self._check("prctl", self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))

    def unshare(self, flags: int) -> None:
        """unshare(2)."""
        self._check("unshare", self._libc.unshare(flags))

    def enter(self, namespace: int, kind: int) -> None:
        """setns(2): move to the namespace that a descriptor stands for."""
        self._check("setns", self._libc.setns(namespace, kind))

    def unshare_mounts(self) -> None:
        """A mount table of our own, which still follows the host's changes but makes none there."""
        self.unshare(CLONE_NEWNS)
        self.mount(None, "/", None, MS_REC | MS_SLAVE)

    def mount(
        self, source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
    ) -> None:
        """mount(2)."""
        encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
        call = self._libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3])
        self._check("mount on " + target, call)

    def unmount(self, target: str) -> None:
        """Take the mount away, whoever uses it still."""
        self._check("umount of " + target, self._libc.umount2(os.fsencode(target), MNT_DETACH))

    def bind(self, source: str, target: str, *, read_only: bool) -> None:
        """Show directory `source` at `target`."""
        self.mount(source, target, None, MS_BIND)
        flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV
        self.mount(None, target, None, flags | MS_RDONLY if read_only else flags)

    def copy_tree(self, path: str, attributes: int) -> int:
        """A descriptor of a detached copy of the mounts at `path`, with further `attributes` (MS_RDONLY,
        MS_NOSUID, MS_NODEV, MS_NOEXEC). Linux 5.12."""
        flags = OPEN_TREE_CLONE | AT_RECURSIVE | os.O_CLOEXEC
        tree = self.call("open_tree", AT_FDCWD, os.fsencode(path), flags)
        attribute = struct.pack("=QQQQ", attributes, 0, 0, 0)
        self.call("mount_setattr", tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, attribute, len(attribute))
        return tree

    def attach(self, tree: int, target: str) -> None:
        """Mount what `copy_tree` gave at `target`; closes the descriptor."""
        self.call("move_mount", tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
        os.close(tree)

    def change_root(self, new_root: str) -> None:
        """Make the mount at `new_root` the root and let go of the old one."""
        os.chdir(new_root)
        self.call("pivot_root", b".", b".")
        self.unmount(".")
        os.chdir("/")

    def listen_to_opens(self) -> int:
        """fanotify_init(2): a group that hears of opens before they happen, and says yes or no."""
        flags = FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS
        return self.call("fanotify_init", flags, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def mark_opens(self, listener: int, path: str, flags: int = FAN_MARK_ADD | FAN_MARK_FILESYSTEM) -> None:
        """fanotify_mark(2): from now on every open of a file in the file system of `path` waits for the
        reader of such a group; or, with other `flags`, no longer."""
        self.call("fanotify_mark", listener, flags, FAN_OPEN_PERM, AT_FDCWD, os.fsencode(path))

    def drop_capabilities(self) -> None:
        """Have no capability, in whatever user namespace."""
        header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
        self.call("capset", header, bytes(24))

    def show_as(self, command: bytes) -> None:
        """Have process lists say `command`, cut to the room that the present command line takes."""
        start, end = self._command_line
        ctypes.memmove(start, command.ljust(end - start, b"\0"), end - start)

    def close_all_but(self, kept: Iterable[int]) -> None:
        """Close every descriptor above the standard ones that is not to be kept."""
        first = 3
        for descriptor in sorted(kept):
            if descriptor > first:
                self.call("close_range", first, descriptor - 1, 0)
            first = descriptor + 1
        self.call("close_range", first, LAST_DESCRIPTOR, 0)

    def call(self, name: str, *arguments: int | bytes | None) -> int:
        """A system call that libc has no function for; integers are passed as longs."""
        number = self._numbers.get(name)
        if number is None:
            raise OSError(38, name + ": not known on " + platform.machine())
        wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        result: int = self._libc.syscall(ctypes.c_long(number), *wide)
        if result < 0:
            self._check(name, result)
        return result

    def _check(self, call: str, result: int) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, call + ": " + os.strerror(number))


def _command_line() -> tuple[int, int]:
    """The addresses between which this process's command line lies; forked children have it there too."""
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    return int(fields[45]), int(fields[46])
