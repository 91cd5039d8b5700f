"""What copies of a process must not share, and what of it can be renewed in each of them.

A fork shares open files, sockets and memory that is mapped as shared. On Lambda a copy has files of its own,
and connections that are dead.
"""

from __future__ import annotations

import os
import random
import socket
import stat
import sys
import threading
from collections.abc import Collection

SEED_BYTES = 48
FIRST_DESCRIPTOR = 3
INTERNET = (socket.AF_INET, socket.AF_INET6)


class Renewal:
    """Of this process as it is now; `own` are descriptors that others deal with."""

    def __init__(self, own: Collection[int]) -> None:
        # Said now: once this process has ended, the kernel names its files otherwise.
        self._open = {descriptor: _target(descriptor) for descriptor in _descriptors(own)}

    def obstacle(self) -> str:
        """Why copies would not be like this process, or nothing."""
        others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
        if others:
            names = ", ".join(thread.name for thread in others)
            return f"init left threads running, which copies would not have: {names}"
        for descriptor, target in self._open.items():
            if not _is_renewable(descriptor, target):
                return f"init left something open that copies would share: {target}"
        shared = shared_memory()
        return f"init left memory that copies would share: {shared}" if shared else ""

    def renew(self) -> None:
        """In a copy: open files of its own, dead connections, and chance of its own."""
        for descriptor, target in self._open.items():
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                _cut(descriptor)
            else:
                _reopen(descriptor, target)
        random.seed()
        ssl, tempfile = sys.modules.get("ssl"), sys.modules.get("tempfile")
        if ssl is not None:
            ssl.RAND_add(os.urandom(SEED_BYTES), SEED_BYTES)
        if tempfile is not None:
            tempfile.__dict__["_name_sequence"] = None


def _descriptors(own: Collection[int]) -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor < FIRST_DESCRIPTOR or descriptor in own:
            continue
        try:
            os.fstat(descriptor)
        except OSError:
            continue  # the listing's own
        found.append(descriptor)
    return found


def _target(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _is_renewable(descriptor: int, target: str) -> bool:
    status = os.fstat(descriptor)
    if stat.S_ISSOCK(status.st_mode):
        return _family(descriptor) in INTERNET
    if stat.S_ISCHR(status.st_mode):
        return True
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return False
    try:
        named = os.stat(target)
    except OSError:
        return False
    return (named.st_dev, named.st_ino) == (status.st_dev, status.st_ino)


def _family(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as view:
        return view.family


def _cut(descriptor: int) -> None:
    """Whoever reads finds the end of the connection."""
    here, there = socket.socketpair()
    there.close()
    with here:
        os.dup2(here.fileno(), descriptor, inheritable=os.get_inheritable(descriptor))


def _reopen(descriptor: int, target: str) -> None:
    """The file of the same name, at the same place in it, with a position of its own."""
    status = os.fstat(descriptor)
    if stat.S_ISCHR(status.st_mode):
        return
    flags = _flags(descriptor) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
    fresh = os.open(target, flags | os.O_CLOEXEC)
    if stat.S_ISREG(status.st_mode):
        os.lseek(fresh, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(fresh, descriptor, inheritable=os.get_inheritable(descriptor))
    os.close(fresh)


def _flags(descriptor: int) -> int:
    with open(f"/proc/self/fdinfo/{descriptor}") as info:
        for line in info:
            name, _, value = line.partition(":")
            if name == "flags":
                return int(value, 8)
    return os.O_RDONLY


def shared_memory() -> str:
    """What a writable shared mapping shows, if there is one."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if fields[1].startswith("rw") and fields[1].endswith("s"):
                return fields[5].strip() if len(fields) > 5 else "anonymous"
    return ""
