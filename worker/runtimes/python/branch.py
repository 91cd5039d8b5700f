"""A branch of the zygote: one function's template, and the copies that are forked from it.

It is process 1 of a pid namespace: whatever becomes of the template, which has run the function's code, all
of it dies with the branch. The branch itself never runs function code, and makes for each copy the namespaces
and the control group that the template has no right to make. Copies live on when the template has died.

Requests of its worker: `start` (as the zygote's; becomes the template), `copy` (identifier; descriptors:
output, channel), `kill`. Events: `ready`, `started`, `failed`, `exited`, `gone`.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...sandbox.inside.cgroups import CgroupLimits
from ...sandbox.inside.confine import Confinement
from ...sandbox.inside.isolation import Isolation, fork_branch, of_branch
from ...sandbox.inside.kernel import MS_NODEV, MS_NOSUID, MS_RDONLY, PR_SET_PDEATHSIG
from ...sandbox.inside.shell import make_shell
from .child import Child, finish
from .control import drain, forget_signals, kill, receive, send, tell_started, wake_on_child_exit
from .function_log import FunctionLog
from .template import FORK, HERE

QUIET_MS = 2
PREPARED = 1
"""Copies that wait for their function's next environment to be wanted."""
SKIPPED_PIDS = 6
"""A copy is process 3 of its own namespace. The template must not have that pid: libraries see by their pid
that they have been forked, and then renew what must not be the same in two processes."""
CREDENTIALS = struct.Struct("iII")
HELLO_BYTES = 4096


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


def grow(isolation: Isolation, log: FunctionLog, control: int, name: str) -> int:
    """Fork a branch that serves `control`; its pid. `name` begins its groups' names. Raises OSError."""
    pid = fork_branch(isolation)
    if pid == 0:
        try:
            _serve(isolation, log, socket.socket(fileno=control), name)
        finally:
            os._exit(0)
    return pid


def _serve(isolation: Isolation, log: FunctionLog, control: socket.socket, name: str) -> None:
    isolation.kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    isolation.kernel.close_all_but({control.fileno(), isolation.root_namespace})
    branch = Branch(control, of_branch(isolation), log, name)
    child_signals = wake_on_child_exit()
    for _ in range(SKIPPED_PIDS):
        os.waitpid(os.fork() or os._exit(0), 0)
    send(control, "ready")
    branch.serve(child_signals)
    branch.end()


