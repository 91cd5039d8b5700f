"""Tries the whole of a level in a forked child, before any function depends on it."""

from __future__ import annotations

import os
import shutil
import signal
import socket

from .confine import Confinement, confine, prepare
from .isolation import Isolation, fork_into_namespace
from .kernel import MS_NODEV, MS_NOSUID, MS_RDONLY
from .root import SCRATCH, TASK_ROOT

GROUP = "trial"
SHOWN = "/usr"
OPEN_FILES = 64
PROCESSES = 64
METADATA = ("169.254.169.254", 80)


def try_out(isolation: Isolation, uid: int, scratch: str) -> None:
    """Confine a child as a function is. Raises OSError, saying what did not work."""
    if isolation.level == "L0":
        return
    own_scratch = f"{scratch}/{GROUP}-{os.getpid()}"
    if isolation.cgroups is not None:
        isolation.cgroups.create(GROUP)
    readable, writable = os.pipe()
    pid, init_pid = fork_into_namespace(isolation)
    if pid == 0:
        _try_and_report(isolation, _confinement(isolation, uid, own_scratch), writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as report:
        text = report.read().decode(errors="replace")
    for each in (init_pid, pid):
        if each:
            os.kill(each, signal.SIGKILL)
    for each in (pid, init_pid):
        if each:
            os.waitpid(each, 0)
    if isolation.cgroups is not None:
        isolation.cgroups.remove(GROUP)
    shutil.rmtree(own_scratch, ignore_errors=True)
    if text != "fine":
        raise OSError(text or "the child that tried it died")


def _confinement(isolation: Isolation, uid: int, scratch: str) -> Confinement:
    trees = [(SHOWN, TASK_ROOT)] if isolation.own_root else []
    task_root = TASK_ROOT if isolation.own_root else SHOWN
    return Confinement(uid, False, [], trees, [], scratch, task_root, OPEN_FILES, PROCESSES, 1, 0)


def _check_filter() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        try:
            datagrams.sendto(b"", METADATA)
        except PermissionError:
            return
    raise OSError("the network filter lets functions reach " + METADATA[0])


def _try_and_report(isolation: Isolation, confinement: Confinement, report: int) -> None:
    try:
        attributes = MS_RDONLY | MS_NOSUID | MS_NODEV
        trees = [isolation.kernel.copy_tree(source, attributes) for source, _ in confinement.trees]
        prepare(isolation, GROUP)
        confine(isolation, confinement, os.getppid(), trees, None)
        if isolation.own_root:
            with open(SCRATCH + "/written", "w") as file:
                file.write("x")
        if isolation.filtered:
            _check_filter()
        os.write(report, b"fine")
    except BaseException as error:
        os.write(report, f"{error}".encode())
    finally:
        os._exit(0)
