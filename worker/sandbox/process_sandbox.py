"""Functions' processes, forked from zygotes, at the strongest level that machine and operator allow."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.sandbox.branch_slot import BranchSlot, TemplateSlot
from worker.sandbox.generic_process import GenericProcess
from worker.sandbox.generic_starts import GenericStarts
from worker.sandbox.import_branches import ImportBranches
from worker.sandbox.import_sets import ImportSet
from worker.sandbox.inside.network import API_PORT, LOOPBACK
from worker.sandbox.inside.own_loopback import api_address
from worker.sandbox.inside.root import RUNTIME
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
from worker.sandbox.levels import NETWORK_LEVELS, IsolationPolicy, Level
from worker.sandbox.package_slots import PackageSlots
from worker.sandbox.placement import Placement, make_mount_points, place, place_generic
from worker.sandbox.requests import (
    descriptors_of,
    furnish_request,
    generic_spec,
    start_request,
    variables_of,
)
from worker.sandbox.slot import Slot
from worker.sandbox.uid_block import FIRST_UID, NoUids, UidBlock
from worker.sandbox.zygote_connection import Event
from worker.sandbox.zygote_process import ZygoteProcess
from worker.sandbox.zygote_slot import ZygoteSlot

PROVIDED = ("provided", "provided.al2", "provided.al2023")
LOCK_DIRECTORY = Path("/run/lightswitch")
MB_OF_A_PROCESSOR = 1769
"""A function with so much memory has one processor (AWS's documentation)."""
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
        self._level = Level.L0
        self._missing: dict[Level, str] = {}
        self._interpreters = find_interpreters() if interpreters is None else interpreters
        self._lock_directory = lock_directory
        self._first_uid = first_uid
        self._slots: dict[str, ZygoteSlot] = {}
        self._processes: dict[str, ZygoteProcess] = {}
        self._problems: dict[str, None] = {}
        self._numbers = itertools.count(1)
        self._branches: set[TemplateSlot] = set()
        self._burials: set[asyncio.Task[None]] = set()
        self._package_slots = PackageSlots(self._new_package_slot, self._complain)
        self._generics = GenericStarts(self._launch_generic, policy.prewarmed)
        self._import_branches = ImportBranches(
            policy.imports_mb,
            policy.prepared,
            self._zygote_of,
            self._library_of,
            self._heard,
            self._import_branch_lost,
            self._in_use,
        )

    @property
    def level(self) -> Level:
        """Known after `open`."""
        return self._level

    @property
    def missing(self) -> Mapping[Level, str]:
        """Stronger levels that were tried, and why this machine does not offer them."""
        return self._missing

    @property
    def own_network(self) -> bool:
        """Only where the policy wants it."""
        return self._policy.network != "open" and self._level.has_namespaces

    @property
    def copies(self) -> bool:
        """Where a template's user can own namespaces that it has not made: it has to be one of ours."""
        slot = self._slots.get(self._default_version()) if self._slots else None
        return slot is not None and slot.own_root and slot.own_uids

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
        versions = sorted(self._interpreters, key=lambda version: int(version.partition(".")[2]))
        return (*(f"python{version}" for version in versions), *PROVIDED)

    def problems(self) -> tuple[str, ...]:
        """What is weaker than it should be; complete after `open`."""
        return tuple(self._problems)

    async def open(self) -> None:
        """Find the level, by launching the zygote of this process's own Python version, which also starts
        bootstraps. Raises SandboxUnavailable where no level that the policy allows works."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._scratch.chmod(0o711)
        for level in self._policy.candidates():
            self._level = level
            slot = self._slot(self._default_version())
            try:
                await slot.connection()
            except SandboxUnavailable as error:
                self._missing[level] = str(error)
                await self._slots.pop(self._default_version()).close()
                self._problems.clear()
            else:
                self._judge(slot)
                return
        raise SandboxUnavailable(self._why_not())

    async def start(self, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure) -> SandboxProcess:
        """Have the zygote of its Python version fork the process, or take one that waits for a function."""
        if isinstance(spec.copy_of, ZygoteProcess):
            return await self._copy(spec.copy_of, spec, on_exit, on_failure)
        slot = self._package_slot(spec) or await self._ready_slot(spec.runtime)
        process = await self._start_waiting(slot, spec, on_exit, on_failure)
        if process is None:
            process = await self._start_afresh(slot, spec, on_exit, on_failure)
        self._generics.note_start()
        process.loopback_address = self._loopback_of(slot, process, spec)
        return process

    def _loopback_of(self, slot: ZygoteSlot, process: ZygoteProcess, spec: ProcessSpec) -> str:
        filtered = self._policy.network == "filtered"
        if self.own_network and not filtered:
            return ""
        own = filtered or (spec.own_loopback and slot.own_loopback)
        return api_address(process.uid) if own else LOOPBACK

    def _package_slot(self, spec: ProcessSpec) -> ZygoteSlot | None:
        if not self._policy.packages or not self._level.has_namespaces or self._library is None:
            return None
        return self._package_slots.fitting(self._version(spec.runtime), spec)

    def _new_package_slot(self, version: str) -> ZygoteSlot:
        return self._slot(version, self._policy.packages)

    async def _ready_slot(self, runtime: str) -> ZygoteSlot:
        slot = self._slot(self._version(runtime))
        try:
            await slot.connection()
        except SandboxUnavailable as error:
            raise StartFailed("setup", str(error)) from error
        return slot

    async def _start_afresh(
        self, slot: ZygoteSlot, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> ZygoteProcess:
        process, placement = self._prepare(slot, spec, on_exit, on_failure)
        if spec.is_template:
            try:
                process.slot = await self._grow_branch(slot, process)
            except SandboxUnavailable as error:
                raise StartFailed("setup", str(error)) from error
        request = start_request(process, spec, self._seen(process, spec, placement), placement)
        branch = None if spec.is_template else self._import_branches.fitting(slot, spec, request["variables"])
        if branch is not None:
            process.slot = branch
        await self._send(process, request, descriptors_of(spec))
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
        slot = await self._ready_slot(kind.runtime)
        spec, placement = generic_spec(kind, descriptors[0]), place_generic(kind)
        process = self._new_process(slot, self._take_uid(slot), spec, on_exit, on_failure)
        if process.uid:
            for descriptor in descriptors:
                os.fchown(descriptor, process.uid, process.uid)
        request = start_request(process, spec, placement.locations, placement)
        await self._send(process, request, descriptors)
        return process

    async def _send(self, process: ZygoteProcess, request: Mapping[str, Any], descriptors: list[int]) -> None:
        self._processes[process.identifier] = process
        try:
            try:
                await self._send_to(process.slot, request, descriptors)
            except (ConnectionError, SandboxUnavailable):
                if not self._fall_back(process):
                    raise
                await self._send_to(process.slot, request, descriptors)
        except (ConnectionError, SandboxUnavailable) as error:
            self._forget(process)
            raise StartFailed("setup", f"the zygote or the template died: {error}") from error
        except BaseException:
            self._forget(process)
            raise

    async def _send_to(self, slot: Slot, request: Mapping[str, Any], descriptors: list[int]) -> None:
        connection = await slot.connection()
        await connection.send(request, descriptors)

    def _fall_back(self, process: ZygoteProcess) -> bool:
        """From an import branch that has died to its zygote; False for who was not to be forked from one."""
        branch = process.slot
        if not isinstance(branch, BranchSlot) or isinstance(branch, TemplateSlot):
            return False
        process.slot = branch.stem
        return True

    async def _copy(
        self, template: ZygoteProcess, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> SandboxProcess:
        assert spec.channel is not None
        process = self._new_process(template.slot, template.uid, spec, on_exit, on_failure)
        request = {"request": "copy", "identifier": process.identifier, "runtime_api": self._api_of(spec)}
        await self._send(process, request, [spec.output, spec.channel.fileno()])
        process.loopback_address = template.loopback_address
        return process

    def _api_of(self, spec: ProcessSpec) -> str:
        """Where a copy reaches its own Runtime API; nowhere in a network of its own."""
        if self.own_network:
            return ""
        return spec.variables(Locations("", "", "")).get("AWS_LAMBDA_RUNTIME_API", "")

    async def _grow_branch(self, slot: ZygoteSlot, process: ZygoteProcess) -> TemplateSlot:
        branch: TemplateSlot

        def lost() -> None:
            self._branch_lost(branch)

        branch = TemplateSlot(slot, process.uid, self._heard, lost)
        self._branches.add(branch)
        try:
            await branch.grow({"request": "branch"})
        except BaseException:
            self._branches.discard(branch)
            await branch.close()
            raise
        return branch

    def shed(self) -> None:
        """End generic processes, and import branches that nobody uses."""
        self._generics.shed()
        self._import_branches.shed()

    async def close(self) -> None:
        """End all zygotes, and with them every process."""
        await self._generics.close()
        await self._package_slots.close()
        await self._import_branches.close()
        await asyncio.gather(*(branch.close() for branch in list(self._branches)))
        await asyncio.gather(*self._burials)
        await asyncio.gather(*(slot.close() for slot in self._slots.values()))
        self._slots.clear()
        for process in list(self._processes.values()):
            process.was_killed()
        with contextlib.suppress(FileNotFoundError):
            self._scratch.rmdir()

    def _default_version(self) -> str:
        return next(iter(self._interpreters))

    def _version(self, runtime: str) -> str:
        if not runtime.startswith("python"):
            return self._default_version()
        version = runtime.removeprefix("python")
        if version not in self._interpreters:
            raise StartFailed("setup", f"this machine has no interpreter for runtime {runtime}")
        return version

    def _slot(self, version: str, packages: Sequence[str] = ()) -> ZygoteSlot:
        key = " ".join([version, *packages])
        slot = self._slots.get(key)
        if slot is None:
            interpreter = self._interpreters[version]

            def lost() -> None:
                self._zygote_lost(key)

            block = self._lease(interpreter)
            configuration = {**self._configuration(key.replace(" ", "-"), block), "packages": packages}
            slot = ZygoteSlot(interpreter, block, configuration, self._heard, lost)
            self._slots[key] = slot
        return slot

    def _configuration(self, name: str, block: UidBlock | None) -> dict[str, object]:
        """What a zygote is told, besides its descriptors and user ids."""
        return {
            "scratch": str(self._scratch),
            "level": str(self._level),
            "group": f"lightswitch-{block.first}" if block else f"lightswitch-{os.getpid()}-{name}",
            "own_network": self.own_network and self._policy.network == "none",
            "filtered": self._policy.network == "filtered",
            "allowed_networks": self._policy.allowed_networks,
            "shared": [str(path) for path in self._policy.shared],
            "prepared": self._policy.prepared,
            "library": str(self._library or ""),
        }

    def _lease(self, interpreter: Interpreter) -> UidBlock | None:
        if os.geteuid() != 0:
            return None
        if not interpreter.reachable and not self._level.has_namespaces:
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
        if self._level < Level.L3:
            wanted = min((level for level in Level if level > self._level), default=Level.L3)
            reason = self._missing.get(wanted, "not asked for")
            self._complain(f"isolation is {self._level}: {self._level.meaning}; {wanted}: {reason}")
        for weakness in slot.weaknesses:
            self._complain(weakness)
        if slot.own_root:
            return
        if os.geteuid() != 0:
            self._complain(f"functions run as the worker's user, uid {os.geteuid()}")
        if slot.block is not None and not slot.own_uids:
            self._complain(f"functions run as root: this container does not map user id {slot.block.first}")
        if slot.private_mounts and not make_mount_points():
            slot.private_mounts = False
        if not slot.private_mounts:
            self._complain("functions share /tmp with this machine: the worker may not make mounts")

    def _why_not(self) -> str:
        policy = self._policy
        tried = "; ".join(f"{level}: {reason}" for level, reason in self._missing.items())
        asked = str(policy.forced) if policy.forced is not None else f"at least {policy.minimum}"
        network = (
            ""
            if policy.network == "open"
            else f" with --network {policy.network} (which needs {NETWORK_LEVELS[policy.network]})"
        )
        return f"isolation {asked}{network} is not to be had on this machine: {tried or 'no such level'}"

    def _complain(self, problem: str) -> None:
        self._problems[problem] = None

    def _prepare(
        self, slot: ZygoteSlot, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure
    ) -> tuple[ZygoteProcess, Placement]:
        identifier = f"{os.getpid()}-{next(self._numbers)}"
        placement = place(slot, spec, self._scratch / identifier, self._library)
        if placement.problem:
            self._complain(placement.problem)
        uid = 0 if placement.problem else self._take_uid(slot)
        return self._new_process(slot, uid, spec, on_exit, on_failure, identifier), placement

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

    def _new_process(
        self,
        slot: Slot,
        uid: int,
        spec: ProcessSpec,
        on_exit: OnExit,
        on_failure: OnFailure,
        identifier: str = "",
    ) -> ZygoteProcess:
        identifier = identifier or f"{os.getpid()}-{next(self._numbers)}"
        scratch = str(self._scratch / identifier)
        process = ZygoteProcess(identifier, uid, scratch, slot, on_exit, on_failure, self._forget)
        process.processors = spec.memory_mb / MB_OF_A_PROCESSOR
        return process

    def _heard(self, event: Event) -> None:
        process = self._processes.get(event["identifier"])
        if process is not None:
            process.heard(event)

    async def _zygote_of(self, version: str) -> ZygoteSlot:
        return await self._ready_slot(f"python{version}")

    def _library_of(self, slot: ZygoteSlot) -> tuple[str, str]:
        """Where functions of this zygote see the runtime's library, and what is mounted there."""
        library = str(self._library or "")
        mounted = library and (slot.own_root or slot.private_mounts)
        return (RUNTIME, library) if mounted else (library, "")

    def _in_use(self, branch: BranchSlot) -> bool:
        return any(process.slot is branch for process in self._processes.values())

    def _import_branch_lost(self, branch: BranchSlot) -> None:
        """What is left of its processes is for the zygote to find."""
        for process in [each for each in self._processes.values() if each.slot is branch]:
            process.slot = branch.stem
            process.zygote_lost()

    def _zygote_lost(self, key: str) -> None:
        slot = self._slots[key]
        for process in list(self._processes.values()):
            if process.slot is slot:
                process.zygote_lost()

    def _forget(self, process: ZygoteProcess) -> None:
        if self._processes.pop(process.identifier, None) is None:
            return
        slot = process.slot
        if isinstance(slot, TemplateSlot):
            if not any(other.slot is slot for other in self._processes.values()):
                self._bury(slot)
        elif process.uid and slot.block is not None:
            slot.block.give_back(process.uid)

    def _bury(self, branch: TemplateSlot) -> None:
        """Nobody lives there any more, or ever will: copies are made of living templates only."""
        self._branches.discard(branch)
        task = asyncio.create_task(branch.close(), name="bury branch")
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    def _branch_lost(self, branch: TemplateSlot) -> None:
        for process in [each for each in self._processes.values() if each.slot is branch]:
            process.was_killed()
