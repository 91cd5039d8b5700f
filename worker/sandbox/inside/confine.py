"""What a forked child gives up before it runs a function's code.

In two steps: `prepare` needs to know nothing about the function, so that children can wait prepared;
`confine` does the rest. Which of it happens is the level's business (`isolation`).
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from . import landlock
from .image_root import enter_image
from .isolation import Isolation
from .kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Kernel,
)
from .network import LOOPBACK, pass_listener_on, raise_loopback
from .own_loopback import api_address
from .root import LAYERS, RUNTIME, SCRATCH, SYSTEM, TASK_ROOT, mount_scratch, settings
from .user_namespace import close_user_namespace

FILE_MODE_MASK = 0o022
HOST_NAME = "sandbox"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Confinement:
    """How one child is confined. `uid` 0 means: keep the zygote's.

    With a root of its own the child sees `trees` (source, target); without, `binds` are (source, target,
    read-only), mounted in order where `mounts` is set, and `scratch` is the child's own directory.
    `readable`: directories that are its own to read. `storage_mb`: room in /tmp. `memory_bytes` is what
    RLIMIT_DATA allows, 0 where a control group counts. With `image` the only tree is a root file system that
    takes the place of the root.
    """

    uid: int
    mounts: bool
    binds: list[tuple[str, str, bool]]
    trees: list[tuple[str, str]]
    readable: list[str]
    scratch: str
    task_root: str
    open_files: int
    processes: int
    storage_mb: int
    memory_bytes: int
    image: bool = False


def prepare(isolation: Isolation, group: str) -> None:
    """What can be done before the function is known. `group` names the control group. Raises OSError."""
    os.setsid()
    if isolation.cgroups is not None:
        isolation.cgroups.join(group)
    if isolation.root_namespace < 0:
        return
    kernel = isolation.kernel
    kernel.enter(isolation.root_namespace, CLONE_NEWNS)
    network = CLONE_NEWNET if isolation.own_network else 0
    kernel.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | network)
    mount_own(isolation)
    socket.sethostname(HOST_NAME)
    if network:
        raise_loopback()


def mount_own(isolation: Isolation) -> None:
    """/proc and an empty /tmp, in a mount namespace of our own. Raises OSError."""
    kernel = isolation.kernel
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    kernel.mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1m")
    if isolation.storage_listener >= 0:
        kernel.mark_opens(isolation.storage_listener, SCRATCH)


def confine(
    isolation: Isolation,
    confinement: Confinement,
    zygote_pid: int,
    trees: Sequence[int],
    api_line: int | None,
    *,
    sealed: bool = False,
) -> None:
    """The rest. `trees` are descriptors for the confinement's trees; `api_line` takes the Runtime API's
    listener where there is one to be made. A `sealed` child has been furnished. Raises OSError."""
    kernel = isolation.kernel
    if not sealed:
        _make_mounts(isolation, confinement, trees)
    if api_line is not None:
        pass_listener_on(api_line, api_address(confinement.uid) if isolation.filtered else LOOPBACK)
    os.chdir(confinement.task_root)
    _limit(confinement, own_count=bool(confinement.uid) or isolation.nested_users)
    _become_nobody(isolation, confinement.uid)
    # The kernel forgets the death signal when the uid changes, and marks the process undumpable, which
    # would hide its /proc entries from itself and from the sweeper.
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(PR_SET_DUMPABLE, 1)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if isolation.init is None and os.getppid() != zygote_pid:
        os._exit(1)
    os.umask(FILE_MODE_MASK)
    if not sealed:
        _restrict(isolation, *_paths(isolation, confinement))


def seal(isolation: Isolation) -> bool:
    """After `prepare`: give up to make mounts, to touch other files than a function may, and the system calls
    that functions do not have. False where `confine` needs these still. Raises OSError."""
    if not isolation.is_sealable:
        return False
    isolation.kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    _restrict(isolation, *_inside_own_root(isolation))
    return True


def _restrict(isolation: Isolation, readable: Sequence[str], writable: Sequence[str]) -> None:
    if isolation.landlock and not isolation.copied:
        landlock.restrict(isolation.kernel, readable, writable)
    if isolation.seccomp is not None:
        isolation.seccomp.apply(isolation.kernel)


def _make_mounts(isolation: Isolation, confinement: Confinement, trees: Sequence[int]) -> None:
    kernel = isolation.kernel
    if isolation.root_namespace >= 0:
        furnish(kernel, confinement, trees)
        return
    _make_scratch(confinement)
    if confinement.mounts:
        kernel.unshare_mounts()
        for source, target, read_only in confinement.binds:
            kernel.bind(source, target, read_only=read_only)


def furnish(kernel: Kernel, confinement: Confinement, trees: Sequence[int]) -> None:
    """Room in /tmp, and the trees at their places. Raises OSError."""
    mount_scratch(kernel, confinement.storage_mb)
    for tree, (_, target) in zip(trees, confinement.trees):  # noqa: B905 (Python 3.9)
        kernel.attach(tree, target)
    if confinement.image:
        enter_image(kernel)


def _make_scratch(confinement: Confinement) -> None:
    try:
        os.mkdir(confinement.scratch, 0o700)
    except FileNotFoundError:
        # Another zygote of this worker ended and found the parent empty.
        os.makedirs(os.path.dirname(confinement.scratch), 0o711, exist_ok=True)
        os.mkdir(confinement.scratch, 0o700)
    if confinement.uid:
        os.chown(confinement.scratch, confinement.uid, confinement.uid)


def _limit(confinement: Confinement, *, own_count: bool) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, confinement.open_files)
    _lower(resource.RLIMIT_FSIZE, confinement.storage_mb << 20)
    if confinement.memory_bytes:
        _lower(resource.RLIMIT_DATA, confinement.memory_bytes)
    # The kernel counts processes by uid: with the worker's uid the limit would hit the worker.
    if own_count:
        _lower(resource.RLIMIT_NPROC, confinement.processes)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bounded, bounded))


def _become_nobody(isolation: Isolation, uid: int) -> None:
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    elif isolation.nested_users:
        close_user_namespace(isolation.kernel)
    if isolation.root_namespace >= 0:
        isolation.kernel.drop_capabilities()


def restrict_copy(isolation: Isolation) -> None:
    """What could not be done before there was a /tmp of its own. Raises OSError."""
    if isolation.landlock:
        landlock.restrict(isolation.kernel, *_inside_own_root(isolation))


def _inside_own_root(isolation: Isolation) -> tuple[list[str], list[str]]:
    return ["/"], [SCRATCH, "/dev", "/proc", *isolation.shared]


def _paths(isolation: Isolation, confinement: Confinement) -> tuple[list[str], list[str]]:
    """What Landlock lets it read, and write."""
    if isolation.root_namespace >= 0:
        return _inside_own_root(isolation)
    readable_settings = ["/etc/" + name for name in (*settings(), "passwd", "group")]
    seen = [TASK_ROOT, LAYERS, RUNTIME] if confinement.mounts else []
    readable = [
        *SYSTEM,
        *readable_settings,
        *isolation.prefixes,
        *confinement.readable,
        *seen,
        "/proc",
        "/sys/devices/system",
    ]
    scratch = [confinement.scratch] + ([SCRATCH] if confinement.mounts else [])
    return readable, [*scratch, *DEVICES, *isolation.shared]
