"""The copies of one template: asked for, forked, given to whoever asked, buried."""

from __future__ import annotations

import os
import select
import socket
import struct
from dataclasses import dataclass
from typing import Any, Protocol

from .control import kill, send, tell_started
from .quarters import Quarters
from .template import FORK, HERE

PREPARED = 1
"""Copies that wait for their function's next environment to be wanted."""
CREDENTIALS = struct.Struct("iII")
HELLO_BYTES = 4096


class ForkableTemplate(Protocol):
    """What is known here of the template."""

    line: socket.socket | None
    """None once it has ended."""

    def thaw(self) -> None:
        """Let it run, to be forked."""


@dataclass
class Copy:
    """It gets its `identifier` when somebody asks for it. `pid` is 0 until it is there, and once it ended."""

    line: socket.socket
    init_pid: int
    group: str
    pid: int = 0
    identifier: str = ""


@dataclass
class Asked:
    """A request for a copy, waiting for one."""

    identifier: str
    message: bytes
    descriptors: list[int]

    def close(self) -> None:
        """Nobody needs the descriptors any more."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Copies:
    """State of all copies. Nothing that comes from the template or a copy is trusted."""

    def __init__(
        self, control: socket.socket, quarters: Quarters, template: ForkableTemplate, poller: select.poll
    ) -> None:
        self._control = control
        self._quarters = quarters
        self._template = template
        self._poller = poller
        self._copies: list[Copy] = []
        self._coming: dict[int, Copy] = {}
        self._waiting: list[Copy] = []
        self._asked: list[Asked] = []
        self.was_asked = False
        """Somebody has asked, and the template could be forked."""

    @property
    def are_coming(self) -> bool:
        """The template is being forked."""
        return bool(self._coming)

    @property
    def wants_more(self) -> bool:
        """Fewer wait than should."""
        prepared = len(self._waiting) + len(self._coming)
        return self.was_asked and self._template.line is not None and prepared < PREPARED

    def expects(self, descriptor: int) -> bool:
        """Whether it is the line of a copy that is to arrive."""
        return descriptor in self._coming

    def ask(self, asked: Asked) -> None:
        """Give it a copy that waits; else as soon as one is there."""
        self.was_asked = True
        self._asked.append(asked)
        if self._waiting:
            self._give(self._waiting.pop(0))
        elif len(self._coming) < len(self._asked):
            self.try_to_fork()

    def try_to_fork(self) -> bool:
        """Have the template make another copy. False where it cannot: who has asked is told why."""
        try:
            if self._template.line is None:
                raise OSError("the template has ended")
            self._fork_copy(self._template.line)
        except OSError as error:
            self._refuse(str(error))
            return False
        return True

    def _fork_copy(self, template: socket.socket) -> None:
        group = self._quarters.new_group()
        init_pid = self._quarters.make_shell(group)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.setblocking(False)
        copy = Copy(ours, init_pid, group)
        self._copies.append(copy)
        self._template.thaw()
        namespaces = os.pidfd_open(init_pid)
        try:
            socket.send_fds(template, [FORK], [theirs.fileno(), namespaces])
        except OSError:
            kill(init_pid)
            raise
        finally:
            os.close(namespaces)
            theirs.close()
        self._coming[ours.fileno()] = copy
        self._poller.register(ours, select.POLLIN)

    def arrived(self, descriptor: int) -> None:
        """The copy says that it is there, and the kernel who it is; or it could not be made."""
        copy = self._coming[descriptor]
        self._poller.unregister(copy.line)
        del self._coming[copy.line.fileno()]
        try:
            hello, pid = _hello(copy.line)
            # The first process of the namespace is no copy: its end would not be told as one.
            if hello != HERE or pid in (0, copy.init_pid):
                raise OSError(hello.decode(errors="replace") or "the template did not fork")
            self._quarters.bring(copy.group, pid)
        except OSError as error:
            kill(copy.init_pid)
            self._refuse(str(error))
            return
        copy.pid = pid
        if self._asked:
            self._give(copy)
        else:
            self._waiting.append(copy)

    def _give(self, copy: Copy) -> None:
        """A copy for the request that has waited longest."""
        asked = self._asked.pop(0)
        copy.identifier = asked.identifier
        tell_started(self._control, copy.identifier, copy.group, copy.pid)
        try:
            with copy.line:
                socket.send_fds(copy.line, [asked.message], asked.descriptors)
        except OSError as error:
            self._tell("failed", copy.identifier, kind="setup", text=f"copy: {error}")
        finally:
            asked.close()

    def _refuse(self, reason: str) -> None:
        if self._asked:
            asked = self._asked.pop(0)
            asked.close()
            self._tell("failed", asked.identifier, kind="setup", text=f"copy: {reason}")

    def condemn(self, identifier: str) -> None:
        """Kill one, or forget who waits for one."""
        for copy in self._copies:
            if copy.identifier == identifier:
                self._quarters.freeze(copy.group, frozen=False)
                if copy.pid:
                    kill(copy.pid)
                kill(copy.init_pid)
                return
        for asked in [each for each in self._asked if each.identifier == identifier]:
            self._asked.remove(asked)
            asked.close()
        self._tell("gone", identifier)

    def ended(self, pid: int, code: int) -> None:
        """A process has ended, which may be one of ours."""
        for copy in list(self._copies):
            if pid == copy.pid:
                copy.pid = 0
                if copy.identifier:
                    self._tell("exited", copy.identifier, code=code)
                else:
                    kill(copy.init_pid)
            elif pid == copy.init_pid:
                self._bury(copy)

    def _bury(self, copy: Copy) -> None:
        """Its namespace is empty."""
        self._copies.remove(copy)
        self._waiting = [each for each in self._waiting if each is not copy]
        if self._coming.pop(copy.line.fileno(), None) is not None:
            self._poller.unregister(copy.line)
        copy.line.close()
        self._quarters.remove(copy.group)
        if copy.identifier:
            self._tell("gone", copy.identifier)

    def _tell(self, event: str, identifier: str, **members: Any) -> None:
        send(self._control, event, identifier=identifier, **members)


def _hello(line: socket.socket) -> tuple[bytes, int]:
    """What was said, and the pid, as we see it, of the process that said it. Raises OSError."""
    space = socket.CMSG_SPACE(CREDENTIALS.size)
    text, ancillary, _, _ = line.recvmsg(HELLO_BYTES, space)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid: int = CREDENTIALS.unpack(data[: CREDENTIALS.size])[0]
            return text, pid
    return text, 0
