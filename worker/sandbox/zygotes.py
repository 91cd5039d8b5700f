"""The zygotes of one worker: the level at which all of them work, and one for each version of Python."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from worker.sandbox.inside.root import RUNTIME
from worker.sandbox.interface import ProcessSpec, SandboxUnavailable, StartFailed
from worker.sandbox.interpreters import Interpreter
from worker.sandbox.levels import NETWORK_LEVELS, IsolationPolicy, Level
from worker.sandbox.package_slots import PackageSlots
from worker.sandbox.placement import make_mount_points
from worker.sandbox.uid_block import NoUids, UidBlock
from worker.sandbox.zygote_connection import Event
from worker.sandbox.zygote_slot import ZygoteSlot


class Zygotes:
    """Launched when first needed; for the operator's packages there is one more of each version.

    `scratch` is the directory of all scratch directories; `leases` and `first_uid` say where workers of this
    machine share out user ids. `heard` gets every event, `lost` a slot whose zygote has died.
    """

    def __init__(
        self,
        scratch: Path,
        library: Path | None,
        policy: IsolationPolicy,
        interpreters: Mapping[str, Interpreter],
        leases: tuple[Path, int],
        heard: Callable[[Event], None],
        lost: Callable[[ZygoteSlot], None],
    ) -> None:
        self.level = Level.L0
        self.missing: dict[Level, str] = {}
        """Stronger levels that were tried, and why this machine does not offer them."""
        self.problems: dict[str, None] = {}
        """What is weaker than it should be, in the order in which it was found."""
        self.interpreters = interpreters
        self._scratch = scratch
        self._library = library
        self._policy = policy
        self._leases = leases
        self._heard = heard
        self._lost = lost
        self._slots: dict[str, ZygoteSlot] = {}
        self._package_slots = PackageSlots(self._new_package_slot, self.complain)

    @property
    def own_network(self) -> bool:
        """Functions have networks of their own: only where the policy wants it."""
        return self._policy.network != "open" and self.level.has_namespaces

    @property
    def slots(self) -> Sequence[ZygoteSlot]:
        """Of all that were ever needed."""
        return tuple(self._slots.values())

    @property
    def main(self) -> ZygoteSlot | None:
        """The one of this process's own Python version, which also starts bootstraps; None before `open`."""
        return self._slots.get(self._main_version())

    async def open(self) -> None:
        """Find the level, by launching the main zygote. Raises SandboxUnavailable where no level that the
        policy allows works."""
        for level in self._policy.candidates():
            self.level = level
            slot = self._slot(self._main_version())
            try:
                await slot.connection()
            except SandboxUnavailable as error:
                self.missing[level] = str(error)
                await self._slots.pop(self._main_version()).close()
                self.problems.clear()
            else:
                self._judge(slot)
                return
        raise SandboxUnavailable(self._why_not())

    async def close(self) -> None:
        """End them, and with them every process that they have forked."""
        await asyncio.gather(*(slot.close() for slot in self._slots.values()))
        self._slots.clear()

    async def launched(self) -> None:
        """Until those with packages that are being launched are there."""
        await self._package_slots.close()

    async def for_function(self, spec: ProcessSpec) -> ZygoteSlot:
        """The one to fork its process from, running. Raises StartFailed."""
        return self._with_packages(spec) or await self.for_runtime(spec.runtime)

    async def for_runtime(self, runtime: str) -> ZygoteSlot:
        """The one without packages of a runtime, running. Raises StartFailed."""
        slot = self._slot(self.version(runtime))
        try:
            await slot.connection()
        except SandboxUnavailable as error:
            raise StartFailed("setup", str(error)) from error
        return slot

    def version(self, runtime: str) -> str:
        """Of Python, for a runtime: whatever brings its own uses the main one. Raises StartFailed."""
        if not runtime.startswith("python"):
            return self._main_version()
        version = runtime.removeprefix("python")
        if version not in self.interpreters:
            raise StartFailed("setup", f"this machine has no interpreter for runtime {runtime}")
        return version

    def library_of(self, slot: ZygoteSlot) -> tuple[str, str]:
        """Where functions of this zygote see the runtime's library, and what is mounted there."""
        library = str(self._library or "")
        mounted = library and (slot.own_root or slot.private_mounts)
        return (RUNTIME, library) if mounted else (library, "")

    def complain(self, problem: str) -> None:
        """Something is weaker than it should be."""
        self.problems[problem] = None

    def _main_version(self) -> str:
        return next(iter(self.interpreters))

    def _with_packages(self, spec: ProcessSpec) -> ZygoteSlot | None:
        if not self._policy.packages or not self.level.has_namespaces or self._library is None:
            return None
        return self._package_slots.fitting(self.version(spec.runtime), spec)

    def _new_package_slot(self, version: str) -> ZygoteSlot:
        return self._slot(version, self._policy.packages)

    def _slot(self, version: str, packages: Sequence[str] = ()) -> ZygoteSlot:
        key = " ".join([version, *packages])
        if key not in self._slots:
            self._slots[key] = self._new_slot(key, self.interpreters[version], packages)
        return self._slots[key]

    def _new_slot(self, key: str, interpreter: Interpreter, packages: Sequence[str]) -> ZygoteSlot:
        slot: ZygoteSlot

        def lost() -> None:
            self._lost(slot)

        block = self._lease(interpreter)
        configuration = {**self._configuration(key.replace(" ", "-"), block), "packages": packages}
        slot = ZygoteSlot(interpreter, block, configuration, self._heard, lost)
        return slot

    def _configuration(self, name: str, block: UidBlock | None) -> dict[str, object]:
        """What a zygote is told, besides its descriptors and user ids."""
        return {
            "scratch": str(self._scratch),
            "level": str(self.level),
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
        if not interpreter.reachable and not self.level.has_namespaces:
            self.complain(
                f"functions of Python {interpreter.version} run as root: other users cannot reach "
                f"{interpreter.path}; install it where all users may run it, e.g. /usr/bin"
            )
            return None
        try:
            return UidBlock.lease(*self._leases)
        except NoUids as error:
            self.complain(f"functions run as root: {error}")
            return None

    def _judge(self, slot: ZygoteSlot) -> None:
        if self.level < Level.L3:
            wanted = min((level for level in Level if level > self.level), default=Level.L3)
            reason = self.missing.get(wanted, "not asked for")
            self.complain(f"isolation is {self.level}: {self.level.meaning}; {wanted}: {reason}")
        for weakness in slot.weaknesses:
            self.complain(weakness)
        if slot.own_root:
            return
        if os.geteuid() != 0:
            self.complain(f"functions run as the worker's user, uid {os.geteuid()}")
        if slot.block is not None and not slot.own_uids:
            self.complain(f"functions run as root: this container does not map user id {slot.block.first}")
        if slot.private_mounts and not make_mount_points():
            slot.private_mounts = False
        if not slot.private_mounts:
            self.complain("functions share /tmp with this machine: the worker may not make mounts")

    def _why_not(self) -> str:
        policy = self._policy
        tried = "; ".join(f"{level}: {reason}" for level, reason in self.missing.items())
        asked = str(policy.forced) if policy.forced is not None else f"at least {policy.minimum}"
        network = (
            ""
            if policy.network == "open"
            else f" with --network {policy.network} (which needs {NETWORK_LEVELS[policy.network]})"
        )
        return f"isolation {asked}{network} is not to be had on this machine: {tried or 'no such level'}"
