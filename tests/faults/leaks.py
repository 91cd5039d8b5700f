"""Processes and concurrency slots that must not be left behind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.faults.callers import Callers
from tests.faults.journal import Entry, Journal
from tests.faults.waiting import eventually


def is_alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes_of(place: Path) -> list[str]:
    """Processes of anybody whose command line, environment or directory names `place`, but our own."""
    marker = os.fsencode(place)
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid() and _mentions(directory, marker):
            found.append(f"{directory.name} {_read(directory / 'cmdline').replace(bytes(1), b' ')!r}")
    return found


def _mentions(directory: Path, marker: bytes) -> bool:
    try:
        where = os.fsencode(os.readlink(directory / "cwd"))
    except OSError:
        where = b""
    return any(marker in text for text in (_read(directory / "cmdline"), _read(directory / "environ"), where))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def no_process_is_left(pids: Iterable[int], within_seconds: float = 10.0) -> None:
    """Fail if one of these processes goes on living."""
    watched = list(pids)
    eventually(f"the end of {watched}", lambda: not any(map(is_alive, watched)), within_seconds)


def no_function_is_left(entries: Iterable[Entry], within_seconds: float = 10.0) -> None:
    """Fail if a process that wrote one of the entries goes on living."""
    watched = {entry.process for entry in entries}
    eventually(f"the end of {watched}", lambda: not watched & _live_functions(), within_seconds)


def _live_functions() -> set[str]:
    """Every process, by its start and its pid in its own namespace."""
    return {name for process in Path("/proc").iterdir() if process.name.isdigit() if (name := _name(process))}


def _name(process: Path) -> str:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        status = (process / "status").read_text()
    except OSError:
        return ""
    own_pid = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
    return "" if fields[0] == "Z" else f"{fields[19]}:{own_pid}"


def full_limit_works(callers: Callers, journal: Journal, limit: int, label: str) -> None:
    """Fail unless `limit` invocations run at once and one more is throttled: no slot leaked, none gained."""
    event = {"sleep_seconds": 1.0, "label": label}
    running = [callers.call(event) for _ in range(limit)]
    eventually(f"{limit} runs at once", lambda: len(journal.entries("start", label=label)) == limit)
    one_more = callers.call(event).result()
    assert one_more.error == "TooManyRequestsException", one_more
    refused = [answer for answer in (call.result() for call in running) if not answer.succeeded]
    assert not refused, f"{len(refused)} of {limit} within the reserved concurrency failed: {refused[0]}"
    assert journal.most_at_once(label) == limit
