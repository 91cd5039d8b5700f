"""A function that was initialised once, waiting to be forked: what happens in its process, and in its copies.

It has no rights: what a copy needs is made by others (`branch`), who send it here.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import stat
from typing import Any

from ...sandbox.inside.confine import restrict_copy
from ...sandbox.inside.isolation import Isolation
from ...sandbox.inside.root import SCRATCH
from ...sandbox.inside.shell import enter_shell
from . import snap_start
from .control import MAX_DESCRIPTORS, MESSAGE_BYTES
from .faults import Fault
from .function_loop import FunctionLoop
from .handler import load_handler
from .renewal import Renewal

LINE_DESCRIPTOR = 4
CHANNEL_DESCRIPTOR = 3
NOT_COPYABLE = "SnapStart.NotCopyable"
"""Error type of a template that says why copies of it would not be like itself."""
FORK = b"fork"
HERE = b"here"


class Template:
    """Runs the function's init, then forks a copy for each message on its line."""

    def __init__(self, isolation: Isolation, loop: FunctionLoop, task_root: str) -> None:
        self._isolation = isolation
        self._loop = loop
        self._task_root = task_root
        self._line = socket.socket(fileno=LINE_DESCRIPTOR)

    def run(self, handler_name: str) -> int:
        """The exit status: of the template when its line is closed, and in each copy of that copy."""
        try:
            handler = load_handler(handler_name)
            snap_start.before_snapshot()
            renewal = Renewal({CHANNEL_DESCRIPTOR, LINE_DESCRIPTOR})
            obstacle = renewal.obstacle()
            if obstacle:
                raise Fault(NOT_COPYABLE, obstacle)
        except Exception as error:
            return self._loop.give_up(error)
        gc.collect()
        gc.freeze()
        self._loop.ready()
        if not self._become_copy():
            return 0
        try:
            renewal.renew()
            snap_start.after_restore()
        except Exception as error:
            return self._loop.give_up(error)
        self._loop.ready()
        return self._loop.serve(handler)

    def _become_copy(self) -> bool:
        """Returns in each copy, as soon as it is wanted; False in the template, at its end."""
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._line, MESSAGE_BYTES, MAX_DESCRIPTORS)
            except ConnectionError:
                return False
            if not message:
                return False
            child = os.fork()
            if child == 0:
                self._line.close()
                self._enter(*descriptors)
                return True
            for descriptor in descriptors:
                os.close(descriptor)
            os.waitpid(child, 0)

    def _enter(self, line_descriptor: int, namespaces: int) -> None:
        line = socket.socket(fileno=line_descriptor)
        scratch = os.open(SCRATCH, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            enter_shell(self._isolation, namespaces)
            os.close(namespaces)
            if os.fork():
                os._exit(0)  # only a child is in the new pid namespace
            os.chdir(self._task_root)
        except OSError as error:
            line.send(str(error).encode())
            os._exit(1)
        with line:
            line.send(HERE)
            message, descriptors, _, _ = socket.recv_fds(line, MESSAGE_BYTES, MAX_DESCRIPTORS)
        if not message:
            os._exit(0)
        # From here on what it takes counts as the copy's.
        _take(json.loads(message), *descriptors)
        _bring_along(scratch)
        os.close(scratch)
        restrict_copy(self._isolation)


def _take(request: dict[str, Any], output: int, channel: int) -> None:
    os.environ["AWS_LAMBDA_RUNTIME_API"] = request["runtime_api"]
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(channel, CHANNEL_DESCRIPTOR, inheritable=False)
    os.close(output)
    os.close(channel)


def _bring_along(scratch: int) -> None:
    """What init left in /tmp, behind a descriptor of that directory: files, directories and links."""
    place = f"/proc/self/fd/{scratch}"
    for name in sorted(set(os.listdir(place)) - _special(place, os.listdir(place))):
        source, target = f"{place}/{name}", f"{SCRATCH}/{name}"
        if os.path.isdir(source) and not os.path.islink(source):
            shutil.copytree(source, target, symlinks=True, ignore=_special)
        else:
            shutil.copy2(source, target, follow_symlinks=False)


def _special(directory: str, names: list[str]) -> set[str]:
    """Pipes and sockets: who served them is not here."""
    kinds = {name: os.lstat(f"{directory}/{name}").st_mode for name in names}
    return {name for name, mode in kinds.items() if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)}
