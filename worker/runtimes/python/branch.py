"""A branch of the zygote: one function's template, and the copies that are forked from it.

It is process 1 of a pid namespace: whatever becomes of the template, which has run the function's code, all
of it dies with the branch. The branch itself never runs function code, and makes for each copy the namespaces
and the control group that the template has no right to make. Copies live on when the template has died.

Requests of its worker: `start` (as the zygote's; becomes the template), `copy` (identifier; descriptors:
output, channel), `kill`. Events: `ready`, `started`, `failed`, `exited`, `gone`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import Any

from ...sandbox.inside.cgroups import CgroupLimits
from ...sandbox.inside.confine import Confinement
from ...sandbox.inside.isolation import Isolation, fork_branch, of_branch
from ...sandbox.inside.kernel import PR_SET_PDEATHSIG
from .child import Child, finish
from .control import (
    drain,
    ended_children,
    forget_signals,
    kill,
    receive,
    send,
    tell_started,
    wake_on_child_exit,
)
from .copies import Asked, Copies
from .function_log import FunctionLog
from .quarters import Quarters

QUIET_MS = 2
SKIPPED_PIDS = 6
"""A copy is process 3 of its own namespace. The template must not have that pid: libraries see by their pid
that they have been forked, and then renew what must not be the same in two processes."""


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
    isolation.kernel.close_all_but({control.fileno(), *isolation.descriptors})
    branch = Branch(control, of_branch(isolation), log, name)
    child_signals = wake_on_child_exit()
    for _ in range(SKIPPED_PIDS):
        os.waitpid(os.fork() or os._exit(0), 0)
    send(control, "ready")
    branch.serve(child_signals)
    branch.end()


class TemplateProcess:
    """The branch's view of the template: it runs while it is forked only. `pid` is 0 once it has ended."""

    def __init__(
        self, quarters: Quarters, identifier: str, group: str, pid: int, line: socket.socket
    ) -> None:
        self._quarters = quarters
        self.identifier = identifier
        self.group = group
        self.pid = pid
        self.line: socket.socket | None = line
        self.is_condemned = False
        self._frozen = False

    def thaw(self) -> None:
        """Let it go on."""
        if self._frozen:
            self._frozen = False
            self._quarters.freeze(self.group, frozen=False)

    def freeze(self) -> None:
        """With whatever else init has left running; it must be thawed to die."""
        if not self._frozen and not self.is_condemned:
            self._frozen = True
            self._quarters.freeze(self.group, frozen=True)


class Branch:
    """State of a branch."""

    def __init__(self, control: socket.socket, isolation: Isolation, log: FunctionLog, name: str) -> None:
        self._control = control
        self._isolation = isolation
        self._log = log
        self._name = name
        self._quarters: Quarters | None = None
        self._template: TemplateProcess | None = None
        self._copies: Copies | None = None
        self._poller = select.poll()

    def serve(self, child_signals: int) -> None:
        """Until the worker lets go."""
        self._poller.register(self._control, select.POLLIN)
        self._poller.register(child_signals, select.POLLIN)
        while True:
            wanting = self._copies is not None and self._copies.wants_more
            events = self._poller.poll(QUIET_MS if wanting else None)
            for descriptor, _ in events:
                if descriptor == child_signals:
                    drain(child_signals)
                elif self._copies is not None and self._copies.expects(descriptor):
                    self._copies.arrived(descriptor)
                elif descriptor == self._control.fileno() and not self._obey():
                    return
            self._reap()
            self._settle(quiet=not events)

    def _settle(self, *, quiet: bool) -> None:
        """Prepare a copy where one is wanted; else let the template rest."""
        copies, template = self._copies, self._template
        if copies is None or template is None:
            return
        if copies.wants_more:
            if quiet:
                copies.was_asked = copies.try_to_fork()
        elif copies.was_asked and not copies.are_coming:
            template.freeze()

    def end(self) -> None:
        """Kill all that lives here, and wait for it."""
        if self._quarters is not None:
            self._quarters.thaw_all()
        try:
            os.kill(-1, signal.SIGKILL)
            while True:
                os.waitpid(-1, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        if self._quarters is not None:
            self._quarters.remove_all()

    def _obey(self) -> bool:
        received = receive(self._control)
        if received is None:
            return False
        request, message, descriptors = received
        if request["request"] == "copy" and self._copies is not None:
            self._copies.ask(Asked(request["identifier"], message, descriptors))
            return True
        if request["request"] == "start":
            self._start(request, descriptors)
        else:
            self._condemn(request["identifier"])
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        identifier = request["identifier"]
        confinement, limits = Confinement(**request["confinement"]), CgroupLimits(**request["limits"])
        quarters = self._quarters = Quarters(self._isolation, self._name, confinement, limits)
        try:
            group = quarters.new_group()
            pid, line = self._fork_template(quarters, request, descriptors, group)
        except OSError as error:
            self._tell("failed", identifier, kind="setup", text=str(error))
            return
        self._template = TemplateProcess(quarters, identifier, group, pid, line)
        self._copies = Copies(self._control, quarters, self._template, self._poller)
        tell_started(self._control, identifier, group, pid)

    def _fork_template(
        self, quarters: Quarters, request: dict[str, Any], descriptors: list[int], group: str
    ) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        trees = quarters.open_trees()
        pid = os.fork()
        if pid == 0:
            self._become_template(request, [*descriptors, *trees], group, theirs)
        theirs.close()
        for tree in trees:
            os.close(tree)
        return pid, ours

    def _become_template(
        self, request: dict[str, Any], descriptors: list[int], group: str, line: socket.socket
    ) -> None:
        forget_signals()
        identifier, isolation = request["identifier"], self._isolation
        kept = {self._control.fileno(), line.fileno(), *isolation.descriptors, *descriptors}
        isolation.kernel.close_all_but(kept)

        def report(kind: str, text: str) -> None:
            self._tell("failed", identifier, kind=kind, text=text)

        child = Child(isolation, self._log, report)
        child.prepare(group)
        finish(child.run(request, descriptors, os.getppid(), line))

    def _condemn(self, identifier: str) -> None:
        template = self._template
        if template is not None and identifier == template.identifier:
            # Its children, if it has any, live until the branch ends.
            template.thaw()
            template.is_condemned = True
            if template.pid:
                kill(template.pid)
            else:
                self._tell("gone", identifier)
        elif self._copies is not None:
            self._copies.condemn(identifier)
        else:
            self._tell("gone", identifier)

    def _reap(self) -> None:
        for pid, status in ended_children():
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        template = self._template
        if template is not None and pid == template.pid:
            template.pid, template.line = 0, None
            self._tell("exited", template.identifier, code=code)
            if template.is_condemned:
                self._tell("gone", template.identifier)
        elif self._copies is not None:
            self._copies.ended(pid, code)

    def _tell(self, event: str, identifier: str, **members: Any) -> None:
        send(self._control, event, identifier=identifier, **members)
