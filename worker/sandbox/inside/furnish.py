"""What a waiting process gets once its function is known: from outside, for it has no right to it now."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from .isolation import Isolation
from .kernel import CLONE_NEWNET, CLONE_NEWNS, Kernel
from .network import pass_listener_on
from .root import PROGRAMS, mount_scratch


@dataclass(frozen=True)
class Furnishing:
    """For a process of user `uid` (0: the zygote's). `trees` (source, target) are to be seen, /tmp is to have
    `storage_mb`; where there is an `address`, the Runtime API is to be listened for there."""

    uid: int
    trees: list[tuple[str, str]]
    storage_mb: int
    address: str


def furnish(
    isolation: Isolation, pid: int, furnishing: Furnishing, trees: list[int], api_line: list[int]
) -> None:
    """Furnish process `pid`, which waits. `trees` are descriptors for the furnishing's trees; `api_line`, one
    or none, takes the listener. What is used up is closed and leaves these lists. Raises OSError where the
    process is dead, or the kernel refuses."""
    kernel = isolation.kernel
    with _visiting(isolation, pid, "mnt", CLONE_NEWNS):
        mount_scratch(kernel, furnishing.storage_mb)
        kernel.unmount(PROGRAMS)
        _attach(kernel, trees, [target for _, target in furnishing.trees])
    if api_line:
        with _visiting(isolation, pid, "net", CLONE_NEWNET) if isolation.own_network else nullcontext():
            pass_listener_on(api_line.pop(), furnishing.address)
    _limit_files(pid, furnishing.uid, furnishing.storage_mb << 20)


def furnish_sealed(
    isolation: Isolation, pid: int, storage_mb: int, targets: Sequence[str], trees: list[int]
) -> None:
    """Give /tmp of a sealed child its room, and `trees` their places. What is used up is closed and leaves
    the list. Raises OSError where the child is dead, or the kernel refuses."""
    with _visiting(isolation, pid, "mnt", CLONE_NEWNS):
        mount_scratch(isolation.kernel, storage_mb)
        _attach(isolation.kernel, trees, targets)


def _attach(kernel: Kernel, trees: list[int], targets: Iterable[str]) -> None:
    for target in targets:
        kernel.attach(trees[0], target)
        trees.pop(0)


def _limit_files(pid: int, uid: int, largest_bytes: int) -> None:
    """Lower the limit of its files' size. The kernel asks for its real user id, or for a capability that root
    of a container usually lacks."""
    own_uid, own_gid = os.getuid(), os.getgid()
    if uid:
        os.setresgid(uid, -1, -1)
        os.setresuid(uid, -1, -1)
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest_bytes, largest_bytes))
    finally:
        os.setresuid(own_uid, -1, -1)
        os.setresgid(own_gid, -1, -1)


@contextmanager
def _visiting(isolation: Isolation, pid: int, name: str, kind: int) -> Iterator[None]:
    """In a namespace of the process; back in our own afterwards, whatever happens."""
    ours = os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        theirs = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            isolation.kernel.enter(theirs, kind)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            isolation.kernel.enter(ours, kind)
            if kind == CLONE_NEWNS:
                # Entering a mount namespace leads to its root, which is not ours where we run in a chroot.
                os.fchdir(root)
                os.chroot(".")
    finally:
        os.close(ours)
        os.close(root)
