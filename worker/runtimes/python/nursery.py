"""A zygote's children that do not know their function yet: forked ahead of time, or when one is wanted."""

from __future__ import annotations

import itertools
import json
import os
import socket
from functools import partial
from typing import NoReturn

from ...sandbox.inside.isolation import Isolation
from .background import Background
from .child import Child, finish
from .control import forget_signals, kill, send
from .function_log import FunctionLog
from .stem import SEALED, UNSEALED, Stem, receive_assignment, wait_until_furnished


class Nursery:
    """Keeps `prepared` of them once the first was asked for. `control` is where they say that they failed."""

    def __init__(self, control: socket.socket, isolation: Isolation, log: FunctionLog, prepared: int) -> None:
        self._control = control
        self._isolation = isolation
        self._log = log
        self._prepared = prepared
        self._background = Background(isolation.level)
        self._pid = os.getpid()
        self._numbers = itertools.count(1)
        self._stems: list[Stem] = []
        self._given_up: dict[int, str] = {}
        self._asked = False
        self.is_child = False
        """Pids of other namespaces say nothing: a child's may be the zygote's."""

    @property
    def wants_more(self) -> bool:
        """Fewer wait than should."""
        return self._asked and len(self._stems) < self._prepared

    @property
    def pids(self) -> list[int]:
        """Of those that wait, and of the first processes of their namespaces."""
        return [pid for stem in self._stems for pid in (stem.pid, stem.init_pid)]

    def next_name(self, kind: str = "") -> str:
        """Of a control group; no other has it."""
        return f"{self._pid}-{kind}{next(self._numbers)}"

    def take(self, *, may_be_sealed: bool) -> Stem:
        """One that waits, or a new one, which is not sealed. Raises OSError."""
        self._asked = True
        for stem in self._stems:
            if stem.is_prepared and (may_be_sealed or not stem.is_sealed):
                self._stems.remove(stem)
                self._background.recall(stem.pid)
                return stem
        return self._fork()

    def prepare_one(self) -> None:
        """In a moment of quiet."""
        try:
            stem = self._fork(rehearsed=True)
            self._background.send(stem.pid)
            self._stems.append(stem)
        except OSError:
            # The next start says why.
            self._prepared = 0

    def give_up(self, stem: Stem) -> None:
        """One that was taken and cannot become what it was to be: nothing is left of it once it has ended."""
        last = stem.init_pid or stem.pid
        self._given_up[last] = stem.group
        kill(last)

    def ended(self, pid: int) -> None:
        """A process has ended, which may be one of ours."""
        for stem in [stem for stem in self._stems if pid in (stem.pid, stem.init_pid)]:
            self._stems.remove(stem)
            if pid == (stem.init_pid or stem.pid):
                self._given_up[pid] = stem.group
            else:
                self.give_up(stem)
        group = self._given_up.pop(pid, "")
        if group and self._isolation.cgroups is not None:
            self._isolation.cgroups.remove(group)

    def _fork(self, *, rehearsed: bool = False) -> Stem:
        return Stem.fork(self._isolation, self.next_name(), partial(self._become, rehearsed=rehearsed))

    def _become(self, line: socket.socket, group: str, *, rehearsed: bool) -> NoReturn:
        self.is_child = True
        forget_signals()
        isolation = self._isolation
        kept = [self._control.fileno(), line.fileno(), *isolation.descriptors]
        isolation.kernel.close_all_but(kept)
        identifier = ""

        def report(kind: str, text: str) -> None:
            send(self._control, "failed", identifier=identifier, kind=kind, text=text)

        child = Child(isolation, self._log, report)
        if rehearsed:
            child.rehearse()
        child.prepare(group)
        if rehearsed:
            line.send(SEALED if child.seal() else UNSEALED)
        message, descriptors = receive_assignment(line)
        if not message:
            os._exit(0)
        request = json.loads(message.decode())
        identifier = request["identifier"]
        furnished = partial(wait_until_furnished, line)
        finish(child.run(request, descriptors, self._pid, furnished=furnished))
        raise AssertionError("finish returned")
