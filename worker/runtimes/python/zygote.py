"""The zygote: a warm interpreter that forks one child for each execution environment.

It obeys its worker over a SOCK_SEQPACKET control socket (JSON messages, descriptors alongside) and dies
with it, taking every environment along. Function code never runs in it. It keeps a few children prepared
(`stem`), so that an environment that is asked for takes one ready made.

Requests: `start` (identifier, confinement, command, handler, variables, ...; descriptors: output pipe,
then the channel, the Runtime API's line, a generic process's two ends, if any), `furnish` (identifier,
limits, furnishing; descriptors: the Runtime API's line, if any): a generic process gets what is a
function's; `kill` (remains).
Events: `ready` or `unavailable`, `started`, `failed`, `furnished` or `unfurnished`, `exited`, `gone`.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from ...sandbox.inside.cgroups import CgroupLimits
from ...sandbox.inside.furnish import Furnishing, furnish
from ...sandbox.inside.isolation import Isolation, set_up
from ...sandbox.inside.kernel import MS_NODEV, MS_NOSUID, MS_RDONLY, PR_SET_CHILD_SUBREAPER, Kernel
from ...sandbox.inside.probe import can_confine
from ...sandbox.inside.trial import try_out
from .background import Background
from .branch import grow
from .child import Child, finish
from .control import (
    MESSAGE_BYTES,
    drain,
    ended_children,
    forget_signals,
    kill,
    receive,
    send,
    tell_started,
    wake_on_child_exit,
)
from .function_log import FunctionLog
from .packages import import_packages
from .rehearsal import warm_up
from .stem import Stem, receive_assignment
from .sweep import Remains, sweep, uids_in_use

LAST_SWEEPS = 5
"""A sweep fails when a function kills the sweeper, or when something does not die in time."""

QUIET_MS = 2
"""Children are prepared when nobody has asked for anything for so long."""


@dataclass
class Live:
    """An environment: what is left of it when it ends, and what it became from. `init_pid` is 0 once its pid
    namespace is empty, or without one."""

    remains: Remains
    init_pid: int
    group: str
    condemned: bool = False


class Zygote:
    """State of the zygote: what lives, what is being swept. `prepared` children are kept once the first
    environment was asked for."""

    def __init__(self, control: socket.socket, isolation: Isolation, log: FunctionLog, prepared: int) -> None:
        self._control = control
        self._isolation = isolation
        self._log = log
        self._prepared = prepared
        self._background = Background(isolation.level)
        self.pid = os.getpid()
        self._numbers = itertools.count(1)
        self._stems: list[Stem] = []
        self._branches: set[int] = set()
        self._live: dict[str, Live] = {}
        self._by_pid: dict[int, str] = {}
        self._by_init: dict[int, Live] = {}
        self._groups: dict[str, str] = {}
        self._condemned: list[Remains] = []
        self._sweeping: tuple[int, list[Remains]] = (0, [])
        self._asked = False
        self.is_child = False
        """Pids of other namespaces say nothing: a child's may be the zygote's."""

    def serve(self, child_signals: int) -> None:
        """Until the worker is gone."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(child_signals, select.POLLIN)
        while True:
            wanting = self._asked and len(self._stems) < self._prepared
            events = poller.poll(QUIET_MS if wanting else None)
            for descriptor, _ in events:
                if descriptor == child_signals:
                    drain(child_signals)
                elif not self._obey():
                    return
            self._reap()
            self._sweep_condemned()
            if wanting and not events:
                self._prepare_one()

    def _obey(self) -> bool:
        received = receive(self._control)
        if received is None:
            return False
        request, message, descriptors = received
        if request["request"] == "start":
            self._start(request, message, descriptors)
        elif request["request"] == "branch":
            self._grow_branch(descriptors[0])
        elif request["request"] == "furnish":
            self._furnish(request, descriptors)
        else:
            self._condemn(Remains(**request["remains"]))
        return True

    def _grow_branch(self, control: int) -> None:
        """A branch that cannot be made closes its control socket unheard."""
        name = f"{self.pid}-b{next(self._numbers)}"
        try:
            # The child never returns.
            self._branches.add(grow(self._isolation, self._log, control, name))
        except OSError as error:
            logging.getLogger(__name__).error("no branch: %s", error)
        os.close(control)

    def _prepare_one(self) -> None:
        try:
            stem = self._fork_stem(rehearsed=True)
            self._background.send(stem.pid)
            self._stems.append(stem)
        except OSError:
            # The next start says why.
            self._prepared = 0

    def _start(self, request: dict[str, Any], message: bytes, descriptors: list[int]) -> None:
        self._asked = True
        try:
            # The child leaves from within this call as well: nothing around it may insist on cleaning up.
            stem = self._take_stem()
            self._assign(stem, request, message, descriptors)
        except OSError as error:
            self._tell("failed", request["identifier"], kind="setup", text=str(error))
        else:
            self._note(request, stem)
        for descriptor in descriptors:
            os.close(descriptor)

    def _take_stem(self) -> Stem:
        if not self._stems:
            return self._fork_stem()
        stem = self._stems.pop(0)
        self._background.recall(stem.pid)
        return stem

    def _assign(self, stem: Stem, request: dict[str, Any], message: bytes, descriptors: list[int]) -> None:
        trees: list[int] = []
        try:
            trees += self._open_trees(request["confinement"]["trees"])
            self._limit(stem.group, request)
            self._weigh(stem.group, background=request["is_generic"])
            if request["own_loopback"] and self._isolation.loopbacks is not None:
                self._isolation.loopbacks.give(stem.pid, stem.group)
            stem.assign(message, [*descriptors, *trees])
        except OSError:
            kill(stem.init_pid or stem.pid)
            raise
        finally:
            for tree in trees:
                os.close(tree)

    def _note(self, request: dict[str, Any], stem: Stem) -> None:
        identifier, confinement = request["identifier"], request["confinement"]
        remains = Remains(identifier, confinement["uid"], stem.pid, request["mark"], confinement["scratch"])
        live = Live(remains, stem.init_pid, stem.group)
        self._live[identifier] = live
        self._groups[identifier] = stem.group
        self._by_pid[stem.pid] = identifier
        if stem.init_pid:
            self._by_init[stem.init_pid] = live
        tell_started(self._control, identifier, stem.group, stem.pid)

    def _fork_stem(self, *, rehearsed: bool = False) -> Stem:
        become = partial(self._become_stem, rehearsed=rehearsed)
        return Stem.fork(self._isolation, next(self._numbers), become)

    def _become_stem(self, line: socket.socket, group: str, *, rehearsed: bool) -> NoReturn:
        self.is_child = True
        forget_signals()
        isolation = self._isolation
        kept = {self._control.fileno(), line.fileno(), isolation.root_namespace} - {-1}
        isolation.kernel.close_all_but(kept)
        identifier = ""

        def report(kind: str, text: str) -> None:
            self._tell("failed", identifier, kind=kind, text=text)

        child = Child(isolation, self._log, report)
        if rehearsed:
            child.rehearse()
        child.prepare(group)
        message, descriptors = receive_assignment(line)
        if not message:
            os._exit(0)
        request = json.loads(message)
        identifier = request["identifier"]
        finish(child.run(request, descriptors, self.pid))
        raise AssertionError("finish returned")

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
            live = self._live.get(identifier)
            if live is None or live.remains.pid not in self._by_pid:
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

    def _condemn(self, described: Remains) -> None:
        """Kill an environment; the worker describes it, for it may be one of a zygote that has died."""
        live = self._live.pop(described.identifier, None)
        if live is None:
            self._condemned.append(described)
            return
        self._thaw(live.group)
        if live.remains.pid in self._by_pid:
            kill(live.remains.pid)
        if not self._isolation.init:
            self._condemned.append(live.remains)
        elif live.init_pid:
            live.condemned = True
            kill(live.init_pid)
        else:
            self._buried(live.remains.identifier)

    def _thaw(self, group: str) -> None:
        """A frozen process of a version 1 group does not die."""
        if self._isolation.cgroups is not None:
            try:
                self._isolation.cgroups.freeze(group, frozen=False)
            except OSError:
                return

    def _reap(self) -> None:
        for pid, status in ended_children():
            if pid == self._sweeping[0]:
                self._swept(status)
            elif pid in self._by_pid:
                code = os.waitstatus_to_exitcode(status)
                self._tell("exited", self._by_pid.pop(pid), code=code)
            elif pid in self._by_init:
                self._emptied(self._by_init.pop(pid))
            elif pid in self._branches:
                self._branches.discard(pid)
            else:
                self._stems = [stem for stem in self._stems if pid not in (stem.pid, stem.init_pid)]

    def _emptied(self, live: Live) -> None:
        live.init_pid = 0
        if live.condemned:
            self._buried(live.remains.identifier)

    def _buried(self, identifier: str) -> None:
        group = self._groups.pop(identifier, "")
        if group and self._isolation.cgroups is not None:
            self._isolation.cgroups.remove(group)
        self._tell("gone", identifier)

    def _sweep_condemned(self) -> None:
        if self._sweeping[0] or not self._condemned:
            return
        batch, self._condemned = self._condemned, []
        try:
            pid = os.fork()
        except OSError:
            self._condemned = batch
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            return
        if pid == 0:
            self._sweep_and_exit(batch)
        self._sweeping = (pid, batch)

    def _swept(self, status: int) -> None:
        batch = self._sweeping[1]
        self._sweeping = (0, [])
        if status != 0:
            self._condemned += batch
            return
        for remains in batch:
            self._buried(remains.identifier)

    def _tell(self, event: str, identifier: str, **members: Any) -> None:
        send(self._control, event, identifier=identifier, **members)

    def kill_all(self) -> None:
        """The worker is gone: leave nothing behind."""
        for live in self._live.values():
            self._thaw(live.group)
        everybody = [*self._by_pid, *self._by_init, *self._branches]
        for stem in self._stems:
            everybody += [stem.pid, stem.init_pid]
        for pid in everybody:
            if pid:
                kill(pid)
        swept = [] if self._isolation.init else [live.remains for live in self._live.values()]
        everything = [*swept, *self._condemned, *self._sweeping[1]]
        for _ in range(LAST_SWEEPS):
            if not everything or self._sweep_and_wait(everything):
                break
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.thaw_all()
            self._wait_for(everybody)
            self._isolation.cgroups.remove_all()

    def _wait_for(self, pids: list[int]) -> None:
        for pid in pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue

    def _sweep_and_wait(self, batch: list[Remains]) -> bool:
        pid = os.fork()
        if pid == 0:
            self._sweep_and_exit(batch)
        return os.waitpid(pid, 0)[1] == 0

    def _sweep_and_exit(self, batch: list[Remains]) -> None:
        status = 1
        stems = {pid for stem in self._stems for pid in (stem.pid, stem.init_pid)}
        try:
            status = sweep(batch, self.pid, {*self._by_pid, *self._by_init, *stems})
        finally:
            os._exit(status)

    def clear_uids(self, first: int, count: int) -> None:
        """What an earlier worker's crash left behind under our uids must not meet new functions."""
        left = [Remains("", uid, 0, "", "") for uid in uids_in_use(first, count)]
        if left:
            self._sweep_and_wait(left)


