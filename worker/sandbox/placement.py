"""Where a process sees its directories: as on Lambda where mounts are possible, else where they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from worker.sandbox.interface import Locations, ProcessSpec
from worker.sandbox.interpreters import reachable_by_all
from worker.sandbox.zygote_slot import ZygoteSlot

TASK_ROOT = "/var/task"
LIBRARY = "/var/runtime"
SCRATCH = "/tmp"

Bind = tuple[str, str, bool]
"""Source, target, read-only."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The process's view, the mounts that make it, and why it cannot have its own uid (or nothing)."""

    locations: Locations
    binds: tuple[Bind, ...] = ()
    problem: str = ""


def make_mount_points() -> bool:
    """Make the directories that mounts cover; False where that is not possible."""
    try:
        for directory in (TASK_ROOT, LIBRARY):
            Path(directory).mkdir(mode=0o755, exist_ok=True)
    except OSError:
        return False
    return True


def place(slot: ZygoteSlot, spec: ProcessSpec, scratch: Path, library: Path | None) -> Placement:
    """The view of a process of `slot` that is to run `spec`."""
    if slot.private_mounts:
        return _mounted(slot, spec, scratch, library)
    locations = Locations(str(spec.task_root), str(library or ""), str(scratch))
    if slot.own_uids:
        for directory in (spec.task_root, scratch.parent.parent):
            if not _reachable(directory):
                problem = (
                    f"functions run as root: other users cannot reach {directory}; move the data directory"
                )
                return Placement(locations, problem=problem)
    return Placement(locations)


def _mounted(slot: ZygoteSlot, spec: ProcessSpec, scratch: Path, library: Path | None) -> Placement:
    binds = [(str(spec.task_root), TASK_ROOT, True)]
    if library is not None:
        binds.append((str(library), LIBRARY, True))
    # An interpreter that lives below /tmp would vanish under a private one.
    hides_interpreter = slot.interpreter.path.resolve().is_relative_to(SCRATCH)
    if not hides_interpreter:
        binds.append((str(scratch), SCRATCH, False))
    seen_scratch = str(scratch) if hides_interpreter else SCRATCH
    locations = Locations(TASK_ROOT, LIBRARY if library else "", seen_scratch)
    return Placement(locations, tuple(binds))


@lru_cache(maxsize=4096)
def _reachable(directory: Path) -> bool:
    return reachable_by_all(directory)
