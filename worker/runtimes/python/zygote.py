"""The zygote: a warm interpreter that forks one child for each execution environment.

It obeys its worker over a SOCK_SEQPACKET control socket (JSON messages, descriptors alongside) and dies
with it, taking every environment along. Function code never runs in it. It keeps a few children prepared
(`nursery`), so that an environment that is asked for takes one ready made.

Requests: `start` (identifier, confinement, command, handler, variables, ...; descriptors: output pipe,
then the channel, the Runtime API's line, a generic process's two ends, if any), `furnish` (identifier,
limits, furnishing; descriptors: the Runtime API's line, if any): a generic process gets what is a
function's; `branch` and `import` (descriptor: a control socket): a branch of this zygote (`branch`,
`import_branch`); `kill` (remains).
Events: `ready` or `unavailable`, `started`, `failed`, `furnished` or `unfurnished`, `exited`, `gone`.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
from typing import Any, NoReturn

from ...sandbox.inside.cgroups import CgroupLimits, PartOfCgroups
from ...sandbox.inside.furnish import Furnishing, furnish, furnish_sealed
from ...sandbox.inside.isolation import Isolation
from ...sandbox.inside.kernel import MS_NODEV, MS_NOSUID, MS_RDONLY
from .branch import grow
from .control import drain, ended_children, receive, send, tell_started, wait_for_end
from .function_log import FunctionLog
from .import_branch import prepare_branch, serve_branch
from .living import Live, Living
from .nursery import Nursery
from .stem import Stem
from .sweep import Remains

QUIET_MS = 2
"""Children are prepared when nobody has asked for anything for so long."""


class Zygote:
    """Obeys one worker; `prepared` children are kept once the first environment was asked for."""

    def __init__(self, control: socket.socket, isolation: Isolation, log: FunctionLog, prepared: int) -> None:
        self._control = control
        self._isolation = isolation
        self._log = log
        self._branches: set[int] = set()
        self._import_branches: set[int] = set()
        self._nursery = Nursery(control, isolation, log, prepared)
        self.living = Living(control, isolation, self._other_children)

    @property
    def is_child(self) -> bool:
        """This process has been forked from the zygote since."""
        return self._nursery.is_child

    def serve(self, child_signals: int) -> None:
        """Until the worker is gone."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(child_signals, select.POLLIN)
        while True:
            wanting = self._nursery.wants_more
            events = poller.poll(QUIET_MS if wanting else None)
            for descriptor, _ in events:
                if descriptor == child_signals:
                    drain(child_signals)
                elif not self._obey():
                    return
            self._reap()
            self.living.sweep_condemned()
            if wanting and not events:
                self._nursery.prepare_one()

    def _obey(self) -> bool:
        received = receive(self._control)
        if received is None:
            return False
        request, message, descriptors = received
        if request["request"] == "start":
            self._start(request, message, descriptors)
        elif request["request"] == "branch":
            self._grow_branch(descriptors[0])
        elif request["request"] == "import":
            self._grow_import_branch(request, descriptors[0])
        elif request["request"] == "furnish":
            self._furnish(request, descriptors)
        else:
            self.living.condemn(Remains(**request["remains"]))
        return True

    def _grow_branch(self, control: int) -> None:
        """A branch that cannot be made closes its control socket unheard."""
        try:
            # The child never returns.
            self._branches.add(grow(self._isolation, self._log, control, self._nursery.next_name("b")))
        except OSError as error:
            logging.getLogger(__name__).error("no branch: %s", error)
        os.close(control)

    def _grow_import_branch(self, request: dict[str, Any], control: int) -> None:
        """As `_grow_branch`; the child returns in its own children only."""
        try:
            pid = os.fork()
        except OSError as error:
            logging.getLogger(__name__).error("no branch: %s", error)
        else:
            if pid == 0:
                self._become_import_branch(request, socket.socket(fileno=control))
            self._import_branches.add(pid)
        os.close(control)

    def _become_import_branch(self, request: dict[str, Any], control: socket.socket) -> NoReturn:
        self._nursery.is_child = True
        isolation = prepare_branch(self._isolation, control, request)
        serve_branch(Zygote(control, isolation, self._log, request["prepared"]), control)
        raise AssertionError("a branch returned")

    def end(self) -> None:
        """The worker is gone: leave nothing behind. Branches that are zygotes hear of it themselves."""
        wait_for_end(self._import_branches)
        self.living.kill_all()

    def _start(self, request: dict[str, Any], message: bytes, descriptors: list[int]) -> None:
        try:
            # The child leaves from within this call as well: nothing around it may insist on cleaning up.
            stem = self._nursery.take(may_be_sealed=_is_plain(request))
            self._assign(stem, request, message, descriptors)
        except OSError as error:
            self._tell("failed", request["identifier"], kind="setup", text=str(error))
        else:
            self._note(request, stem)
        for descriptor in descriptors:
            os.close(descriptor)

    def _assign(self, stem: Stem, request: dict[str, Any], message: bytes, descriptors: list[int]) -> None:
        trees: list[int] = []
        try:
            if stem.is_sealed:
                stem.assign(message, descriptors)  # to be read while we furnish it
            trees += self._open_trees(request["confinement"]["trees"])
            self._limit(stem.group, request)
            self._weigh(stem.group, background=request["is_generic"])
            if request["own_loopback"] and self._isolation.loopbacks is not None:
                self._isolation.loopbacks.give(stem.pid, stem.group)
            if stem.is_sealed:
                self._furnish_sealed(stem, request["confinement"], trees)
            else:
                stem.assign(message, [*descriptors, *trees])
        except OSError:
            self._nursery.give_up(stem)
            raise
        finally:
            stem.close()
            for tree in trees:
                os.close(tree)

    def _furnish_sealed(self, stem: Stem, confinement: dict[str, Any], trees: list[int]) -> None:
        targets = [target for _, target in confinement["trees"]]
        furnish_sealed(self._isolation, stem.pid, confinement["storage_mb"], targets, trees)
        stem.let_go()

    def _note(self, request: dict[str, Any], stem: Stem) -> None:
        identifier, confinement = request["identifier"], request["confinement"]
        remains = Remains(identifier, confinement["uid"], stem.pid, request["mark"], confinement["scratch"])
        self.living.add(Live(remains, stem.init_pid, stem.group))
        tell_started(self._control, identifier, stem.group, stem.pid)

    def _open_trees(self, trees: list[tuple[str, str]]) -> list[int]:
        attributes = MS_RDONLY | MS_NOSUID | MS_NODEV
        return [self._isolation.kernel.copy_tree(source, attributes) for source, _ in trees]

    def _limit(self, group: str, request: dict[str, Any]) -> None:
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.limit(group, CgroupLimits(**request["limits"]))

    def _weigh(self, group: str, *, background: bool) -> None:
        if background and self._isolation.cgroups is not None:
            self._isolation.cgroups.weigh(group, background=True)

    def _furnish(self, request: dict[str, Any], descriptors: list[int]) -> None:
        identifier, furnishing = request["identifier"], Furnishing(**request["furnishing"])
        trees: list[int] = []
        try:
            live = self.living.find(identifier)
            if live is None:
                raise OSError(errno.ESRCH, "it has ended")
            trees += self._open_trees(furnishing.trees)
            if self._isolation.cgroups is not None:
                self._isolation.cgroups.limit(live.group, CgroupLimits(**request["limits"]))
                self._isolation.cgroups.weigh(live.group, background=False)
            furnish(self._isolation, live.remains.pid, furnishing, trees, descriptors)
        except OSError as error:
            self._tell("unfurnished", identifier, text=str(error))
        else:
            self._tell("furnished", identifier)
        for descriptor in [*descriptors, *trees]:
            os.close(descriptor)

    def _reap(self) -> None:
        for pid, status in ended_children():
            if not self.living.ended(pid, status):
                self._nursery.ended(pid)
                self._branches.discard(pid)
                if pid in self._import_branches:
                    self._import_branches.discard(pid)
                    self._clear_after(pid)

    def _clear_after(self, branch: int) -> None:
        """What a branch leaves where it did not end by itself."""
        if self._isolation.cgroups is not None:
            PartOfCgroups(self._isolation.cgroups, f"{branch}-").clear()

    def _other_children(self) -> list[int]:
        return [*self._branches, *self._import_branches, *self._nursery.pids]

    def _tell(self, event: str, identifier: str, **members: Any) -> None:
        send(self._control, event, identifier=identifier, **members)


def _is_plain(request: dict[str, Any]) -> bool:
    """All that its process needs to be furnished with are trees and room in /tmp."""
    return not request["is_generic"] and not request["confinement"]["image"]
