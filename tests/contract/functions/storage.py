"""Puts data where it counts as ephemeral storage, and where it counts as memory."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

MEGABYTE = 1 << 20
PLACE = "/tmp/kept"
KEPT: list[Any] = []
EXIT_THREAD = {"x86_64": 60, "aarch64": 93}[platform.machine()]


def write(event: Any, context: Any) -> Any:
    """Files of a megabyte; how much could be written, and why not more."""
    os.makedirs(PLACE, exist_ok=True)
    for number in range(event):
        try:
            with open(f"{PLACE}/{number}", "wb") as file:
                file.write(bytes([number % 256]) * MEGABYTE)
        except OSError as error:
            return [number, errno.errorcode[error.errno or 0]]
    return [event, ""]


if "WRITTEN_IN_INIT" in os.environ:
    write(int(os.environ["WRITTEN_IN_INIT"]), None)


def read(event: Any, context: Any) -> Any:
    """Whether all is as `write` wrote it."""
    for number in range(event):
        with open(f"{PLACE}/{number}", "rb") as file:
            if file.read() != bytes([number % 256]) * MEGABYTE:
                return False
    return True


def use_memory(event: Any, context: Any) -> Any:
    KEPT.append(b"x" * (event * MEGABYTE))


def share_memory(event: Any, context: Any) -> Any:
    shared = mmap.mmap(-1, event * MEGABYTE)
    shared.write(b"x" * MEGABYTE)
    for _ in range(event - 1):
        shared.write(shared[:MEGABYTE])
    KEPT.append(shared)


def fill_memory_file(event: Any, context: Any) -> Any:
    descriptor = os.memfd_create("hog")
    for _ in range(event):
        os.write(descriptor, b"x" * MEGABYTE)
    KEPT.append(descriptor)


def breed(event: Any, context: Any) -> Any:
    """Children that take a part each, and wait."""
    for _ in range(event["children"]):
        if os.fork() == 0:
            KEPT.append(b"x" * (event["megabytes"] * MEGABYTE))
            time.sleep(60)
            os._exit(0)
    time.sleep(60)


def use_memory_behind_a_dead_main_thread(event: Any, context: Any) -> Any:
    """The process has no directories any more that others could look up by its id."""

    def hog() -> None:
        main_thread = Path(f"/proc/self/task/{os.getpid()}/stat")
        while ") Z" not in main_thread.read_text():
            time.sleep(0.01)
        use_memory(event, context)
        time.sleep(60)

    threading.Thread(target=hog).start()
    ctypes.CDLL(None).syscall(EXIT_THREAD, 0)


def write_more(event: Any, context: Any) -> Any:
    """Into one file."""
    with open(f"{PLACE}-more", "wb", buffering=0) as file:
        for number in range(event):
            try:
                file.write(bytes(MEGABYTE))
            except OSError as error:
                return [number, errno.errorcode[error.errno or 0]]
    return [event, ""]


def clear(event: Any, context: Any) -> Any:
    shutil.rmtree(PLACE)


def wait(event: Any, context: Any) -> Any:
    time.sleep(0.02)


def make_temporary_file(event: Any, context: Any) -> Any:
    """In a file without a name."""
    with tempfile.TemporaryFile() as file:
        for _ in range(event):
            file.write(bytes(MEGABYTE))
        return file.tell()


def do(event: Any, context: Any) -> Any:
    """An action by its name, with its argument; so several ones in one environment."""
    name, argument = event
    return globals()[name](argument, context)
