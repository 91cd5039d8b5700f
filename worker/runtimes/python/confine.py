"""What a forked child gives up before it runs a function's code."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass

from .kernel import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, Kernel

FILE_MODE_MASK = 0o022


@dataclass(frozen=True)
class Confinement:
    """How one child is confined. `uid` 0 means: keep the zygote's. `binds` are (source, target,
    read-only), mounted in order where `mounts` is set; `scratch` is the child's own directory."""

    uid: int
    mounts: bool
    binds: list[tuple[str, str, bool]]
    scratch: str
    task_root: str
    open_files: int
    processes: int
    file_bytes: int


def confine(kernel: Kernel, confinement: Confinement, zygote_pid: int) -> None:
    """Apply `confinement` to this process. Raises OSError."""
    os.setsid()
    _make_scratch(confinement)
    if confinement.mounts:
        kernel.unshare_mounts()
        for source, target, read_only in confinement.binds:
            kernel.bind(source, target, read_only=read_only)
    os.chdir(confinement.task_root)
    _limit(confinement)
    if confinement.uid:
        _become(confinement.uid)
    # The kernel forgets the death signal when the uid changes, and marks the process undumpable, which
    # would hide its /proc entries from itself and from the sweeper.
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(PR_SET_DUMPABLE, 1)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote_pid:
        os._exit(1)
    os.umask(FILE_MODE_MASK)


def _make_scratch(confinement: Confinement) -> None:
    try:
        os.mkdir(confinement.scratch, 0o700)
    except FileNotFoundError:
        # Another zygote of this worker ended and found the parent empty.
        os.makedirs(os.path.dirname(confinement.scratch), 0o711, exist_ok=True)
        os.mkdir(confinement.scratch, 0o700)
    if confinement.uid:
        os.chown(confinement.scratch, confinement.uid, confinement.uid)


def _limit(confinement: Confinement) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, confinement.open_files)
    _lower(resource.RLIMIT_FSIZE, confinement.file_bytes)
    # The kernel counts processes by uid: with the worker's uid the limit would hit the worker.
    if confinement.uid:
        _lower(resource.RLIMIT_NPROC, confinement.processes)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bounded, bounded))


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
