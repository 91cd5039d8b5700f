"""Kills everything that is left of environments, in a helper process of the zygote."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass

GIVE_UP_SECONDS = 5.0
PAUSE_SECONDS = 0.001
ROOT = 0
MARK = "LIGHTSWITCH_ENVIRONMENT="
"""The variable that every process of an environment inherits, unless it drops it."""


@dataclass(frozen=True)
class Remains:
    """One ended environment: its own `uid` (0: it had the zygote's), its main process and session `pid`,
    the variable that marks its processes, and its scratch directory."""

    identifier: str
    uid: int
    pid: int
    mark: str
    scratch: str


def sweep(remains: list[Remains], zygote_pid: int, main_pids: set[int]) -> int:
    """Kill all processes of `remains`, wait until none is left, delete what they wrote.

    `main_pids` are the zygote's children of live environments. Returns 0 when nothing is left. Runs in a
    process of its own: it changes its uid on the way.
    """
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        for one in remains:
            if one.uid:
                _kill_uid(one.uid)
        left = _kill_visible(remains, zygote_pid, main_pids)
        if not left:
            break
        if time.monotonic() > give_up:
            return 1
        time.sleep(PAUSE_SECONDS)
    for one in remains:
        if one.scratch:
            shutil.rmtree(one.scratch, ignore_errors=True)
    return 0


def _kill_uid(uid: int) -> None:
    """One system call kills all processes of the uid at once, so that none can fork away from it.

    The saved uid stays root's, to come back. A process of the uid may kill us meanwhile; then the zygote
    starts another sweep.
    """
    os.setresuid(uid, uid, ROOT)
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.setresuid(ROOT, ROOT, ROOT)


def _kill_visible(remains: list[Remains], zygote_pid: int, main_pids: set[int]) -> bool:
    """Kill what still belongs to `remains`; True if there was any."""
    uids = {one.uid for one in remains if one.uid}
    shared = [one for one in remains if not one.uid]
    others = (main_pids | {os.getpid()}) - {one.pid for one in shared}
    left = False
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid in uids:
                left = left or not _is_zombie(entry.path)
            elif shared and _belongs(entry, shared, zygote_pid, others):
                os.kill(int(entry.name), signal.SIGKILL)
                left = True
        except OSError:
            continue
    return left


def _is_zombie(path: str) -> bool:
    return _stat_fields(path)[0] == "Z"


def _stat_fields(path: str) -> list[str]:
    """State, parent, process group, session, ... of a process."""
    with open(path + "/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].decode().split()


def _belongs(entry: os.DirEntry[str], shared: list[Remains], zygote_pid: int, others: set[int]) -> bool:
    """A process belongs to an environment by its session or by the variable it inherited; an orphan
    that the zygote adopted and that has dropped the variable belongs to nobody and goes too."""
    pid = int(entry.name)
    state, parent, _, session = _stat_fields(entry.path)[:4]
    if state == "Z" or pid in others:
        return False
    if any(session == str(one.pid) for one in shared if one.pid):
        return True
    with open(entry.path + "/environ", "rb") as environ:
        variables = environ.read().split(b"\0")
    if any(one.mark.encode() in variables for one in shared):
        return True
    marked = any(variable.startswith(MARK.encode()) for variable in variables)
    return int(parent) == zygote_pid and not marked


def uids_in_use(first: int, count: int) -> set[int]:
    """Which uids of a range have processes."""
    used = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                uid = entry.stat().st_uid
            except OSError:
                continue
            if first <= uid < first + count:
                used.add(uid)
    return used
