"""Zygotes that have imported packages, for functions that do not bring these packages themselves."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

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
        if not slot.packages or _brought(spec.task_root, spec.layers, version) & slot.packages:
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


@lru_cache(maxsize=4096)
def _brought(task_root: Path, layers: Path | None, version: str) -> frozenset[str]:
    """Names of top-level modules that a function brings, in its package or its layers; both never change."""
    places = [task_root]
    if layers is not None:
        places += [layers / "python", layers / "python" / "lib" / f"python{version}" / "site-packages"]
    return frozenset(name.partition(".")[0] for place in places for name in _listed(place))


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