class Branch:
    """State of a branch. Nothing that comes from the template or a copy is trusted."""

    def __init__(self, control: socket.socket, isolation: Isolation, log: FunctionLog, name: str) -> None:
        self._control = control
        self._isolation = isolation
        self._log = log
        self._name = name
        self._numbers = itertools.count(1)
        self._groups: list[str] = []
        self._template = ("", 0, "")
        """Identifier, pid, group."""
        self._condemned = False
        self._line: socket.socket | None = None
        self._confinement: Confinement | None = None
        self._limits = CgroupLimits(0, 0)
        self._copies: list[Copy] = []
        self._coming: dict[int, Copy] = {}
        self._waiting: list[Copy] = []
        self._asked: list[Asked] = []
        self._was_asked = False
        self._frozen = False
        self._poller = select.poll()

    def serve(self, child_signals: int) -> None:
        """Until the worker lets go."""
        self._poller.register(self._control, select.POLLIN)
        self._poller.register(child_signals, select.POLLIN)
        while True:
            events = self._poller.poll(QUIET_MS if self._wants_more else None)
            for descriptor, _ in events:
                if descriptor == child_signals:
                    drain(child_signals)
                elif descriptor in self._coming:
                    self._arrived(self._coming[descriptor])
                elif descriptor == self._control.fileno() and not self._obey():
                    return
            self._reap()
            if self._wants_more and not events:
                self._was_asked = self._try_to_fork()
            elif not self._coming and self._was_asked and not self._condemned:
                self._freeze_template(frozen=True)

    @property
    def _wants_more(self) -> bool:
        prepared = len(self._waiting) + len(self._coming)
        return self._was_asked and self._line is not None and prepared < PREPARED

    def end(self) -> None:
        """Kill all that lives here, and wait for it."""
        for group in self._groups:
            self._thaw(group)
        try:
            os.kill(-1, signal.SIGKILL)
            while True:
                os.waitpid(-1, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        if self._isolation.cgroups is not None:
            for group in self._groups:
                self._isolation.cgroups.remove(group)

    def _obey(self) -> bool:
        received = receive(self._control)
        if received is None:
            return False
        request, message, descriptors = received
        if request["request"] == "copy":
            self._ask(Asked(request["identifier"], message, descriptors))
            return True
        if request["request"] == "start":
            self._start(request, descriptors)
        else:
            self._condemn(request["identifier"])
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        self._confinement = Confinement(**request["confinement"])
        self._limits = CgroupLimits(**request["limits"])
        try:
            group = self._new_group()
            pid = self._fork_template(request, descriptors, group)
        except OSError as error:
            self._tell("failed", request["identifier"], kind="setup", text=str(error))
            return
        self._template = (request["identifier"], pid, group)
        tell_started(self._control, request["identifier"], group, pid)

    def _fork_template(self, request: dict[str, Any], descriptors: list[int], group: str) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        trees = self._open_trees()
        pid = os.fork()
        if pid == 0:
            self._become_template(request, [*descriptors, *trees], group, theirs)
        theirs.close()
        for tree in trees:
            os.close(tree)
        self._line = ours
        return pid

    def _become_template(
        self, request: dict[str, Any], descriptors: list[int], group: str, line: socket.socket
    ) -> None:
        forget_signals()
        identifier, isolation = request["identifier"], self._isolation
        kept = {self._control.fileno(), line.fileno(), isolation.root_namespace, *descriptors}
        isolation.kernel.close_all_but(kept)

        def report(kind: str, text: str) -> None:
            self._tell("failed", identifier, kind=kind, text=text)

        child = Child(isolation, self._log, report)
        child.prepare(group)
        finish(child.run(request, descriptors, os.getppid(), line))

    def _ask(self, asked: Asked) -> None:
        """Give it a copy that waits; else as soon as one is there."""
        self._was_asked = True
        self._asked.append(asked)
        if self._waiting:
            self._give(self._waiting.pop(0))
        elif len(self._coming) < len(self._asked):
            self._try_to_fork()

    def _try_to_fork(self) -> bool:
        """Have the template make another copy. False where it cannot: whoever asked is told why."""
        try:
            if self._line is None:
                raise OSError("the template has ended")
            self._fork_copy(self._line)
        except OSError as error:
            self._refuse(str(error))
            return False
        return True

    def _fork_copy(self, template: socket.socket) -> None:
        group = self._new_group()
        init_pid = self._make_shell(group)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.setblocking(False)
        copy = Copy(ours, init_pid, group)
        self._copies.append(copy)
        self._freeze_template(frozen=False)
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

    def _arrived(self, copy: Copy) -> None:
        """The copy says that it is there, and the kernel who it is; or it could not be made."""
        self._poller.unregister(copy.line)
        del self._coming[copy.line.fileno()]
        try:
            hello, pid = _hello(copy.line)
            if hello != HERE or pid == 0:
                raise OSError(hello.decode(errors="replace") or "the template did not fork")
            if self._isolation.cgroups is not None:
                self._isolation.cgroups.bring(copy.group, pid)
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

    def _new_group(self) -> str:
        group = f"{self._name}-{next(self._numbers)}"
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.create(group)
            self._isolation.cgroups.limit(group, self._limits)
        self._groups.append(group)
        return group

    def _make_shell(self, group: str) -> int:
        assert self._confinement is not None
        trees = self._open_trees()
        try:
            return make_shell(self._isolation, self._confinement, group, trees)
        finally:
            for tree in trees:
                os.close(tree)

    def _freeze_template(self, *, frozen: bool) -> None:
        """It runs while it is forked only."""
        if frozen != self._frozen and self._isolation.cgroups is not None:
            self._frozen = frozen
            with suppress(OSError):
                self._isolation.cgroups.freeze(self._template[2], frozen=frozen)

    def _open_trees(self) -> list[int]:
        assert self._confinement is not None
        attributes = MS_RDONLY | MS_NOSUID | MS_NODEV
        return [self._isolation.kernel.copy_tree(source, attributes) for source, _ in self._confinement.trees]

    def _condemn(self, identifier: str) -> None:
        if identifier == self._template[0]:
            self._end_template()
            return
        for copy in self._copies:
            if copy.identifier == identifier:
                self._thaw(copy.group)
                if copy.pid:
                    kill(copy.pid)
                kill(copy.init_pid)
                return
        for asked in [each for each in self._asked if each.identifier == identifier]:
            self._asked.remove(asked)
            asked.close()
        self._tell("gone", identifier)

    def _end_template(self) -> None:
        """Its children, if it has any, live until the branch ends."""
        identifier, pid, _ = self._template
        self._condemned = True
        self._freeze_template(frozen=False)
        if pid:
            kill(pid)
        else:
            self._tell("gone", identifier)

    def _thaw(self, group: str) -> None:
        """A frozen process of a version 1 group does not die."""
        if self._isolation.cgroups is not None:
            try:
                self._isolation.cgroups.freeze(group, frozen=False)
            except OSError:
                return

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        if pid == self._template[1]:
            identifier, _, group = self._template
            self._template = (identifier, 0, group)
            self._line = None
            self._tell("exited", identifier, code=code)
            if self._condemned:
                self._tell("gone", identifier)
            return
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
        self._groups.remove(copy.group)
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.remove(copy.group)
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
