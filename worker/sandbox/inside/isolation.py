"""What a zygote sets up once for its level, and every child uses."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import landlock
from .bare_fork import Fork
from .cgroups import Cgroups
from .init_program import InitProgram
from .kernel import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    Kernel,
)
from .network_filter import attach_filter
from .own_loopback import LoopbackGroups
from .root import make_root
from .seccomp import SeccompFilter
from .user_namespace import enter_user_namespace

NAMESPACES = ("L3", "L2")
FILTERS = ("L3", "L2", "L1")


@dataclass
class Isolation:
    """The means of one level. `root_namespace` and `pid_namespace` are descriptors, -1 without namespaces;
    `pid_namespace` is the zygote's own, to come back to. `nested_users`: children share the worker's uid and
    get a user namespace each. `copied`: of a branch, whose child is copied into further namespaces.
    `storage_listener`: the worker's fanotify group, which is to hear of the first use of each /tmp, or -1."""

    kernel: Kernel
    level: str
    root_namespace: int = -1
    pid_namespace: int = -1
    init: InitProgram | None = None
    seccomp: SeccompFilter | None = None
    landlock: bool = False
    cgroups: Cgroups | None = None
    own_network: bool = False
    filtered: bool = False
    loopbacks: LoopbackGroups | None = None
    nested_users: bool = False
    copied: bool = False
    storage_listener: int = -1
    shared: Sequence[str] = ()
    prefixes: Sequence[str] = ()
    weaknesses: Sequence[str] = ()
    fork: Fork = os.fork

    @property
    def own_root(self) -> bool:
        """Functions see a root of their own."""
        return self.root_namespace >= 0

    @property
    def is_sealable(self) -> bool:
        """A child can be furnished from outside, and needs no right for the rest but to change its user."""
        return self.own_root and not self.nested_users and not self.copied

    @property
    def descriptors(self) -> list[int]:
        """What a child needs until it is confined."""
        return [each for each in (self.root_namespace, self.storage_listener) if each >= 0]

    @property
    def own_descriptors(self) -> set[int]:
        """What a zygote needs to fork children."""
        init = self.init.descriptor if self.init is not None else -1
        return {*self.descriptors, self.pid_namespace, init} - {-1}


def set_up(kernel: Kernel, configuration: dict[str, Any]) -> Isolation:
    """Everything that the level needs, as the zygote's configuration asks for it. Raises OSError."""
    level, first, count = configuration["level"], configuration["first_uid"], configuration["uid_count"]
    isolation = Isolation(kernel, level, shared=configuration["shared"], prefixes=interpreter_prefixes())
    isolation.storage_listener = configuration["storage_listener"]
    weaknesses: list[str] = []
    if level == "L3" and (os.geteuid() != 0 or not count):
        raise OSError(errno.EPERM, "needs root, and user ids of its own: uid is " + str(os.geteuid()))
    if level == "L2" and os.geteuid() == 0 and not count:
        raise OSError(errno.EPERM, "for root, it needs user ids of its own")
    if level != "L0":
        isolation.cgroups = _cgroups(configuration["group"], needed=level == "L3", weaknesses=weaknesses)
    if configuration["filtered"]:
        if isolation.cgroups is None:
            raise OSError(errno.EPERM, "a filtered network needs control groups")
        attach_filter(kernel, isolation.cgroups.network_group(), configuration["allowed_networks"])
        isolation.filtered = True
    elif level == "L3" and isolation.cgroups is not None and not configuration["own_network"]:
        isolation.loopbacks = LoopbackGroups.make(kernel, isolation.cgroups)
    if level in NAMESPACES:
        if level == "L2":
            isolation.nested_users = not count
            enter_user_namespace(kernel, first, count)
            _go_to_own_pid_namespace(kernel)
        isolation.pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        isolation.init = InitProgram()
        isolation.own_network = configuration["own_network"]
        isolation.root_namespace = make_root(
            kernel, isolation.prefixes, isolation.shared, host_proc=level == "L2"
        )
    if level in FILTERS:
        isolation.seccomp = SeccompFilter()
        isolation.landlock = _has_landlock(kernel, needed=level == "L1", weaknesses=weaknesses)
    isolation.weaknesses = weaknesses
    return isolation


def _go_to_own_pid_namespace(kernel: Kernel) -> None:
    """Go on as process 1 of a pid namespace that belongs to our user namespace: only from such a one can
    children be forked into others, again and again. The process that we were waits for our end."""
    kernel.unshare(CLONE_NEWNS | CLONE_NEWPID)
    child = os.fork()
    if child != 0:
        kernel.close_all_but([])
        os.waitpid(child, 0)
        os._exit(0)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    kernel.mount(None, "/", None, MS_REC | MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def fork_into_namespace(isolation: Isolation) -> tuple[int, int]:
    """Fork with a pid namespace around the child, if the level has them: the child's pid (0 in the child) and
    that of the namespace's init (0 without one). Raises OSError."""
    if isolation.init is None:
        return isolation.fork(), 0
    isolation.kernel.unshare(CLONE_NEWPID)
    child = -1
    try:
        init = isolation.init.spawn()
        child = isolation.fork()
    finally:
        if child != 0:
            isolation.kernel.enter(isolation.pid_namespace, CLONE_NEWPID)
    return child, init


def fork_branch(isolation: Isolation) -> int:
    """Fork a process that goes on as process 1 of a pid namespace; 0 in the child. Raises OSError."""
    isolation.kernel.unshare(CLONE_NEWPID)
    child = -1
    try:
        child = os.fork()
    finally:
        if child != 0:
            isolation.kernel.enter(isolation.pid_namespace, CLONE_NEWPID)
    return child


def of_branch(isolation: Isolation) -> Isolation:
    """The means of a process that `fork_branch` made. A child of it may enter namespaces, if its user owns
    them; Landlock would bind it to the /tmp that it had before. Raises OSError."""
    return replace(
        isolation,
        pid_namespace=-1,
        init=InitProgram(dies_with_parent=False),
        seccomp=SeccompFilter(allowed=("setns",)) if isolation.seccomp is not None else None,
        copied=True,
    )


def interpreter_prefixes() -> list[str]:
    """The directories without which this interpreter does not run."""
    executable = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
    found = [sys.base_prefix, sys.base_exec_prefix, executable]
    return sorted({os.path.realpath(path) for path in found} | set(found[:2]))


def _cgroups(name: str, *, needed: bool, weaknesses: list[str]) -> Cgroups | None:
    try:
        return Cgroups.make(name)
    except OSError as error:
        if needed:
            raise OSError(error.errno, "control groups: " + str(error)) from error
        weaknesses.append(
            f"memory and processor time are limited for each process alone: no control groups ({error})"
        )
        return None


def _has_landlock(kernel: Kernel, *, needed: bool, weaknesses: list[str]) -> bool:
    try:
        return landlock.version(kernel) >= 1
    except OSError as error:
        if needed:
            raise OSError(error.errno, "Landlock: " + str(error)) from error
        weaknesses.append("Landlock is missing: boot Linux 5.13 or newer with lsm=landlock,...")
        return False