def main(control_descriptor: int) -> None:
    """Run a zygote; the first message is its configuration: descriptors (all that the worker passed on),
    first_uid, uid_count (0: no uids of their own), scratch (directory of all scratch directories), level,
    group (name of the worker's control group), own_network, shared (directories that functions see),
    prepared (children to keep ready), packages (to import from `library`)."""
    control = socket.socket(fileno=control_descriptor)
    configuration = json.loads(control.recv(MESSAGE_BYTES))
    for descriptor in configuration["descriptors"]:
        os.set_inheritable(descriptor, False)
    kernel = Kernel()
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first, count = configuration["first_uid"], configuration["uid_count"]
    try:
        isolation = set_up(kernel, configuration)
        abilities = _abilities(isolation, first if count else 0)
        try_out(isolation, first if abilities["own_uid"] else 0, configuration["scratch"])
    except OSError as error:
        send(control, "unavailable", text=str(error))
        os._exit(1)
    log = FunctionLog()
    logging.getLogger().addHandler(log)
    packages, package_problems = import_packages(
        isolation, configuration["library"], configuration["packages"]
    )
    warm_up(log)
    zygote = Zygote(control, isolation, log, configuration["prepared"])
    if count:
        zygote.clear_uids(first, count)
    child_signals = wake_on_child_exit()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {"packages": packages, "package_problems": package_problems}
    send(control, "ready", version=version, **abilities, **found)
    try:
        zygote.serve(child_signals)
        zygote.kill_all()
        _remove_if_empty(configuration["scratch"])
    finally:
        if not zygote.is_child:
            os._exit(0)


def _abilities(isolation: Isolation, uid: int) -> dict[str, Any]:
    if isolation.own_root:
        found = {"own_uid": bool(uid), "private_mounts": False}
    else:
        found = can_confine(isolation.kernel, uid)
    groups = isolation.cgroups.directories if isolation.cgroups else None
    return {
        **found,
        "own_root": isolation.own_root,
        "own_loopback": isolation.filtered or isolation.loopbacks is not None,
        "groups": groups,
        "weaknesses": list(isolation.weaknesses),
    }


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        # The worker's other zygote still has something there, or the worker was faster.
        return
