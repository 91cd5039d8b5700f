"""Zygotes that have imported packages, for functions that do not bring these packages themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from worker.sandbox.brought_modules import brought_modules
from worker.sandbox.interface import ProcessSpec, SandboxUnavailable
from worker.sandbox.zygote_slot import ZygoteSlot

logger = logging.getLogger(__name__)


class PackageSlots:
    """One for each interpreter, launched when the first Python function comes; that one does not wait."""

    def __init__(self, make: Callable[[str], ZygoteSlot], complain: Callable[[str], None]) -> None:
        self._make = make
        self._complain = complain
        self._slots: dict[str, ZygoteSlot] = {}
        self._launches: dict[str, asyncio.Task[None]] = {}

    def fitting(self, version: str, spec: ProcessSpec) -> ZygoteSlot | None:
        """The zygote to fork a function from; None where it must import for itself."""
        if spec.channel is None or spec.image is not None:
            return None
        slot = self._slots.get(version)
        if slot is None:
            slot = self._slots[version] = self._make(version)
            self._launches[version] = asyncio.create_task(self._launch(slot), name="launch package zygote")
        if not slot.packages or brought_modules(spec.task_root, spec.layers, version) & slot.packages:
            return None
        return slot

    async def close(self) -> None:
        """Wait for what is being launched; the slots belong to the sandbox."""
        await asyncio.gather(*self._launches.values())

    async def _launch(self, slot: ZygoteSlot) -> None:
        try:
            await slot.connection()
        except SandboxUnavailable as error:
            logger.warning("no zygote with packages", extra={"reason": str(error)})
            return
        for problem in slot.package_problems:
            logger.warning("packages_not_imported: %s", problem)
            self._complain(problem)
