"""How a zygote, or a branch of it, talks to its worker; and small things that both do."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

_signal: Any = importlib.import_module("_signal")  # which type checkers do not know

MESSAGE_BYTES = 262_144
MAX_DESCRIPTORS = 12
END_SECONDS = 10.0
END_PAUSE_SECONDS = 0.002


def send(control: socket.socket, event: str, **members: Any) -> None:
    """One event to the worker; a worker that is gone is noticed when reading."""
    try:
        control.send(json.dumps({"event": event, **members}).encode())
    except ConnectionError:
        return


def tell_started(control: socket.socket, identifier: str, group: str, pid: int) -> None:
    """With a descriptor by which the worker learns the pid that it knows the process by."""
    event = {"event": "started", "identifier": identifier, "group": group}
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return  # no descriptors left, or no processes; the end will be told
    try:
        socket.send_fds(control, [json.dumps(event).encode()], [descriptor])
    except ConnectionError:
        return
    finally:
        os.close(descriptor)


def receive(control: socket.socket) -> tuple[dict[str, Any], bytes, list[int]] | None:
    """A request as an object and as it came, with its descriptors; None once the worker is gone."""
    try:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, MAX_DESCRIPTORS)
    except ConnectionError:
        return None
    if not message:
        return None
    for descriptor in descriptors:
        # What comes over a socket is inheritable, whatever flag one asks for.
        os.set_inheritable(descriptor, False)
    return json.loads(message), message, list(descriptors)


def kill(pid: int) -> None:
    """SIGKILL; one that has ended is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


def drain(descriptor: int) -> None:
    """Take the wake-up signals that lie there."""
    try:
        os.read(descriptor, 4096)
    except BlockingIOError:
        return


def wake_on_child_exit() -> int:
    """A descriptor that is readable after a child has ended (or SIGALRM came)."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, _note)
    return readable


def _note(number: int, frame: object) -> None:
    """A signal whose wake-up is all that counts. It stays when a child forgets it: to free a function takes
    copies of a dozen pages."""


def forget_signals() -> None:
    """In a forked child that becomes a function's process.

    Without what the `signal` module does around it: looking names up in its enumerations makes a child copy
    40 pages of memory that nothing else would touch.
    """
    _signal.set_wakeup_fd(-1)
    for number in (_signal.SIGCHLD, _signal.SIGALRM):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def ended_children() -> Iterator[tuple[int, int]]:
    """Bury the children that have ended, one after the other: pid and wait status of each."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def wait_for_end(pids: Iterable[int]) -> None:
    """Give children a few seconds to end by themselves; those that do not are left."""
    left, give_up = set(pids), time.monotonic() + END_SECONDS
    while left and time.monotonic() < give_up:
        for pid in list(left):
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended = pid
            if ended:
                left.discard(pid)
        time.sleep(END_PAUSE_SECONDS)
