"""A child that the zygote has forked and that does not know its function yet."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NoReturn

from ...sandbox.inside.isolation import Isolation, fork_into_namespace
from .control import MAX_DESCRIPTORS, MESSAGE_BYTES

DESCRIPTOR = struct.Struct("i")
SEALED, UNSEALED, FURNISHED = b"S", b"U", b"F"

Become = Callable[[socket.socket, str], NoReturn]
"""Called in the child with its line to the zygote and the name of its control group."""


class Stem:
    """The zygote's view of it: `pid`, `init_pid` (0 without a pid namespace), control `group`.

    It ends when its line is closed."""

    def __init__(self, pid: int, init_pid: int, group: str, line: socket.socket) -> None:
        self.pid = pid
        self.init_pid = init_pid
        self.group = group
        self._line = line
        self._news = b""

    @classmethod
    def fork(cls, isolation: Isolation, group: str, become: Become) -> Stem:
        """In a new control group. Raises OSError."""
        if isolation.cgroups is not None:
            isolation.cgroups.create(group)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid, init_pid = fork_into_namespace(isolation)
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            become(theirs, group)
        theirs.close()
        return cls(pid, init_pid, group, ours)

    @property
    def is_prepared(self) -> bool:
        """It has told that it waits."""
        if not self._news:
            try:
                self._news = self._line.recv(1, socket.MSG_DONTWAIT)
            except OSError:
                return False
        return bool(self._news)

    @property
    def is_sealed(self) -> bool:
        """It waits, and must be furnished from outside: it has given up to do that itself."""
        return self._news == SEALED

    def assign(self, message: bytes, descriptors: Sequence[int]) -> None:
        """Tell it what to become. Raises OSError where it is dead."""
        socket.send_fds(self._line, [message], list(descriptors))

    def let_go(self) -> None:
        """It is sealed and has been furnished. Raises OSError where it is dead."""
        self._line.send(FURNISHED)

    def close(self) -> None:
        """There is nothing more to say to it."""
        self._line.close()


def wait_until_furnished(line: socket.socket) -> None:
    """Returns after `let_go`; a child whose zygote gave it up ends here."""
    if not line.recv(1):
        os._exit(0)


def receive_assignment(line: socket.socket) -> tuple[bytes, list[int]]:
    """What `assign` sends; no message once the line is closed. `socket.recv_fds` does the same and makes a
    child copy more memory."""
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * DESCRIPTOR.size)
    message, ancillary, _, _ = line.recvmsg(MESSAGE_BYTES, space)
    descriptors: list[int] = []
    for _, _, data in ancillary:
        descriptors += [number for (number,) in DESCRIPTOR.iter_unpack(data)]
    return message, descriptors
