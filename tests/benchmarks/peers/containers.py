"""What else starts a program in isolation: bubblewrap, crun and runc, each with the same handler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from worker.sandbox.inside.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, Kernel

PYTHON = ["/usr/bin/python3", "-I", "-S"]
HANDLER = "import json, sys; print(json.dumps(json.load(sys.stdin)))"
COMMAND = [*PYTHON, "-c", HANDLER]
LINKS = ("bin", "sbin", "lib", "lib64")
NAMESPACES = ("mount", "pid", "ipc", "uts", "network")
VERSION_2 = "/sys/fs/cgroup/unified"
MEMORY_BYTES = 256 << 20


class Launcher:
    """Starts COMMAND in a fresh sandbox; `name` as people know it."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._command = command

    def first_answer_ms(self, payload: bytes) -> float:
        """From nothing to the handler's answer. Raises RuntimeError where that is not the payload."""
        started = time.perf_counter()
        done = subprocess.run(self._command, input=payload, capture_output=True)
        milliseconds = (time.perf_counter() - started) * 1000
        if done.returncode != 0 or json.loads(done.stdout) != json.loads(payload):
            raise RuntimeError(f"{self.name}: {done.stderr.decode(errors='replace').strip()}")
        return milliseconds


def launchers(directory: Path) -> list[Launcher]:
    """Those that are installed, and a plain process to compare with."""
    found = [Launcher("plain process", COMMAND)]
    if shutil.which("bwrap"):
        found.append(Launcher("bubblewrap", _bubblewrap()))
    for name in ("crun", "runc"):
        if shutil.which(name):
            bundle = _bundle(directory / name)
            found.append(Launcher(name, [name, "run", "--bundle", str(bundle), f"bench-{os.getpid()}"]))
    return found


def hide_second_hierarchy() -> None:
    """From this thread and what it starts: crun refuses a machine whose control groups of version 2 have
    controllers beside those of version 1. Does nothing elsewhere, and without root."""
    if os.geteuid() == 0 and os.path.ismount(VERSION_2):
        kernel = Kernel()
        kernel.unshare(CLONE_NEWNS)
        kernel.mount(None, "/", None, MS_REC | MS_PRIVATE)
        kernel.unmount(VERSION_2)


def _bubblewrap() -> list[str]:
    links = [part for name in LINKS for part in ("--symlink", f"usr/{name}", f"/{name}")]
    mounts = ["--ro-bind", "/usr", "/usr", *links, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    return ["bwrap", "--unshare-all", "--die-with-parent", *mounts, *COMMAND]


def _bundle(directory: Path) -> Path:
    """An OCI bundle whose root shows /usr and nothing else of this machine."""
    root = directory / "rootfs"
    for name in ("usr", "proc", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    for name in LINKS:
        (root / name).symlink_to(f"usr/{name}")
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
    ]
    process = {"cwd": "/", "user": {"uid": 1000, "gid": 1000}, "args": COMMAND, "env": ["PATH=/usr/bin"]}
    namespaces = [{"type": name} for name in NAMESPACES]
    linux = {"namespaces": namespaces, "resources": {"memory": {"limit": MEMORY_BYTES}}}
    document = {
        "ociVersion": "1.0.2",
        "process": {**process, "noNewPrivileges": True},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": mounts,
        "linux": linux,
    }
    (directory / "config.json").write_text(json.dumps(document))
    return directory
