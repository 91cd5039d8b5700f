"""Functions' processes, forked from zygotes, at the strongest level that machine and operator allow."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.generic_starts import GenericStarts
from worker.sandbox.import_branches import ImportBranches
from worker.sandbox.import_sets import ImportSet
from worker.sandbox.inside.network import API_PORT, LOOPBACK
from worker.sandbox.inside.own_loopback import api_address
from worker.sandbox.interface import (
    Locations,
    OnExit,
    OnFailure,
    ProcessSpec,
    SandboxProcess,
    SandboxUnavailable,
    StartFailed,
)
from worker.sandbox.interpreters import Interpreter, find_interpreters
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.placement import Placement, place, place_generic
from worker.sandbox.processes import MB_OF_A_PROCESSOR, Processes
from worker.sandbox.requests import (
    descriptors_of,
    furnish_request,
    generic_spec,
    start_request,
    variables_of,
)
from worker.sandbox.uid_block import FIRST_UID, NoUids
from worker.sandbox.zygote_process import ZygoteProcess
from worker.sandbox.zygote_slot import ZygoteSlot
from worker.sandbox.zygotes import Zygotes

PROVIDED = ("provided", "provided.al2", "provided.al2023")
LOCK_DIRECTORY = Path("/run/lightswitch")
AUTOMATIC = IsolationPolicy()


class ProcessSandbox:
    """Forks functions' processes from zygotes.

    `directory` is the worker's own; scratch directories live below it. `library` is the runtime library,
    or None. `policy` says which levels may be used. For root, `lock_directory` is where the workers of this
    machine share out user ids from `first_uid` up.
    """

    def __init__(
        self,
        directory: Path,
        library: Path | None = None,
        *,
        policy: IsolationPolicy = AUTOMATIC,
        interpreters: Mapping[str, Interpreter] | None = None,
        lock_directory: Path = LOCK_DIRECTORY,
        first_uid: int = FIRST_UID,
    ) -> None:
        self._scratch = directory / "scratch" / secrets.token_hex(4)
        self._library = library
        self._policy = policy
        self._processes = Processes(self._scratch)
        self._zygotes = Zygotes(
            self._scratch,
            library,
            policy,
            find_interpreters() if interpreters is None else interpreters,
            (lock_directory, first_uid),
            self._processes.heard,
            self._processes.zygote_lost,
        )
        self._generics = GenericStarts(self._launch_generic, policy.prewarmed)
        self._import_branches = ImportBranches(
            policy.imports_mb,
            policy.prepared,
            self._zygote_of,
            self._zygotes.library_of,
            self._processes.heard,
            self._processes.import_branch_lost,
            self._processes.live_in,
        )

    @property
    def level(self) -> Level:
        """Known after `open`."""
        return self._zygotes.level

    @property
    def missing(self) -> Mapping[Level, str]:
        """Stronger levels that were tried, and why this machine does not offer them."""
        return self._zygotes.missing

    @property
    def own_network(self) -> bool:
        """Only where the policy wants it."""
        return self._zygotes.own_network

    @property
    def copies(self) -> bool:
        """Where a template's user can own namespaces that it has not made: it has to be one of ours."""
        slot = self._zygotes.main
        return slot is not None and slot.own_root and slot.own_uids

    @property
    def zygotes(self) -> Sequence[ZygoteSlot]:
        """Of all that were ever needed."""
        return self._zygotes.slots

    @property
    def import_sets(self) -> Sequence[ImportSet] | None:
        """None with packages that the operator chose: what they leave is not worth it."""
        learns = self._policy.imports_mb and not self._policy.packages
        return self._import_branches.sets if learns else None

    async def import_ahead(self, found: ImportSet) -> bool:
        """In a branch of the version's zygote."""
        return await self._import_branches.grow(found)

    def waiting(self) -> list[int]:
        """Pids of generic processes that wait for a function."""
        return self._generics.pids()

    def runtimes(self) -> tuple[str, ...]:
        """Every version of Python found here, and programs that bring their own runtime."""
        versions = sorted(self._zygotes.interpreters, key=lambda version: int(version.partition(".")[2]))
        return (*(f"python{version}" for version in versions), *PROVIDED)

    def problems(self) -> tuple[str, ...]:
        """What is weaker than it should be; complete after `open`."""
        return tuple(self._zygotes.problems)

    async def open(self) -> None:
        """Find the level. Raises SandboxUnavailable where no level that the policy allows works."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._scratch.chmod(0o711)
        await self._zygotes.open()

    async def start(self, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure) -> SandboxProcess:
        """Have the zygote of its Python version fork the process, or take one that waits for a function."""
        if isinstance(spec.copy_of, ZygoteProcess):
            return await self._copy(spec.copy_of, spec, on_exit, on_failure)
        slot = await self._zygotes.for_function(spec)
        process = await self._start_waiting(slot, spec, on_exit, on_failure)
        if process is None:
            process = await self._start_afresh(slot, spec, on_exit, on_failure)
        self._generics.note_start()
        process.loopback_address = self._loopback_of(slot, process, spec)
        return process

    def shed(self) -> None:
        """End generic processes, and import branches that nobody uses."""
        self._generics.shed()
        self._import_branches.shed()

    async def close(self) -> None:
        """End all zygotes, and with them every process."""
        await self._generics.close()
        await self._zygotes.launched()
        await self._import_branches.close()
        await self._processes.close_branches()
        await self._zygotes.close()
        self._processes.were_killed()
        with contextlib.suppress(FileNotFoundError):
            self._scratch.rmdir()

    def _loopback_of(self, slot: ZygoteSlot, process: ZygoteProcess, spec: ProcessSpec) -> str:
        filtered = self._policy.network == "filtered"
        if self.own_network and not filtered:
            return ""
        own = filtered or (spec.own_loopback and slot.own_loopback)
        return api_address(process.uid) if own else LOOPBACK

    async def _start_afresh(
        self, slot: ZygoteSlot, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> ZygoteProcess:
        process, placement = self._prepare(slot, spec, on_exit, on_failure)
        if spec.is_template:
            try:
                process.slot = await self._processes.grow_branch(slot, process.uid)
            except SandboxUnavailable as error:
                raise StartFailed("setup", str(error)) from error
        request = start_request(process, spec, self._seen(process, spec, placement), placement)
        branch = None if spec.is_template else self._import_branches.fitting(slot, spec, request["variables"])
        if branch is not None:
            process.slot = branch
        await self._processes.send(process, request, descriptors_of(spec))
        return process

    async def _start_waiting(
        self, slot: ZygoteSlot, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> ZygoteProcess | None:
        """A process that waits for a function like this one; None where there is none."""
        if spec.generic is None or spec.extensions is not None or not slot.own_root:
            return None
        waiting = self._generics.take(spec.generic)
        if waiting is None or (process := waiting.process) is None:
            return None
        fit = False
        try:
            placement = place(slot, spec, Path(), self._library)
            seen = self._seen(process, spec, placement)
            lines = [] if spec.api_line is None else [spec.api_line.fileno()]
            if await process.furnish(furnish_request(process, spec, seen, placement), lines):
                fit = await waiting.assign(variables_of(process, spec, seen))
        finally:
            if not fit:
                self._generics.discard(waiting)
        if not fit:
            return None
        waiting.close(keep_output=True)
        process.hand_over(on_exit, on_failure)
        process.output = waiting.output
        process.processors = spec.memory_mb / MB_OF_A_PROCESSOR
        return process

    async def _launch_generic(
        self, kind: GenericProcess, descriptors: list[int], on_exit: OnExit, on_failure: OnFailure
    ) -> ZygoteProcess:
        """Start a process that is to wait for its function. Raises StartFailed."""
        slot = await self._zygotes.for_runtime(kind.runtime)
        spec, placement = generic_spec(kind, descriptors[0]), place_generic(kind)
        scratch = self._processes.next_scratch()
        process = self._processes.make(slot, self._take_uid(slot), spec, on_exit, on_failure, scratch)
        if process.uid:
            for descriptor in descriptors:
                os.fchown(descriptor, process.uid, process.uid)
        request = start_request(process, spec, placement.locations, placement)
        await self._processes.send(process, request, descriptors)
        return process

    async def _copy(
        self, template: ZygoteProcess, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> SandboxProcess:
        assert spec.channel is not None
        scratch = self._processes.next_scratch()
        process = self._processes.make(template.slot, template.uid, spec, on_exit, on_failure, scratch)
        request = {"request": "copy", "identifier": process.identifier, "runtime_api": self._api_of(spec)}
        await self._processes.send(process, request, [spec.output, spec.channel.fileno()])
        process.loopback_address = template.loopback_address
        return process

    def _api_of(self, spec: ProcessSpec) -> str:
        """Where a copy reaches its own Runtime API; nowhere in a network of its own."""
        if self.own_network:
            return ""
        return spec.variables(Locations("", "", "")).get("AWS_LAMBDA_RUNTIME_API", "")

    def _prepare(
        self, slot: ZygoteSlot, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> tuple[ZygoteProcess, Placement]:
        scratch = self._processes.next_scratch()
        placement = place(slot, spec, scratch, self._library)
        if placement.problem:
            self._zygotes.complain(placement.problem)
        uid = 0 if placement.problem else self._take_uid(slot)
        return self._processes.make(slot, uid, spec, on_exit, on_failure, scratch), placement

    def _take_uid(self, slot: ZygoteSlot) -> int:
        """0 where processes have the zygote's."""
        if slot.block is None or not slot.own_uids:
            return 0
        try:
            return slot.block.take()
        except NoUids as error:
            raise StartFailed("setup", str(error)) from error

    def _seen(self, process: ZygoteProcess, spec: ProcessSpec, placement: Placement) -> Locations:
        """What the process sees, the Runtime API included."""
        if spec.api_line is None:
            return placement.locations
        host = api_address(process.uid) if self._policy.network == "filtered" else LOOPBACK
        return replace(placement.locations, runtime_api=f"{host}:{API_PORT}")

    async def _zygote_of(self, version: str) -> ZygoteSlot:
        return await self._zygotes.for_runtime(f"python{version}")
