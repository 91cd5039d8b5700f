"""The environments that live in a zygote, and how each of them ends.

With a pid namespace the kernel ends everything in it; without one a helper process sweeps up what is left.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ...sandbox.inside.isolation import Isolation
from .control import kill, send
from .sweep import Remains, sweep, uids_in_use

LAST_SWEEPS = 5
"""A sweep fails when a function kills the sweeper, or when something does not die in time."""

SWEEP_AGAIN_SECONDS = 0.05
"""When there was no process to be had for it."""


@dataclass
class Live:
    """An environment: what is left of it when it ends, and what it became from. `init_pid` is 0 once its pid
    namespace is empty, or without one."""

    remains: Remains
    init_pid: int
    group: str
    condemned: bool = False


class Living:
    """State of the environments of one zygote. Tells the worker `exited` and `gone`.

    `bystanders`: pids of the zygote's other children, which no sweep may take for an environment's."""

    def __init__(
        self, control: socket.socket, isolation: Isolation, bystanders: Callable[[], Collection[int]]
    ) -> None:
        self._control = control
        self._isolation = isolation
        self._bystanders = bystanders
        self._pid = os.getpid()
        self._live: dict[str, Live] = {}
        self._by_pid: dict[int, str] = {}
        self._by_init: dict[int, Live] = {}
        self._groups: dict[str, str] = {}
        self._condemned: list[Remains] = []
        self._sweeping: tuple[int, list[Remains]] = (0, [])

    def add(self, live: Live) -> None:
        """It has been told what to become."""
        identifier, pid = live.remains.identifier, live.remains.pid
        self._live[identifier] = live
        self._groups[identifier] = live.group
        self._by_pid[pid] = identifier
        if live.init_pid:
            self._by_init[live.init_pid] = live

    def find(self, identifier: str) -> Live | None:
        """Its main process runs; else None."""
        live = self._live.get(identifier)
        return live if live is not None and live.remains.pid in self._by_pid else None

    def condemn(self, described: Remains) -> None:
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

    def ended(self, pid: int, status: int) -> bool:
        """A child of the zygote has ended; False where it is none of an environment's."""
        if pid == self._sweeping[0]:
            self._swept(status)
        elif pid in self._by_pid:
            code = os.waitstatus_to_exitcode(status)
            self._tell("exited", self._by_pid.pop(pid), code=code)
        elif pid in self._by_init:
            self._emptied(self._by_init.pop(pid))
        else:
            return False
        return True

    def sweep_condemned(self) -> None:
        """Send out a sweeper where there is work for one and none is out."""
        if self._sweeping[0] or not self._condemned:
            return
        batch, self._condemned = self._condemned, []
        try:
            pid = os.fork()
        except OSError:
            self._condemned = batch
            signal.setitimer(signal.ITIMER_REAL, SWEEP_AGAIN_SECONDS)
            return
        if pid == 0:
            self._sweep_and_exit(batch)
        self._sweeping = (pid, batch)

    def kill_all(self) -> None:
        """Leave nothing behind: no process of the bystanders', no control group."""
        for live in self._live.values():
            self._thaw(live.group)
        everybody = [pid for pid in (*self._by_pid, *self._by_init, *self._bystanders()) if pid]
        for pid in everybody:
            kill(pid)
        swept = [] if self._isolation.init else [live.remains for live in self._live.values()]
        everything = [*swept, *self._condemned, *self._sweeping[1]]
        for _ in range(LAST_SWEEPS):
            if not everything or self._sweep_and_wait(everything):
                break
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.thaw_all()
            _wait_for(everybody)
            self._isolation.cgroups.remove_all()

    def clear_uids(self, first: int, count: int) -> None:
        """What an earlier worker's crash left behind under our uids must not meet new functions."""
        left = [Remains("", uid, 0, "", "") for uid in uids_in_use(first, count)]
        if left:
            self._sweep_and_wait(left)

    def _thaw(self, group: str) -> None:
        """A frozen process of a version 1 group does not die."""
        if self._isolation.cgroups is not None:
            try:
                self._isolation.cgroups.freeze(group, frozen=False)
            except OSError:
                return

    def _emptied(self, live: Live) -> None:
        live.init_pid = 0
        if live.condemned:
            self._buried(live.remains.identifier)

    def _buried(self, identifier: str) -> None:
        group = self._groups.pop(identifier, "")
        if group and self._isolation.cgroups is not None:
            self._isolation.cgroups.remove(group)
        self._tell("gone", identifier)

    def _swept(self, status: int) -> None:
        batch = self._sweeping[1]
        self._sweeping = (0, [])
        if status != 0:
            self._condemned += batch
            return
        for remains in batch:
            self._buried(remains.identifier)

    def _sweep_and_wait(self, batch: list[Remains]) -> bool:
        pid = os.fork()
        if pid == 0:
            self._sweep_and_exit(batch)
        return os.waitpid(pid, 0)[1] == 0

    def _sweep_and_exit(self, batch: list[Remains]) -> None:
        status = 1
        try:
            status = sweep(batch, self._pid, {*self._by_pid, *self._by_init, *self._bystanders()})
        finally:
            os._exit(status)

    def _tell(self, event: str, identifier: str, **members: Any) -> None:
        send(self._control, event, identifier=identifier, **members)


def _wait_for(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            continue
