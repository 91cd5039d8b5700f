"""Where a branch's template and copies live: their control groups, mounts and namespaces."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress

from ...sandbox.inside.cgroups import CgroupLimits
from ...sandbox.inside.confine import Confinement
from ...sandbox.inside.isolation import Isolation
from ...sandbox.inside.kernel import MS_NODEV, MS_NOSUID, MS_RDONLY
from ...sandbox.inside.shell import make_shell


class Quarters:
    """All of one function alike: `confinement` and `limits`. `name` begins the groups' names."""

    def __init__(
        self, isolation: Isolation, name: str, confinement: Confinement, limits: CgroupLimits
    ) -> None:
        self._isolation = isolation
        self._name = name
        self._confinement = confinement
        self._limits = limits
        self._numbers = itertools.count(1)
        self._groups: list[str] = []

    def new_group(self) -> str:
        """Raises OSError."""
        group = f"{self._name}-{next(self._numbers)}"
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.create(group)
            self._isolation.cgroups.limit(group, self._limits)
        self._groups.append(group)
        return group

    def bring(self, group: str, pid: int) -> None:
        """Move a process to its group. Raises OSError."""
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.bring(group, pid)

    def freeze(self, group: str, *, frozen: bool) -> None:
        """A frozen process of a version 1 group does not die; a group that is gone is fine."""
        if self._isolation.cgroups is not None:
            with suppress(OSError):
                self._isolation.cgroups.freeze(group, frozen=frozen)

    def thaw_all(self) -> None:
        """So that all can die."""
        for group in self._groups:
            self.freeze(group, frozen=False)

    def remove(self, group: str) -> None:
        """Once nobody lives there."""
        self._groups.remove(group)
        if self._isolation.cgroups is not None:
            self._isolation.cgroups.remove(group)

    def remove_all(self) -> None:
        """Once nobody lives anywhere."""
        for group in list(self._groups):
            self.remove(group)

    def open_trees(self) -> list[int]:
        """Descriptors of what the function sees. Raises OSError."""
        attributes = MS_RDONLY | MS_NOSUID | MS_NODEV
        return [self._isolation.kernel.copy_tree(source, attributes) for source, _ in self._confinement.trees]

    def make_shell(self, group: str) -> int:
        """Namespaces for a copy: the pid of their process 1. Raises OSError."""
        trees = self.open_trees()
        try:
            return make_shell(self._isolation, self._confinement, group, trees)
        finally:
            for tree in trees:
                os.close(tree)
