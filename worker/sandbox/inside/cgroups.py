"""Control groups, version 2 or 1: what all processes of one environment together may use."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

CONTROLLERS = ("memory", "cpu", "pids")
SHARE_OF_A_PROCESS_V1 = 1024
SHARE_OF_A_PROCESS_V2 = 100
MOST_WEIGHT_V2 = 10_000
FUNCTIONS_TO_PLATFORM = 4
"""On every processor all functions together weigh as much as so many processes beside them. With the weight
of one they are kept waiting while the worker, the gateway and Redis wake for each answer by itself instead of
for many at a time: twice the processor time for a call."""
PERIOD_US = 100_000
LEAST_QUOTA_US = 1_000
UNLIMITED_V1 = "-1"
REMOVE_TRIES = 50
DELEGATE_TRIES = 10
PLATFORM = "lightswitch-platform"
"""Where a group's own processes go so that it can have limited groups beside them. Version 2."""


@dataclass(frozen=True)
class CgroupLimits:
    """`processes` counts threads too."""

    memory_bytes: int
    processes: int


class Cgroups:
    """The groups of one worker's environments. `directories`: controller to directory; version 2 has only
    `unified`.

    Groups are named by environments' identifiers. Usable from several processes at once.
    """

    def __init__(self, directories: Mapping[str, str]) -> None:
        self.directories = dict(directories)
        self.unified = "unified" in directories
        self.loopback = ""

    @classmethod
    def make(cls, name: str) -> Cgroups:
        """A group `name` below our own, cleared of what an earlier owner left. Raises OSError."""
        own, mounts = _own_groups(), _mounts()
        unified = mounts.get("unified")
        if unified and _has_controllers(unified):
            base = _base(unified, own.get("unified", "/").removesuffix("/" + PLATFORM))
            _delegate(base)
            groups = cls({"unified": _make(base, name)})
            _delegate(groups.directories["unified"])
        else:
            missing = [each for each in (*CONTROLLERS, "freezer") if each not in mounts]
            if missing:
                raise OSError(errno.ENOENT, "cgroup controllers are missing: " + ", ".join(missing))
            bases = {each: _base(mounts[each], own.get(each, "/")) for each in (*CONTROLLERS, "freezer")}
            groups = cls({each: _make(base, name) for each, base in bases.items()})
        groups.clear()
        groups._weigh(FUNCTIONS_TO_PLATFORM * (os.cpu_count() or 1))
        return groups

    def network_group(self) -> str:
        """The directory of version 2 whose processes a network filter is to hold; beside version 1's
        controllers, that hierarchy is joined as well from now on. Raises OSError."""
        if not self.unified:
            mount = _mounts().get("unified")
            if mount is None:
                raise OSError(errno.ENOENT, "no control groups of version 2 are mounted")
            name = os.path.basename(self.directories["memory"])
            self.directories["network"] = _make(_base(mount, _own_groups().get("unified", "/")), name)
        return self.directories["unified" if self.unified else "network"]

    def loopback_group(self) -> str:
        """A directory of version 2, beside version 1's controllers, for those with a loopback of their own.

        Raises OSError."""
        mount = _mounts().get("unified")
        if mount is None:
            raise OSError(errno.ENOENT, "no control groups of version 2 are mounted")
        name = os.path.basename(self.directories["memory"])
        self.loopback = _make(_base(mount, _own_groups().get("unified", "/")), name)
        return self.loopback

    def bring_to_loopback(self, pid: int) -> None:
        """Move another process to `loopback_group`. Raises OSError."""
        _write(self.loopback + "/cgroup.procs", str(pid))

    def clear(self) -> None:
        """Remove groups that nobody uses any more."""
        self.thaw_all()
        for name in self._names():
            self.remove(name)

    def thaw_all(self) -> None:
        """What was killed while it was frozen dies now."""
        for name in self._names():
            with contextlib.suppress(OSError):
                self.freeze(name, frozen=False)

    def _names(self) -> set[str]:
        return {name for each in self.directories.values() for name in _groups_in(each)}

    def create(self, name: str) -> None:
        """A group without limits. Raises OSError."""
        for directory in self.directories.values():
            os.mkdir(f"{directory}/{name}", 0o755)

    def limit(self, name: str, limits: CgroupLimits) -> None:
        """Set what the group may use; the processor's limit comes with `limit_cpu`. Raises OSError."""
        if self.unified:
            self._write("unified", name, "memory.max", str(limits.memory_bytes))
            self._write_if_there("unified", name, "memory.swap.max", "0")
        else:
            self._write("memory", name, "memory.limit_in_bytes", str(limits.memory_bytes))
            self._write_if_there("memory", name, "memory.swappiness", "0")
        self._write("unified" if self.unified else "pids", name, "pids.max", str(limits.processes))

    def limit_cpu(self, name: str, processors: float) -> None:
        """Processor time per second of time, in processors. Raises OSError."""
        quota_us = max(LEAST_QUOTA_US, int(processors * PERIOD_US))
        if self.unified:
            self._write("unified", name, "cpu.max", f"{quota_us} {PERIOD_US}")
        else:
            self._write("cpu", name, "cpu.cfs_quota_us", str(quota_us))
        # What was not used lately may be used in one go: a short run is not cut in two.
        controller, file = ("unified", "cpu.max.burst") if self.unified else ("cpu", "cpu.cfs_burst_us")
        self._write_if_there(controller, name, file, str(quota_us))

    def weigh(self, name: str, *, background: bool) -> None:
        """Whether the group gets processor time only where hardly anybody else wants it. Raises OSError."""
        if self.unified:
            self._write("unified", name, "cpu.weight", "1" if background else "100")
        else:
            self._write("cpu", name, "cpu.shares", "2" if background else "1024")

    def join(self, name: str) -> None:
        """Move this process, which must have one thread, there. Raises OSError."""
        for controller in self.directories:
            # A thread that moves itself spares version 1 the lock that stops every fork and exit of the
            # machine and takes milliseconds to get.
            version_1 = not self.unified and controller != "network"
            self._write(controller, name, "tasks" if version_1 else "cgroup.procs", "0")

    def bring(self, name: str, pid: int) -> None:
        """Move another process, which must have one thread, there. Raises OSError."""
        for controller in self.directories:
            version_1 = not self.unified and controller != "network"
            self._write(controller, name, "tasks" if version_1 else "cgroup.procs", str(pid))

    def freeze(self, name: str, *, frozen: bool) -> None:
        """Stop every process of the group, or let them go on. Raises OSError."""
        if self.unified:
            self._write("unified", name, "cgroup.freeze", "1" if frozen else "0")
        else:
            self._write("freezer", name, "freezer.state", "FROZEN" if frozen else "THAWED")

    def peak_bytes(self, name: str) -> int:
        """The most memory that the group had at one time; 0 where the kernel does not say."""
        names = ("memory.peak",) if self.unified else ("memory.max_usage_in_bytes",)
        try:
            with open(self._path("unified" if self.unified else "memory", name, names[0]), "rb") as file:
                return int(file.read())
        except OSError:
            return 0

    def remove(self, name: str) -> None:
        """Remove the group; one that still has processes stays. Idempotent."""
        for directory in self.directories.values():
            _remove(f"{directory}/{name}")

    def remove_all(self) -> None:
        """Remove the worker's own group as well."""
        self.clear()
        for directory in self.directories.values():
            _remove(directory)
        if self.loopback:
            _remove(self.loopback)

    def _weigh(self, processes: int) -> None:
        """Let all groups together get as much of a contended processor as so many processes outside."""
        if self.unified:
            weight = min(MOST_WEIGHT_V2, SHARE_OF_A_PROCESS_V2 * processes)
            _write(self.directories["unified"] + "/cpu.weight", str(weight))
        else:
            _write(self.directories["cpu"] + "/cpu.shares", str(SHARE_OF_A_PROCESS_V1 * processes))

    def directory_of(self, name: str) -> str:
        """The group's directory in version 2."""
        return f"{self.directories['unified']}/{name}"

    def _path(self, controller: str, name: str, file: str) -> str:
        return f"{self.directories[controller]}/{name}/{file}"

    def _write(self, controller: str, name: str, file: str, text: str) -> None:
        _write(self._path(controller, name, file), text)

    def _write_if_there(self, controller: str, name: str, file: str, text: str) -> None:
        try:
            self._write(controller, name, file, text)
        except OSError:
            return


