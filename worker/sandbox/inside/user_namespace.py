"""User namespaces: how a worker without root gets the right to make mounts and the other namespaces."""

from __future__ import annotations

import os

from .kernel import CLONE_NEWUSER, Kernel


def enter_user_namespace(kernel: Kernel, first_uid: int, uid_count: int) -> None:
    """Move this process, which must have one thread, to a user namespace of its own, with every right there.

    It keeps its uid. A range of further uids (root only; 0: none) is mapped onto itself. Raises OSError.
    """
    uid, gid = os.geteuid(), os.getegid()
    lines = [(uid, 1)] + ([(first_uid, uid_count)] if uid_count else [])
    process, (readable, writable) = os.getpid(), os.pipe()
    helper = os.fork()
    if helper == 0:
        _map_when_told(process, lines, gid, readable, writable)
    os.close(readable)
    try:
        kernel.unshare(CLONE_NEWUSER)
        os.write(writable, b"x")
    finally:
        os.close(writable)
        status = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if status != 0:
        raise OSError(status, "user namespace: its ids cannot be mapped: " + os.strerror(status))


def _map_when_told(
    process: int, lines: list[tuple[int, int]], gid: int, readable: int, writable: int
) -> None:
    status = 1
    try:
        os.close(writable)
        if os.read(readable, 1):
            ids = "".join(f"{first} {first} {count}\n" for first, count in lines)
            groups = ids if len(lines) > 1 else f"{gid} {gid} 1\n"
            _write_maps(process, ids, groups, privileged=os.geteuid() == 0)
        status = 0
    except OSError as error:
        status = error.errno or 1
    finally:
        os._exit(status)


def close_user_namespace(kernel: Kernel) -> None:
    """One namespace further, where the same uid has no power over what the first one owns, and a process
    count of its own (the limit of RLIMIT_NPROC at this moment). Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(CLONE_NEWUSER)
    _write_maps(None, f"{uid} {uid} 1\n", f"{gid} {gid} 1\n", privileged=False)


def _write_maps(process: int | None, uids: str, gids: str, *, privileged: bool) -> None:
    directory = f"/proc/{process or 'self'}/"
    if not privileged:
        _write(directory + "setgroups", "deny")
    _write(directory + "uid_map", uids)
    _write(directory + "gid_map", gids)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
