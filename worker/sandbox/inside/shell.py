"""Namespaces that wait, furnished, for a process that has none of the rights to make them.

A copy of an initialised function is the fork of a process that has run untrusted code, and so has no rights.
The kernel lets it enter namespaces all the same if they belong to a user namespace that its own user has
made: it has every right there, and only there, until it drops them. What it enters is complete and belongs to
this one copy: root, /tmp, /proc, host name, and a process 1.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from .confine import HOST_NAME, Confinement, furnish, mount_own
from .isolation import Isolation
from .kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    PR_SET_DUMPABLE,
    Kernel,
)
from .network import raise_loopback
from .user_namespace import close_user_namespace

INSIDE_USER_NAMESPACE = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWPID


def make_shell(isolation: Isolation, confinement: Confinement, group: str, trees: Sequence[int]) -> int:
    """Make one for a copy that will be in control group `group`; the pid of its process 1, which dies only
    when it is killed or our own pid namespace ends. Raises OSError."""
    readable, writable = os.pipe()
    builder = os.fork()
    if builder == 0:
        _build_and_report(isolation, confinement, group, trees, writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as report:
        text = report.read().decode(errors="replace")
    os.waitpid(builder, 0)
    if not text.isdigit():
        raise OSError(text or "the builder of a copy's namespaces died")
    return int(text)


def enter_shell(isolation: Isolation, process: int) -> None:
    """Move to the namespaces of the process behind a pidfd, and keep no right there; children are born in its
    pid namespace. Raises OSError."""
    network = CLONE_NEWNET if isolation.own_network else 0
    isolation.kernel.enter(process, CLONE_NEWUSER | INSIDE_USER_NAMESPACE | network)
    isolation.kernel.drop_capabilities()
    # Whoever gains rights becomes undumpable, which would hide its own /proc entries from it.
    isolation.kernel.prctl(PR_SET_DUMPABLE, 1)


def _build_and_report(
    isolation: Isolation, confinement: Confinement, group: str, trees: Sequence[int], report: int
) -> None:
    try:
        os.write(report, str(_build(isolation, confinement, group, trees)).encode())
    except BaseException as error:
        os.write(report, f"{error}".encode()[:4096])
    finally:
        os._exit(0)


def _build(isolation: Isolation, confinement: Confinement, group: str, trees: Sequence[int]) -> int:
    kernel = isolation.kernel
    assert isolation.init is not None
    if isolation.cgroups is not None:
        isolation.cgroups.join(group)
    kernel.enter(isolation.root_namespace, CLONE_NEWNS)
    kernel.unshare(CLONE_NEWNS)
    mount_own(isolation)
    furnish(kernel, confinement, trees)
    _become_owner(kernel, confinement.uid)
    kernel.unshare(INSIDE_USER_NAMESPACE | (CLONE_NEWNET if isolation.own_network else 0))
    socket.sethostname(HOST_NAME)
    if isolation.own_network:
        raise_loopback()
    init = isolation.init.spawn()
    _mount_proc_inside(kernel)
    return init


def _become_owner(kernel: Kernel, uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    kernel.prctl(PR_SET_DUMPABLE, 1)
    close_user_namespace(kernel)


def _mount_proc_inside(kernel: Kernel) -> None:
    """A /proc shows the pid namespace of the process that mounts it, so a child must."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            status = 0
        except OSError as error:
            status = error.errno or 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise OSError(status, "/proc of a copy: " + os.strerror(abs(status)))
