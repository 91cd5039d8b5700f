"""Where a process sees its directories: as on Lambda where mounts are possible, else where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.inside.root import IMAGE_SITE, LAYERS, PROGRAMS, RUNTIME, SCRATCH, TASK_ROOT
from worker.sandbox.interface import Locations, ProcessSpec, StartFailed
from worker.sandbox.interpreters import reachable_by_all
from worker.sandbox.zygote_slot import ZygoteSlot

Bind = tuple[str, str, bool]
"""Source, target, read-only."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The process's view, the mounts that make it, and why it cannot have its own uid (or nothing)."""

    locations: Locations
    trees: tuple[tuple[str, str], ...] = ()
    """Source and target, where it has a root of its own."""
    binds: tuple[Bind, ...] = ()
    problem: str = ""


def make_mount_points() -> bool:
    """Make the directories that mounts cover; False where that is not possible."""
    try:
        for directory in (TASK_ROOT, RUNTIME, LAYERS):
            Path(directory).mkdir(mode=0o755, exist_ok=True)
    except OSError:
        return False
    return True


def place(slot: ZygoteSlot, spec: ProcessSpec, scratch: Path, library: Path | None) -> Placement:
    """The view of a process of `slot` that is to run `spec`. Raises StartFailed."""
    if spec.image is not None:
        return _in_image(slot, spec.image)
    runtime = spec.runtime_directory or library
    trees = [(str(spec.task_root), TASK_ROOT)]
    if runtime is not None:
        trees.append((str(runtime), RUNTIME))
    if spec.layers is not None:
        trees.append((str(spec.layers), LAYERS))
    interpreter = str(slot.interpreter.path)
    layers = LAYERS if spec.layers else ""
    seen = Locations(TASK_ROOT, RUNTIME if runtime else "", SCRATCH, layers, interpreter)
    if slot.own_root:
        return Placement(seen, trees=tuple(trees))
    if slot.private_mounts:
        return _mounted(slot, seen, trees, scratch)
    return _where_it_lies(slot, spec, scratch, runtime)


def place_generic(kind: GenericProcess) -> Placement:
    """The view of a process that waits for its function, in a root of its own."""
    trees = ((str(kind.runtime_directory), RUNTIME), (str(kind.program_directory), PROGRAMS))
    return Placement(Locations(TASK_ROOT, RUNTIME, SCRATCH, LAYERS), trees)


def _in_image(slot: ZygoteSlot, image: Path) -> Placement:
    if not slot.own_root:
        raise StartFailed(
            "setup", "container images need isolation L3 or L2, which this worker does not have"
        )
    return Placement(Locations("/", RUNTIME, SCRATCH, LAYERS), trees=((str(image), IMAGE_SITE),))


def _where_it_lies(slot: ZygoteSlot, spec: ProcessSpec, scratch: Path, runtime: Path | None) -> Placement:
    locations = Locations(
        str(spec.task_root),
        str(runtime or ""),
        str(scratch),
        str(spec.layers or ""),
        str(slot.interpreter.path),
    )
    if slot.own_uids:
        for directory in (spec.task_root, scratch.parent.parent):
            if not _reachable(directory):
                problem = (
                    f"functions run as root: other users cannot reach {directory}; move the data directory"
                )
                return Placement(locations, problem=problem)
    return Placement(locations)


def _mounted(slot: ZygoteSlot, seen: Locations, trees: list[tuple[str, str]], scratch: Path) -> Placement:
    binds = [(source, target, True) for source, target in trees]
    # An interpreter that lives below /tmp would vanish under a private one.
    if slot.interpreter.path.resolve().is_relative_to(SCRATCH):
        seen = replace(seen, scratch=str(scratch))
    else:
        binds.append((str(scratch), SCRATCH, False))
    return Placement(seen, binds=tuple(binds))


@lru_cache(maxsize=4096)
def _reachable(directory: Path) -> bool:
    return reachable_by_all(directory)