class PartOfCgroups(Cgroups):
    """Of the `whole`, the groups whose names begin with `prefix`: nothing else is thawed or removed."""

    def __init__(self, whole: Cgroups, prefix: str) -> None:
        super().__init__(whole.directories)
        self.loopback = whole.loopback
        self._prefix = prefix

    def remove_all(self) -> None:
        """The whole is another's."""
        self.clear()

    def _names(self) -> set[str]:
        return {name for name in super()._names() if name.startswith(self._prefix)}


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _remove(directory: str) -> None:
    for _ in range(REMOVE_TRIES):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError:
            # Dead processes leave their group a moment after they have been waited for.
            time.sleep(0.001)
        else:
            return


def _make(base: str, name: str) -> str:
    directory = f"{base}/{name}"
    os.makedirs(directory, exist_ok=True)
    return directory


def _groups_in(directory: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(directory) if entry.is_dir()]
    except FileNotFoundError:
        return []


def _mounts() -> dict[str, str]:
    """Controller to where its hierarchy is mounted."""
    found: dict[str, str] = {}
    with open("/proc/self/mounts") as file:
        for line in file:
            _, place, kind, options = line.split()[:4]
            if kind == "cgroup2":
                found.setdefault("unified", place)
            elif kind == "cgroup":
                for option in options.split(","):
                    found.setdefault(option, place)
    return found


def _own_groups() -> dict[str, str]:
    """Controller to our own group's path."""
    found = {}
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(",") if controllers else ["unified"]:
                found[controller] = path
    return found


def _base(mount: str, own: str) -> str:
    """Our own group; the mount itself where the path means nothing here (a container's view)."""
    path = mount + own.rstrip("/")
    return path if os.path.isdir(path) else mount


def _has_controllers(directory: str) -> bool:
    with open(directory + "/cgroup.controllers") as file:
        return set(CONTROLLERS) <= set(file.read().split())


def _delegate(directory: str) -> None:
    """Let groups below `directory` have limits. In version 2 a group with such children has no processes of
    its own: those it has (the worker and its siblings) move to a group beside the environments'."""
    control = directory + "/cgroup.subtree_control"
    wanted = " ".join("+" + each for each in CONTROLLERS)
    for tries_left in range(DELEGATE_TRIES, -1, -1):
        try:
            _write(control, wanted)
        except OSError as error:
            if error.errno != errno.EBUSY or not tries_left:
                raise
            _move_all(directory, _make(directory, PLATFORM))
        else:
            return


def _move_all(source: str, target: str) -> None:
    """Some may fork meanwhile, or be moved by another worker."""
    with open(source + "/cgroup.procs") as file:
        for pid in file.read().split():
            _move(pid, target)


def _move(pid: str, directory: str) -> None:
    try:
        _write(directory + "/cgroup.procs", pid)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
