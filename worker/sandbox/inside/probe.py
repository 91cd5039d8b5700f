"""Finds out, by trying in a child, how far a level without namespaces can confine a function here."""

from __future__ import annotations

import os

from .kernel import Kernel

OWN_UID = 1
PRIVATE_MOUNTS = 2


def can_confine(kernel: Kernel, uid: int) -> dict[str, bool]:
    """`own_uid`: processes may become `uid` (0: not asked). `private_mounts`: they may have their own
    mount table."""
    pid = os.fork()
    if pid == 0:
        os._exit(_try(kernel, uid))
    found = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"own_uid": bool(found & OWN_UID), "private_mounts": bool(found & PRIVATE_MOUNTS)}


def _try(kernel: Kernel, uid: int) -> int:
    found = 0
    try:
        kernel.unshare_mounts()
        kernel.bind("/tmp", "/tmp", read_only=False)
        found |= PRIVATE_MOUNTS
    except OSError:
        pass
    try:
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            found |= OWN_UID
    except OSError:
        pass
    return found
