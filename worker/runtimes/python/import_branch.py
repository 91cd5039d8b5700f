"""A branch of the zygote that has imported modules of the runtime, and is a zygote itself.

It shares its memory with the zygote it came from, and dies with it. Its worker names modules that were tried
before (`import_trial`), in a process that could do no harm; here they are imported with all rights.

Request to the zygote: `import` (modules, in their order; variables: what they may read; library: where the
runtime's packages are, mounted from `library_source` where that is not empty; prepared: children to keep
ready; seconds: it ends where importing takes longer); descriptor: the branch's control socket. Answer, on
that: `ready` (kilobytes) or `unavailable`; from then on it obeys as every zygote does.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from ...sandbox.inside.bare_fork import fitting_fork, noted_hooks
from ...sandbox.inside.cgroups import PartOfCgroups
from ...sandbox.inside.isolation import Isolation
from ...sandbox.inside.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, Kernel
from .background import Background
from .control import send, wake_on_child_exit
from .gaps import fill_gaps
from .import_marks import changes, marks_of_process
from .memory import private_kilobytes


class BranchZygote(Protocol):
    """What of a zygote is needed here."""

    @property
    def is_child(self) -> bool: ...

    def serve(self, child_signals: int) -> None: ...

    def end(self) -> None: ...


class Unfaithful(Exception):
    """Forks of this process would not be like processes that had imported the same."""


def prepare_branch(isolation: Isolation, control: socket.socket, request: dict[str, Any]) -> Isolation:
    """In a fork of the zygote: import what is asked for; the branch's own means. Exits where it cannot."""
    isolation.kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    isolation.kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.set_wakeup_fd(-1)
    isolation.kernel.close_all_but({control.fileno(), *isolation.own_descriptors})
    try:
        with _at_most(request["seconds"]), _in_background(isolation.level), noted_hooks() as hooked:
            _import(isolation.kernel, request)
    except (OSError, Unfaithful) as error:
        send(control, "unavailable", text=str(error))
        os._exit(1)
    fork = isolation.fork if isolation.fork is os.fork else fitting_fork(hooked)
    groups = isolation.cgroups
    own = None if groups is None else PartOfCgroups(groups, f"{os.getpid()}-")
    return replace(isolation, fork=fork, cgroups=own)


def serve_branch(zygote: BranchZygote, control: socket.socket) -> None:
    """Until the worker lets go; returns in children only."""
    try:
        child_signals = wake_on_child_exit()
        send(control, "ready", kilobytes=private_kilobytes())
        zygote.serve(child_signals)
        zygote.end()
    finally:
        if not zygote.is_child:
            os._exit(0)


def _import(kernel: Kernel, request: dict[str, Any]) -> None:
    library = request["library"]
    if request["library_source"]:
        os.makedirs(library, mode=0o755, exist_ok=True)
        kernel.unshare_mounts()
        kernel.bind(request["library_source"], library, read_only=True)
    os.environ.clear()
    os.environ.update(request["variables"])
    before = marks_of_process()
    if library:
        sys.path.append(library)
    for name in request["modules"]:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise Unfaithful(f"{name}: {type(error).__name__}: {error}") from error
    if library:
        sys.path.remove(library)
    left = changes(before, marks_of_process())
    if left:
        raise Unfaithful("importing changes " + ", ".join(left))
    gc.collect()
    fill_gaps()
    gc.freeze()


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """The kernel ends this process where the block takes longer: who hangs up waits for its end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def _in_background(level: str) -> Iterator[None]:
    """Nobody waits for it."""
    background = Background(level)
    background.send(os.getpid())
    try:
        yield
    finally:
        background.recall(os.getpid())
