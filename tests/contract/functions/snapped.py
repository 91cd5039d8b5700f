"""A function whose init leaves marks, for copies of it to be told apart and held against each other."""

from __future__ import annotations

import ctypes
import os
import random
import secrets
import signal
import socket
import ssl
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from snapshot_restore_py import register_after_restore, register_before_snapshot

UNSHARE, SETNS = 272, 308
KINDS = ("user", "mnt", "pid", "ipc", "uts", "cgroup", "net")

initialized = uuid.uuid4().hex
generator = random.Random()
hooks: list[str] = []
register_before_snapshot(hooks.append, "before")
register_after_restore(hooks.append, "after")

os.makedirs(os.environ["TMPDIR"] + "/deep", exist_ok=True)
with open(os.environ["TMPDIR"] + "/deep/by-init", "w") as file:
    file.write("abcdefgh")
notes = open(os.environ["TMPDIR"] + "/deep/by-init")  # noqa: SIM115 (left open)
notes.read(2)

listener = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(listener.getsockname())
accepted, _ = listener.accept()

if "THREAD" in os.environ:
    threading.Thread(target=time.sleep, args=(60,), name="watcher", daemon=True).start()
if "PIPE" in os.environ:
    kept = os.pipe()


def look(event: Any, context: Any) -> Any:
    status = Path("/proc/self/status").read_text().split("\n")
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    return {
        "initialized": initialized,
        "hooks": hooks,
        "uid": os.getuid(),
        "capabilities": [int(fields[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")],
        "no_new_privileges": fields["NoNewPrivs"],
        "seccomp": fields["Seccomp"],
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "command": Path("/proc/self/cmdline").read_text().rstrip("\0"),
        "host_name": socket.gethostname(),
        "directory": os.getcwd(),
        "namespaces": [os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS],
        "limit": context.memory_limit_in_mb,
    }


def chance(event: Any, context: Any) -> Any:
    """What must not be the same in two copies."""
    with tempfile.NamedTemporaryFile() as temporary:
        name = os.path.basename(temporary.name)
    return [random.random(), uuid.uuid4().hex, ssl.RAND_bytes(16).hex(), secrets.token_hex(), name]


def write(event: Any, context: Any) -> Any:
    """Leave a file; what there is."""
    scratch = os.environ["TMPDIR"]
    with open(f"{scratch}/{event}", "w") as file:
        file.write(event)
    return sorted(os.listdir(scratch))


def read_on(event: Any, context: Any) -> Any:
    return notes.read(1)


def talk(event: Any, context: Any) -> Any:
    """What comes over the connection that init made."""
    return connection.recv(16).decode()


def kill_all(event: Any, context: Any) -> Any:
    for pid in range(2, 64):
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
    return "done"


def intrude(event: Any, context: Any) -> Any:
    """Try to enter, or make, any namespace that can be named; those where it worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    entered = []
    for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
        for kind in KINDS:
            try:
                descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
            except OSError:
                continue
            if libc.setns(descriptor, 0) == 0:
                entered.append(f"{kind} of {pid}")
            os.close(descriptor)
        descriptor = os.pidfd_open(int(pid))
        if libc.setns(descriptor, 0x10000000 | 0x00020000) == 0:
            entered.append(f"all of {pid}")
        os.close(descriptor)
    if libc.unshare(0x10000000) == 0:
        entered.append("a new user namespace")
    return entered


def hog(event: Any, context: Any) -> Any:
    return len(bytearray(event << 20))
