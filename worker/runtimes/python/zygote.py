"""The zygote: a warm interpreter that forks one child for each execution environment.

It obeys its worker over a SOCK_SEQPACKET control socket (JSON messages, descriptors alongside) and dies
with it, taking every environment along. Function code never runs in it.

Requests: `start` (identifier, confinement, command, handler, variables, ...; descriptors: output pipe,
then the channel if any), `kill` (remains). Events: `ready`, `started`, `failed`, `exited`, `gone`.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
from typing import Any

from .child import Child, finish
from .function_log import FunctionLog
from .kernel import PR_SET_CHILD_SUBREAPER, Kernel
from .preload import preload
from .probe import can_confine
from .sweep import Remains, sweep, uids_in_use

MESSAGE_BYTES = 262_144
MAX_DESCRIPTORS = 4
LAST_SWEEPS = 5
"""A sweep fails when a function kills the sweeper, or when something does not die in time."""


class Zygote:
    """State of the zygote: what lives, what is being swept."""

    def __init__(self, control: socket.socket, kernel: Kernel, log: FunctionLog) -> None:
        self._control = control
        self._kernel = kernel
        self._log = log
        self.pid = os.getpid()
        self._live: dict[str, Remains] = {}
        self._by_pid: dict[int, str] = {}
        self._condemned: list[Remains] = []
        self._sweeping: tuple[int, list[Remains]] = (0, [])

    def serve(self, child_signals: int) -> None:
        """Until the worker is gone."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(child_signals, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == child_signals:
                    _drain(child_signals)
                elif not self._obey():
                    return
            self._reap()
            self._sweep_condemned()

    def _obey(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, MAX_DESCRIPTORS)
        except ConnectionError:
            return False
        if not message:
            return False
        request = json.loads(message)
        if request["request"] == "start":
            self._start(request, descriptors)
        else:
            self._condemn(Remains(**request["remains"]))
        return True

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        identifier = request["identifier"]
        try:
            pid = os.fork()
        except OSError as error:
            self._tell("failed", identifier, kind="setup", text=f"fork: {error}")
            return
        if pid == 0:
            self._become_child(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        confinement = request["confinement"]
        self._live[identifier] = Remains(
            identifier, confinement["uid"], pid, request["mark"], confinement["scratch"]
        )
        self._by_pid[pid] = identifier
        self._tell("started", identifier, pid=pid)

    def _become_child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def report(kind: str, text: str) -> None:
            self._tell("failed", request["identifier"], kind=kind, text=text)

        finish(Child(self._kernel, self._log, report).run(request, descriptors, self.pid))

    def _condemn(self, described: Remains) -> None:
        """Kill an environment; the worker describes it, for it may be one of a zygote that has died."""
        remains = self._live.pop(described.identifier, None)
        if remains is not None and remains.pid in self._by_pid:
            _kill(remains.pid)
        self._condemned.append(remains or described)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._sweeping[0]:
                self._swept(status)
            elif pid in self._by_pid:
                code = os.waitstatus_to_exitcode(status)
                self._tell("exited", self._by_pid.pop(pid), code=code)

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
            self._tell("gone", remains.identifier)

    def _tell(self, event: str, identifier: str, **members: Any) -> None:
        send(self._control, event, identifier=identifier, **members)

    def kill_all(self) -> None:
        """The worker is gone: leave nothing behind."""
        for remains in self._live.values():
            if remains.pid in self._by_pid:
                _kill(remains.pid)
        everything = [*self._live.values(), *self._condemned, *self._sweeping[1]]
        for _ in range(LAST_SWEEPS):
            if not everything or self._sweep_and_wait(everything):
                return

    def _sweep_and_wait(self, batch: list[Remains]) -> bool:
        pid = os.fork()
        if pid == 0:
            self._sweep_and_exit(batch)
        return os.waitpid(pid, 0)[1] == 0

    def _sweep_and_exit(self, batch: list[Remains]) -> None:
        status = 1
        try:
            status = sweep(batch, self.pid, set(self._by_pid))
        finally:
            os._exit(status)

    def clear_uids(self, first: int, count: int) -> None:
        """What an earlier worker's crash left behind under our uids must not meet new functions."""
        left = [Remains("", uid, 0, "", "") for uid in uids_in_use(first, count)]
        if left:
            self._sweep_and_wait(left)


def send(control: socket.socket, event: str, **members: Any) -> None:
    """One event to the worker; a worker that is gone is noticed when reading."""
    try:
        control.send(json.dumps({"event": event, **members}).encode())
    except ConnectionError:
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


def _drain(descriptor: int) -> None:
    try:
        os.read(descriptor, 4096)
    except BlockingIOError:
        return


def _wake_on_child_exit() -> int:
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, lambda *_: None)
    return readable


def main(configuration_text: str) -> None:
    """Run a zygote; `configuration_text` is JSON: control (a descriptor), descriptors (all
    that the worker passed on), first_uid, uid_count (0: no uids of their own),
    scratch (directory of all scratch directories)."""
    configuration = json.loads(configuration_text)
    control = socket.socket(fileno=configuration["control"])
    for descriptor in configuration["descriptors"]:
        os.set_inheritable(descriptor, False)
    kernel = Kernel()
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first, count = configuration["first_uid"], configuration["uid_count"]
    abilities = can_confine(kernel, first if count else 0)
    log = FunctionLog()
    logging.getLogger().addHandler(log)
    preload()
    gc.collect()
    gc.disable()
    gc.freeze()
    zygote = Zygote(control, kernel, log)
    if count:
        zygote.clear_uids(first, count)
    child_signals = _wake_on_child_exit()
    send(control, "ready", version=f"{sys.version_info.major}.{sys.version_info.minor}", **abilities)
    try:
        zygote.serve(child_signals)
        zygote.kill_all()
        _remove_if_empty(configuration["scratch"])
    finally:
        if os.getpid() == zygote.pid:
            os._exit(0)


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        # The worker's other zygote still has something there, or the worker was faster.
        return
