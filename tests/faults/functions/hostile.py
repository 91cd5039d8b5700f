"""Attacks, each the value of `do` in the event; tells how far it came where it comes back at all."""

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

TICKS = [0]

CALLS = {
    # name: (x86_64, aarch64), first argument
    "ptrace": ((101, 117), 0),
    "mount": ((165, 40), 0),
    "bpf": ((321, 280), 0),
    "keyctl": ((250, 219), 0),
    "unshare": ((272, 97), 0x1000_0000),
    "io_uring_setup": ((425, 425), 1),
    "setns": ((308, 268), 3),
    "process_vm_readv": ((310, 270), 1),
}


def attempt(action: Callable[[], Any]) -> str:
    """`done`, or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def fork_bomb(event: Any) -> None:
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)


def hog(megabytes: int) -> int:
    kept = bytearray(megabytes << 20)
    kept[::4096] = b"x" * len(kept[::4096])
    return len(kept)


def memory(event: Any) -> int:
    return hog(2000)


def memory_in_children(event: Any) -> list[int]:
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            hog(900)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def fill_scratch(event: Any) -> str:
    def fill() -> None:
        for number in range(1000):
            with open(f"/tmp/{number}", "wb") as file:
                file.write(bytes(1 << 20))

    found = attempt(fill)
    for name in os.listdir("/tmp"):
        os.unlink("/tmp/" + name)
    return found


def open_everything(event: Any) -> dict[str, str]:
    kept: list[Any] = []

    def until_full(make: Callable[[], Any]) -> str:
        kept.clear()

        def fill() -> None:
            for _ in range(100_000):
                kept.append(make())

        found = attempt(fill)
        for each in kept:
            if isinstance(each, int) and each > 3:
                os.close(each)
        return found

    libc = ctypes.CDLL(None, use_errno=True)

    def inotify() -> int:
        descriptor: int = libc.inotify_init()
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init")
        return descriptor

    return {
        "files": until_full(lambda: os.open("/dev/null", os.O_RDONLY)),
        "sockets": until_full(socket.socket),
        "inotify": until_full(inotify),
    }


def endless_log(event: Any) -> None:
    while True:
        os.write(1, b"x" * 65_535 + b"\n")


def ignore_signals(event: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def tick(event: Any) -> int:
    def go_on() -> None:
        while True:
            time.sleep(0.001)
            TICKS[0] += 1

    if event.get("start"):
        threading.Thread(target=go_on, daemon=True).start()
    return TICKS[0]


def spy(event: Any) -> dict[str, Any]:
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
    return {
        "processes": others,
        "environments": [attempt(partial(read, f"/proc/{pid}/environ")) for pid in others],
        "paths": {path: attempt(partial(os.stat, path)) for path in event["paths"]},
        "redis": attempt(lambda: socket.socket(socket.AF_UNIX).connect(event["redis"])),
        "memory": [attempt(partial(read, f"/proc/{pid}/mem")) for pid in others],
        "own_environment": sorted(os.environ),
    }


def deface(event: Any) -> list[str]:
    return [
        attempt(lambda: open(__file__, "a").close()),
        attempt(lambda: os.unlink(__file__)),
        attempt(lambda: open(os.path.dirname(__file__) + "/more.py", "w").close()),
        attempt(lambda: os.chmod(os.path.dirname(__file__), 0o777)),
        attempt(lambda: open("/usr/lib/more.py", "w").close()),
    ]


def call_kernel(event: Any) -> dict[str, str]:
    libc = ctypes.CDLL(None, use_errno=True)
    column = 0 if platform.machine() == "x86_64" else 1
    found = {}
    for name, (numbers, argument) in CALLS.items():
        result = libc.syscall(ctypes.c_long(numbers[column]), ctypes.c_long(argument), 0, 0, 0, 0)
        found[name] = "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]
    return found


def tricky_links(event: Any) -> dict[str, str]:
    mine = tempfile.mkdtemp()
    os.symlink(event["victim"], mine + "/symbolic")
    os.symlink("/", mine + "/root")
    return {
        "through a symbolic link": attempt(lambda: open(mine + "/symbolic", "a").close()),
        "through the root": attempt(lambda: open(mine + "/root" + event["victim"], "a").close()),
        "hard link to code": attempt(lambda: os.link(__file__, mine + "/hard")),
        "hard link to the system": attempt(lambda: os.link("/usr/bin/env", mine + "/env")),
        "a device": attempt(lambda: os.mknod(mine + "/disk", 0o660 | 0o060000, os.makedev(8, 0))),
    }


def reach(event: Any) -> dict[str, str]:
    """Addresses of the machine's own services, and of the cloud's."""

    def connect(host: str, port: int) -> None:
        with socket.create_connection((host, port), timeout=1):
            pass

    return {f"{host}:{port}": attempt(partial(connect, host, port)) for host, port in event["addresses"]}


def kill_everybody(event: Any) -> list[str]:
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            found.append(attempt(partial(os.kill, int(pid), signal.SIGKILL)))
    found.append(attempt(lambda: os.kill(-1, signal.SIGKILL)))
    return found


def answer(run: int) -> None:
    os.write(3, struct.pack("<IIBII", 15, run, 1, 1, 1) + b"42")


def answer_another(event: Any) -> str:
    answer(77)
    time.sleep(5)
    return "never"


def answer_twice(event: Any) -> str:
    answer(1)
    answer(1)
    time.sleep(5)
    return "never"


def leave(event: Any) -> None:
    os._exit(0)


def handler(event: dict[str, Any], context: Any) -> Any:
    attack: Callable[[Any], Any] = globals()[event["do"]]
    return attack(event)
