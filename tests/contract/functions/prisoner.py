"""Tries what the sandbox is to prevent, and tells how far it came."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import threading
import time
from functools import partial
from typing import Any

TICKS = [0]


def attempt(action: Any) -> str:
    """`done`, or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except (MemoryError, ValueError) as error:
        return type(error).__name__
    return "done"


def open_file(event: Any, context: Any) -> Any:
    path = os.path.expandvars(event["path"])
    return attempt(lambda: open(path, event.get("mode", "r")).close())


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def names_in(directory: str) -> list[str] | None:
    """None where it may not be listed."""
    try:
        return os.listdir(directory)
    except PermissionError:
        return None


def look_around(event: Any, context: Any) -> Any:
    status = dict(line.split(":\t", 1) for line in read("/proc/self/status").splitlines() if ":\t" in line)
    return {
        "root": names_in("/"),
        "devices": names_in("/dev"),
        "uid": os.getuid(),
        "processes": sorted(int(name) for name in names_in("/proc") or () if name.isdigit()),
        "capabilities": int(status["CapEff"], 16) | int(status["CapPrm"], 16),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "host_name": socket.gethostname(),
        "command": read("/proc/self/cmdline").rstrip("\0"),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "scheduling": os.sched_getscheduler(0),
    }


def call_kernel(event: Any, context: Any) -> Any:
    """The error that a system call by number ends with."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(*[ctypes.c_long(each) for each in event])
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def fill_scratch(event: Any, context: Any) -> Any:
    def fill() -> None:
        for number in range(event["files"]):
            with open(f"/tmp/{number}", "wb") as file:
                file.write(bytes(event["bytes"]))

    return attempt(fill)


def use_memory(event: Any, context: Any) -> Any:
    kept = bytearray(event << 20)
    kept[::4096] = b"x" * len(kept[::4096])
    return len(kept)


def connect(event: Any, context: Any) -> Any:
    family = socket.AF_UNIX if isinstance(event, str) else socket.AF_INET

    def dial() -> None:
        with socket.socket(family) as line:
            line.settimeout(1)
            line.connect(event if isinstance(event, str) else tuple(event))

    return attempt(dial)


def tick(event: Any, context: Any) -> Any:
    """Ticks of a thread that goes on by itself."""

    def go_on() -> None:
        while True:
            time.sleep(0.005)
            TICKS[0] += 1

    if event == "start":
        threading.Thread(target=go_on, daemon=True).start()
    return TICKS[0]


def send_to(event: Any, context: Any) -> Any:
    """What becomes of a datagram, and of a connection, to each address."""

    def datagram(address: str) -> None:
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as line:
            line.sendto(b"x", (address, 9))

    def connection(address: str) -> None:
        with socket.socket(family_of(address)) as line:
            line.settimeout(0.05)
            line.connect((address, 9))

    return {
        address: [attempt(partial(each, address)) for each in (datagram, connection)] for address in event
    }


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def fork_with_memory(event: Any, context: Any) -> Any:
    """Children that hold `megabytes` each, then wait."""
    for _ in range(event["children"]):
        if os.fork() == 0:
            held = bytearray(event["megabytes"] << 20)
            held[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(held[:: os.sysconf("SC_PAGE_SIZE")])
            time.sleep(60)
            os._exit(0)
    os.wait()
    return "a child ended"


def fork_until_refused(event: Any, context: Any) -> Any:
    """How many sleeping children there can be, and why not one more."""
    children = 0
    while True:
        try:
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
        except OSError as error:
            return [children, errno.errorcode[error.errno or 0]]
        children += 1


def burn(event: Any, context: Any) -> Any:
    """Processor seconds that a busy loop gets in `event` seconds."""
    end, used = time.monotonic() + event, time.process_time()
    while time.monotonic() < end:
        pass
    return time.process_time() - used
