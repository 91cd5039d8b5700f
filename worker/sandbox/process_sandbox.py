"""The process level: a process of its own session, uid (for root), limits and clean environment."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from worker.sandbox.interface import (
    OnExit,
    OnFailure,
    ProcessSpec,
    SandboxProcess,
    SandboxUnavailable,
    StartFailed,
)
from worker.sandbox.interpreters import Interpreter, find_interpreters
from worker.sandbox.placement import Placement, make_mount_points, place
from worker.sandbox.uid_block import FIRST_UID, NoUids, UidBlock
from worker.sandbox.zygote_connection import Event
from worker.sandbox.zygote_process import ZygoteProcess
from worker.sandbox.zygote_slot import ZygoteSlot

PROVIDED = ("provided", "provided.al2", "provided.al2023")
LOCK_DIRECTORY = Path("/run/lightswitch")
OPEN_FILES = 1024
PROCESSES = 1024


class ProcessSandbox:
    """Forks functions' processes from zygotes.

    `directory` is the worker's own; scratch directories live below it. `library` is the runtime library,
    or None. For root, `lock_directory` is where the workers of this machine share out user ids from
    `first_uid` up.
    """

    level = "process"

    def __init__(
        self,
        directory: Path,
        library: Path | None = None,
        *,
        interpreters: Mapping[str, Interpreter] | None = None,
        lock_directory: Path = LOCK_DIRECTORY,
        first_uid: int = FIRST_UID,
    ) -> None:
        self._scratch = directory / "scratch" / secrets.token_hex(4)
        self._library = library
        self._interpreters = find_interpreters() if interpreters is None else interpreters
        self._lock_directory = lock_directory
        self._first_uid = first_uid
        self._slots: dict[str, ZygoteSlot] = {}
        self._processes: dict[str, ZygoteProcess] = {}
        self._problems: dict[str, None] = {}
        self._numbers = itertools.count(1)

    def runtimes(self) -> tuple[str, ...]:
        """Every version of Python found here, and programs that bring their own runtime."""
        versions = sorted(self._interpreters, key=lambda version: int(version.partition(".")[2]))
        return (*(f"python{version}" for version in versions), *PROVIDED)

    def problems(self) -> tuple[str, ...]:
        """What is weaker than it should be; complete after `open`."""
        return tuple(self._problems)

    async def open(self) -> None:
        """Launch the zygote of this process's own Python version, which also starts bootstraps."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._scratch.chmod(0o711)
        slot = self._slot(self._default_version())
        await slot.connection()
        self._judge(slot)

    async def start(self, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure) -> SandboxProcess:
        """Have the process forked by the zygote of its Python version."""
        slot = self._slot(self._version(spec.runtime))
        try:
            connection = await slot.connection()
        except SandboxUnavailable as error:
            raise StartFailed("setup", str(error)) from error
        process, placement = self._prepare(slot, spec, on_exit, on_failure)
        self._processes[process.identifier] = process
        descriptors = [spec.output] if spec.channel is None else [spec.output, spec.channel.fileno()]
        try:
            await connection.send(_start_request(process, spec, placement), descriptors)
        except ConnectionError as error:
            self._forget(process)
            raise StartFailed("setup", f"the zygote died: {error}") from error
        except BaseException:
            self._forget(process)
            raise
        return process

    async def close(self) -> None:
        """End all zygotes, and with them every process."""
        await asyncio.gather(*(slot.close() for slot in self._slots.values()))
        self._slots.clear()
        for process in list(self._processes.values()):
            process.was_killed()
        with contextlib.suppress(FileNotFoundError):
            self._scratch.rmdir()

    def _default_version(self) -> str:
        return next(iter(self._interpreters))

    def _version(self, runtime: str) -> str:
        if runtime.startswith("provided"):
            return self._default_version()
        version = runtime.removeprefix("python")
        if version not in self._interpreters:
            raise StartFailed("setup", f"this machine has no interpreter for runtime {runtime}")
        return version

    def _slot(self, version: str) -> ZygoteSlot:
        slot = self._slots.get(version)
        if slot is None:
            interpreter = self._interpreters[version]

            def lost() -> None:
                self._zygote_lost(version)

            slot = ZygoteSlot(interpreter, self._lease(interpreter), self._scratch, self._heard, lost)
            self._slots[version] = slot
        return slot

    def _lease(self, interpreter: Interpreter) -> UidBlock | None:
        if os.geteuid() != 0:
            self._complain(
                "functions run under the worker's own user; run the worker as root to separate them"
            )
            return None
        if not interpreter.reachable:
            self._complain(
                f"functions of Python {interpreter.version} run as root: other users cannot reach "
                f"{interpreter.path}; install it where all users may run it, e.g. /usr/bin"
            )
            return None
        try:
            return UidBlock.lease(self._lock_directory, self._first_uid)
        except NoUids as error:
            self._complain(f"functions run as root: {error}")
            return None

    def _judge(self, slot: ZygoteSlot) -> None:
        if slot.block is not None and not slot.own_uids:
            self._complain(f"functions run as root: this container does not map user id {slot.block.first}")
        if slot.private_mounts and not make_mount_points():
            slot.private_mounts = False
        if not slot.private_mounts:
            self._complain("functions share /tmp with this machine: the worker may not make mounts")

    def _complain(self, problem: str) -> None:
        self._problems[problem] = None

    def _prepare(
        self, slot: ZygoteSlot, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> tuple[ZygoteProcess, Placement]:
        identifier = f"{os.getpid()}-{next(self._numbers)}"
        placement = place(slot, spec, self._scratch / identifier, self._library)
        if placement.problem:
            self._complain(placement.problem)
        uid = 0
        if slot.block is not None and slot.own_uids and not placement.problem:
            try:
                uid = slot.block.take()
            except NoUids as error:
                raise StartFailed("setup", str(error)) from error
        scratch = str(self._scratch / identifier)
        process = ZygoteProcess(identifier, uid, scratch, slot, on_exit, on_failure, self._forget)
        return process, placement

    def _heard(self, event: Event) -> None:
        process = self._processes.get(event["identifier"])
        if process is not None:
            process.heard(event)

    def _zygote_lost(self, version: str) -> None:
        slot = self._slots[version]
        for process in list(self._processes.values()):
            if process.slot is slot:
                process.zygote_lost()

    def _forget(self, process: ZygoteProcess) -> None:
        if self._processes.pop(process.identifier, None) is None:
            return
        if process.uid and process.slot.block is not None:
            process.slot.block.give_back(process.uid)


def _start_request(process: ZygoteProcess, spec: ProcessSpec, placement: Placement) -> dict[str, object]:
    locations = placement.locations
    return {
        "request": "start",
        "identifier": process.identifier,
        "mark": process.mark,
        "command": [f"{locations.task_root}/bootstrap"],
        "handler": spec.handler,
        "version": spec.runtime.removeprefix("python"),
        "library": locations.library,
        "variables": {**spec.variables(locations), **dict([process.mark.split("=", 1)])},
        "confinement": {
            "uid": process.uid,
            "mounts": bool(placement.binds),
            "binds": placement.binds,
            "scratch": process.scratch,
            "task_root": locations.task_root,
            "open_files": OPEN_FILES,
            "processes": PROCESSES,
            "file_bytes": spec.ephemeral_storage_mb << 20,
        },
    }
