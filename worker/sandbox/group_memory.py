"""The memory of one environment's control group, as the worker looks at it while the environment runs."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from worker.sandbox.inside.cgroups import Cgroups

KERNEL_BEFORE_LINUX_5_18 = ("kernel_stack", "pagetables", "percpu", "slab")


class GroupMemory:
    """Of group `name`; in bytes. Everything raises OSError where the group is gone."""

    def __init__(self, cgroups: Cgroups, name: str) -> None:
        self._unified = cgroups.unified
        self._directory = Path(cgroups.directories["unified" if cgroups.unified else "memory"], name)
        self._used = str(self._directory / ("memory.current" if self._unified else "memory.usage_in_bytes"))
        self._limit = self._directory / ("memory.max" if self._unified else "memory.limit_in_bytes")

    def limit(self) -> int:
        """The kernel's limit; something huge where there is none."""
        text = self._limit.read_text().strip()
        return int(text) if text.isdigit() else sys.maxsize

    def set_limit(self, limit: int) -> None:
        """In version 2 the kernel kills what does not fit; version 1 refuses (EBUSY)."""
        self._limit.write_text(str(limit))

    def used(self) -> int:
        """Pages of files that the kernel could drop are counted, too."""
        descriptor = os.open(self._used, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(descriptor, 32))
        finally:
            os.close(descriptor)

    def exceeds(self, allowed: int) -> bool:
        """Whether there is more than `allowed` that the kernel could not take back."""
        if self._needed() <= allowed:
            return False
        return self._unified or not self._can_shrink_to(allowed)

    def _needed(self) -> int:
        lines = (self._directory / "memory.stat").read_text().splitlines()
        stat = {name: int(value) for name, _, value in (line.partition(" ") for line in lines)}
        if self._unified:
            kernel = ("kernel",) if "kernel" in stat else KERNEL_BEFORE_LINUX_5_18
            kept = sum(stat.get(name, 0) for name in ("anon", "shmem", "sock", *kernel))
            return kept - stat.get("slab_reclaimable", 0)
        of_kernel = int((self._directory / "memory.kmem.usage_in_bytes").read_text())
        return stat["rss"] + stat["shmem"] + of_kernel

    def _can_shrink_to(self, limit: int) -> bool:
        """Version 1 does not say how much of the kernel's memory it could take back, so it is asked to."""
        before = self.limit()
        try:
            self.set_limit(limit)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        self.set_limit(before)
        return True
