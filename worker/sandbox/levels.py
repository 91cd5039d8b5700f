"""The sandbox levels, and what an operator may say about them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Network = Literal["open", "none", "filtered"]
NETWORKS: tuple[Network, ...] = ("open", "none", "filtered")
NETWORK_LEVELS: dict[Network, str] = {"open": "any", "none": "L3 or L2", "filtered": "L3"}
"""Where each can be enforced."""


class Level(enum.IntEnum):
    """Stronger is greater."""

    L0 = 0
    L1 = 1
    L2 = 2
    L3 = 3

    def __str__(self) -> str:
        return self.name

    @property
    def meaning(self) -> str:
        """What it separates functions by, for people."""
        return _MEANINGS[self]

    @property
    def has_namespaces(self) -> bool:
        """Functions have a root, processes and, if wanted, a network of their own."""
        return self >= Level.L2


_MEANINGS = {
    Level.L3: "namespaces, a user id, a control group, seccomp and Landlock for every environment",
    Level.L2: "user namespaces, seccomp and Landlock for every environment",
    Level.L1: "Landlock, seccomp and resource limits; functions see this machine's processes and network",
    Level.L0: "resource limits only: functions can read what their user can read on this machine",
}

HOW_TO_GET = {
    Level.L3: "run the worker as root, with control groups (memory, cpu, pids) that it may write",
    Level.L2: "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 "
    "user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0",
    Level.L1: "use Linux 5.13 or newer with Landlock (boot parameter lsm=landlock,...)",
}


@dataclass(frozen=True, slots=True)
class IsolationPolicy:
    """`forced`: this level or none. `minimum`: refuse to start below it. `shared`: directories of this
    machine that functions see at their own paths, writable where modes allow. `prepared`: children that each
    zygote keeps ready. `prewarmed`: generic processes that are kept for each kind of function (0: none).
    `packages` of the runtime's library are imported ahead, for Python functions that do not bring them.
    `imports_mb`: memory for processes that have imported what functions do (0: none; none with `packages`).
    `allowed_networks`: what functions may reach although `filtered` refuses it."""

    forced: Level | None = None
    minimum: Level = Level.L0
    network: Network = "open"
    allowed_networks: tuple[str, ...] = ()
    shared: tuple[Path, ...] = ()
    prepared: int = 4
    prewarmed: int = 2
    packages: tuple[str, ...] = ()
    imports_mb: int = 128

    def candidates(self) -> tuple[Level, ...]:
        """The levels to try, strongest first."""
        levels = sorted(Level, reverse=True) if self.forced is None else [self.forced]
        return tuple(level for level in levels if level >= self.minimum and self._can_enforce_network(level))

    def _can_enforce_network(self, level: Level) -> bool:
        match self.network:
            case "open":
                return True
            case "none":
                return level.has_namespaces
            case "filtered":
                return level is Level.L3


def parse_level(text: str) -> Level | None:
    """`auto` is None. Raises ValueError."""
    if text == "auto":
        return None
    try:
        return Level[text]
    except KeyError:
        raise ValueError(f"{text!r} is no isolation level; say auto, L3, L2, L1 or L0") from None
