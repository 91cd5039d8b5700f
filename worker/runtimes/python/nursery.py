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
from .control import forget_signals, send
from .function_log import FunctionLog
from .stem import Stem, receive_assignment


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

    def take(self) -> Stem:
        """One that waits, or a new one. Raises OSError."""
        self._asked = True
        if not self._stems:
            return self._fork()
        stem = self._stems.pop(0)
        self._background.recall(stem.pid)
        return stem

    def prepare_one(self) -> None:
        """In a moment of quiet."""
        try:
            stem = self._fork(rehearsed=True)
            self._background.send(stem.pid)
            self._stems.append(stem)
        except OSError:
            # The next start says why.
            self._prepared = 0

    def ended(self, pid: int) -> None:
        """A process has ended, which may be one of ours."""
        self._stems = [stem for stem in self._stems if pid not in (stem.pid, stem.init_pid)]

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
        message, descriptors = receive_assignment(line)
        if not message:
            os._exit(0)
        request = json.loads(message)
        identifier = request["identifier"]
        finish(child.run(request, descriptors, self._pid))
        raise AssertionError("finish returned")
