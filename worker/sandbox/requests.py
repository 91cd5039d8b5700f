"""What a zygote is asked: to start a process, to give a waiting one what is a function's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.inside.root import RUNTIME
from worker.sandbox.interface import Locations, ProcessSpec
from worker.sandbox.placement import Placement
from worker.sandbox.zygote_process import ZygoteProcess

OPEN_FILES = 1024
PROCESSES = 1024
EXECUTED_EXTRA_BYTES = 256 << 20
"""Beyond its memory, for a program whose runtime reserves more than it uses."""
MOST_STORAGE_MB = 10_240
"""Of any function: a limit can be lowered later, not raised."""


def start_request(
    process: ZygoteProcess, spec: ProcessSpec, seen: Locations, placement: Placement
) -> Mapping[str, Any]:
    """Start `process`, which sees its directories at `seen`."""
    return {
        "request": "start",
        "identifier": process.identifier,
        "mark": process.mark,
        "command": list(spec.command(seen)),
        "working_directory": spec.working_directory if spec.image else "",
        "handler": spec.handler,
        "version": spec.runtime.removeprefix("python"),
        "library": seen.library,
        "learns": spec.learns,
        "has_channel": spec.channel is not None,
        "has_api_line": spec.api_line is not None,
        "is_generic": spec.waits,
        "own_loopback": spec.own_loopback,
        "extensions": _extensions(process, spec, seen),
        "layers": seen.layers,
        "variables": variables_of(process, spec, seen),
        "limits": _limits(spec),
        "confinement": {
            "uid": process.uid,
            "mounts": bool(placement.binds),
            "binds": placement.binds,
            "trees": placement.trees,
            "readable": [each for each in (seen.task_root, seen.library, seen.layers) if each],
            "scratch": process.scratch,
            "task_root": seen.task_root,
            "open_files": OPEN_FILES,
            "processes": PROCESSES,
            "storage_mb": spec.ephemeral_storage_mb,
            "memory_bytes": _data_limit_bytes(process, spec),
            "image": spec.image is not None,
        },
    }


def descriptors_of(spec: ProcessSpec) -> list[int]:
    """What goes with a request to start a function's process."""
    lines = [line.fileno() for line in (spec.channel, spec.api_line) if line is not None]
    if spec.extensions is not None:
        lines += [spec.extensions.output, spec.extensions.line.fileno()]
    return [spec.output, *lines]


def furnish_request(
    process: ZygoteProcess, spec: ProcessSpec, seen: Locations, placement: Placement
) -> Mapping[str, object]:
    """Give a waiting process what it does not have yet."""
    return {
        "limits": _limits(spec),
        "furnishing": {
            "uid": process.uid,
            "trees": [tree for tree in placement.trees if tree[1] != RUNTIME],
            "storage_mb": spec.ephemeral_storage_mb,
            "address": seen.runtime_api.partition(":")[0],
        },
    }


def generic_spec(kind: GenericProcess, output: int) -> ProcessSpec:
    """A process that waits for its function."""
    return ProcessSpec(
        runtime=kind.runtime,
        handler="",
        task_root=kind.program_directory,
        memory_mb=kind.memory_mb,
        ephemeral_storage_mb=MOST_STORAGE_MB,
        variables=lambda _: dict(kind.variables),
        output=output,
        channel=None,
        command=lambda _: kind.command,
        waits=True,
    )


def variables_of(process: ZygoteProcess, spec: ProcessSpec, seen: Locations) -> Mapping[str, str]:
    """The whole environment of the process."""
    return {**spec.variables(seen), **_mark(process)}


def _mark(process: ZygoteProcess) -> Mapping[str, str]:
    return dict([process.mark.split("=", 1)])


def _extensions(process: ZygoteProcess, spec: ProcessSpec, seen: Locations) -> Mapping[str, object] | None:
    if spec.extensions is None:
        return None
    paths = [f"{seen.layers}/extensions/{name}" for name in spec.extensions.names]
    return {"paths": paths, "variables": {**spec.extensions.variables(seen), **_mark(process)}}


def _limits(spec: ProcessSpec) -> Mapping[str, int]:
    return {"memory_bytes": spec.memory_mb << 20, "processes": PROCESSES}


def _data_limit_bytes(process: ZygoteProcess, spec: ProcessSpec) -> int:
    """Where no control group counts: a limit for each process alone."""
    if process.slot.cgroups is not None:
        return 0
    return (spec.memory_mb << 20) + (EXECUTED_EXTRA_BYTES if spec.channel is None else 0)
