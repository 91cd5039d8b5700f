"""All processes of one sandbox: made, told of what zygotes say of them, forgotten when nothing is left."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.sandbox.branch_slot import BranchSlot, TemplateSlot
from worker.sandbox.interface import OnExit, OnFailure, ProcessSpec, SandboxUnavailable, StartFailed
from worker.sandbox.slot import Slot
from worker.sandbox.zygote_connection import Event
from worker.sandbox.zygote_process import ZygoteProcess
from worker.sandbox.zygote_slot import ZygoteSlot

MB_OF_A_PROCESSOR = 1769
"""A function with so much memory has one processor (AWS's documentation)."""


class Processes:
    """By identifier; with the branches of templates, which end when the last process there has.

    `scratch` is the directory of all scratch directories."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._numbers = itertools.count(1)
        self._processes: dict[str, ZygoteProcess] = {}
        self._branches: set[TemplateSlot] = set()
        self._burials: set[asyncio.Task[None]] = set()

    def next_scratch(self) -> Path:
        """The scratch directory of one more; its name is the process's identifier."""
        return self._scratch / f"{os.getpid()}-{next(self._numbers)}"

    def make(
        self, slot: Slot, uid: int, spec: ProcessSpec, on_exit: OnExit, on_failure: OnFailure, scratch: Path
    ) -> ZygoteProcess:
        """A process that is still to be started."""
        process = ZygoteProcess(scratch.name, uid, str(scratch), slot, on_exit, on_failure, self._forget)
        process.processors = spec.memory_mb / MB_OF_A_PROCESSOR
        return process

    async def send(self, process: ZygoteProcess, request: Mapping[str, Any], descriptors: list[int]) -> None:
        """Have it started. Raises StartFailed."""
        self._processes[process.identifier] = process
        try:
            try:
                await _send_to(process.slot, request, descriptors)
            except (ConnectionError, SandboxUnavailable):
                if not _fall_back(process):
                    raise
                await _send_to(process.slot, request, descriptors)
        except (ConnectionError, SandboxUnavailable) as error:
            self._forget(process)
            raise StartFailed("setup", f"the zygote or the template died: {error}") from error
        except BaseException:
            self._forget(process)
            raise

    async def grow_branch(self, slot: ZygoteSlot, uid: int) -> TemplateSlot:
        """A branch for a template and its copies, all of which have this user. Raises SandboxUnavailable."""
        branch: TemplateSlot

        def lost() -> None:
            self._template_lost(branch)

        branch = TemplateSlot(slot, uid, self.heard, lost)
        self._branches.add(branch)
        try:
            await branch.grow({"request": "branch"})
        except BaseException:
            self._branches.discard(branch)
            await branch.close()
            raise
        return branch

    def heard(self, event: Event) -> None:
        """An event of a zygote or a branch."""
        process = self._processes.get(event["identifier"])
        if process is not None:
            process.heard(event)

    def live_in(self, slot: Slot) -> bool:
        """Whether any has been forked there and is not gone."""
        return any(process.slot is slot for process in self._processes.values())

    def zygote_lost(self, slot: ZygoteSlot) -> None:
        """It has died."""
        for process in self._of(slot):
            process.zygote_lost()

    def import_branch_lost(self, branch: BranchSlot) -> None:
        """What is left of its processes is for the zygote to find."""
        for process in self._of(branch):
            process.slot = branch.stem
            process.zygote_lost()

    async def close_branches(self) -> None:
        """End templates and their copies."""
        await asyncio.gather(*(branch.close() for branch in list(self._branches)))
        await asyncio.gather(*self._burials)

    def were_killed(self) -> None:
        """Nothing is left of any."""
        for process in list(self._processes.values()):
            process.was_killed()

    def _of(self, slot: Slot) -> list[ZygoteProcess]:
        return [process for process in self._processes.values() if process.slot is slot]

    def _forget(self, process: ZygoteProcess) -> None:
        if self._processes.pop(process.identifier, None) is None:
            return
        slot = process.slot
        if isinstance(slot, TemplateSlot):
            if not self.live_in(slot):
                self._bury(slot)
        elif process.uid and slot.block is not None:
            slot.block.give_back(process.uid)

    def _bury(self, branch: TemplateSlot) -> None:
        """Nobody lives there any more, or ever will: copies are made of living templates only."""
        self._branches.discard(branch)
        task = asyncio.create_task(branch.close(), name="bury branch")
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    def _template_lost(self, branch: TemplateSlot) -> None:
        for process in self._of(branch):
            process.was_killed()


async def _send_to(slot: Slot, request: Mapping[str, Any], descriptors: list[int]) -> None:
    connection = await slot.connection()
    await connection.send(request, descriptors)


def _fall_back(process: ZygoteProcess) -> bool:
    """From an import branch that has died to its zygote; False for who was not to be forked from one."""
    branch = process.slot
    if not isinstance(branch, BranchSlot) or isinstance(branch, TemplateSlot):
        return False
    process.slot = branch.stem
    return True
