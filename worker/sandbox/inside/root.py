"""The root that a function sees: read-only, made once by each zygote, copied for each environment."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Sequence

from .kernel import (
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    Kernel,
)

TASK_ROOT = "/var/task"
LAYERS = "/opt"
RUNTIME = "/var/runtime"
SCRATCH = "/tmp"
PROGRAMS = "/run/lightswitch"
"""Where a generic process finds the program that waits for its function; functions do not see it."""
IMAGE_SITE = "/run/image"
"""Where a container image's root file system is attached before it becomes the root."""

BUILDING_SITES = ("/mnt", "/media", "/srv", "/var/tmp")
"""Directories that exist nearly everywhere and that the root does not need."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

SETTINGS = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "gai.conf",
    "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types",
    "nsswitch.conf", "os-release", "pki", "protocols", "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip
"""What of /etc programs need that say nothing about this machine's users and services; Java's besides."""

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
LINKS = {
    "dev/fd": "/proc/self/fd",
    "dev/stdin": "/proc/self/fd/0",
    "dev/stdout": "/proc/self/fd/1",
    "dev/stderr": "/proc/self/fd/2",
    "dev/shm": SCRATCH,
    "var/tmp": SCRATCH,
    "etc/mtab": "/proc/self/mounts",
}
FILES_PER_MB = 256
USERS = "root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:{uid}:{uid}::/tmp:/sbin/nologin\n"
HOSTS = "\n127.0.0.1 localhost sandbox sandbox.localdomain\n"
"""The last names are those by which AWS has extensions listen for telemetry."""
GROUPS = "root:x:0:\nsbx_user1051:x:{uid}:\n"


def mount_scratch(kernel: Kernel, storage_mb: int) -> None:
    """Give the /tmp that is mounted there its size. Raises OSError."""
    size = f"size={storage_mb}m,nr_inodes={storage_mb * FILES_PER_MB}"
    kernel.mount(None, SCRATCH, None, MS_REMOUNT | MS_NOSUID | MS_NODEV, size)


def make_root(kernel: Kernel, prefixes: Sequence[str], shared: Sequence[str], *, host_proc: bool) -> int:
    """A descriptor of a mount namespace with the function's root and nothing else of this machine.

    `prefixes`: directories that the interpreter needs. `shared`: directories that the operator shows to
    functions, writable where their modes allow. `host_proc` leaves this machine's /proc below the one that
    each environment mounts: without it the kernel refuses that in a user namespace. Raises OSError.
    """
    readable, writable = os.pipe()
    builder = os.fork()
    if builder == 0:
        _build_and_report(kernel, prefixes, shared, writable, host_proc=host_proc)
    os.close(writable)
    try:
        report = os.read(readable, 4096)
        if report != b"ready":
            raise OSError(report.decode(errors="replace") or "the builder of the root died")
        return os.open(f"/proc/{builder}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(readable)
        os.kill(builder, signal.SIGKILL)
        os.waitpid(builder, 0)


def _build_and_report(
    kernel: Kernel, prefixes: Sequence[str], shared: Sequence[str], report: int, *, host_proc: bool
) -> None:
    try:
        kernel.unshare(CLONE_NEWNS)
        kernel.mount(None, "/", None, MS_REC | MS_PRIVATE)
        _build(kernel, prefixes, shared, host_proc=host_proc)
        os.write(report, b"ready")
        signal.pause()
    except BaseException as error:
        os.write(report, f"{type(error).__name__}: {error}".encode()[:4096])
    finally:
        os._exit(0)


def _build(kernel: Kernel, prefixes: Sequence[str], shared: Sequence[str], *, host_proc: bool) -> None:
    site = next(path for path in BUILDING_SITES if os.path.isdir(path))
    kernel.mount("tmpfs", site, "tmpfs", MS_NOSUID, "mode=755,size=8m")
    for path in (TASK_ROOT, LAYERS, RUNTIME, SCRATCH, IMAGE_SITE, PROGRAMS, "/proc", "/dev", "/etc", "/sys"):
        os.makedirs(site + path, exist_ok=True)
    for path in (TASK_ROOT, LAYERS):
        # The dynamic linker of a generic process never again looks into what it once found missing.
        os.makedirs(site + path + "/lib")
    for path in SYSTEM:
        _show_system(kernel, site, path)
    for path in prefixes:
        if not _is_below(path, SYSTEM):
            _show(kernel, site, path)
    _settings(kernel, site)
    for name, number in DEVICES.items():
        _device(kernel, site, name, number)
    for path in shared:
        os.makedirs(site + path, exist_ok=True)
        kernel.mount(path, site + path, None, MS_BIND | MS_REC)
    for link, goal in LINKS.items():
        if not os.path.exists(site + "/" + link):
            os.symlink(goal, site + "/" + link)
    if host_proc:
        kernel.mount("/proc", site + "/proc", None, MS_BIND | MS_REC)
    kernel.change_root(site)
    kernel.mount(None, "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)


def _show_system(kernel: Kernel, site: str, path: str) -> None:
    if os.path.islink(path):
        os.symlink(os.readlink(path), site + path)
    elif os.path.isdir(path):
        _show(kernel, site, path)


def _show(kernel: Kernel, site: str, path: str) -> None:
    """A directory or file, read-only, at its own place."""
    if os.path.isdir(path):
        os.makedirs(site + path, mode=0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(site + path), mode=0o755, exist_ok=True)
        with open(site + path, "wb"):
            pass
    kernel.attach(kernel.copy_tree(path, MS_RDONLY | MS_NOSUID | MS_NODEV), site + path)


def settings() -> list[str]:
    """Names in /etc: SETTINGS, and where Debian keeps those of each version of Java."""
    return [*SETTINGS, *sorted(name for name in os.listdir("/etc") if name.startswith("java"))]


def _settings(kernel: Kernel, site: str) -> None:
    for name in settings():
        path = "/etc/" + name
        if os.path.isdir(path):
            _show(kernel, site, path)
        elif os.path.isfile(path) and os.access(path, os.R_OK):
            _copy(path, site + path)
    with open(f"{site}/etc/hosts", "a") as file:
        file.write(HOSTS)
    for name, text in (("passwd", USERS), ("group", GROUPS), ("hostname", "sandbox\n")):
        with open(f"{site}/etc/{name}", "w") as file:
            file.write(text.format(uid=993))


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as original, open(target, "wb") as copy:
        copy.write(original.read(1 << 20))
    os.chmod(target, 0o644)


def _device(kernel: Kernel, site: str, name: str, number: tuple[int, int]) -> None:
    target = f"{site}/dev/{name}"
    try:
        os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(*number))
        os.chmod(target, 0o666)
    except PermissionError:
        with open(target, "wb"):
            pass
        kernel.attach(kernel.copy_tree(f"/dev/{name}", MS_NOSUID | MS_NOEXEC), target)


def _is_below(path: str, directories: Sequence[str]) -> bool:
    return any(path == each or path.startswith(each + "/") for each in directories)
