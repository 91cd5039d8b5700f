"""Branches of zygotes that have imported what functions import at init: few, and the ones used last."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from worker.sandbox.branch_slot import BranchSlot
from worker.sandbox.brought_modules import brought_modules
from worker.sandbox.import_sets import ImportSet, best_for, is_worth_it
from worker.sandbox.interface import ProcessSpec, SandboxUnavailable, StartFailed
from worker.sandbox.zygote_connection import Event
from worker.sandbox.zygote_slot import ZygoteSlot

logger = logging.getLogger(__name__)

MOST_BRANCHES = 16
REST_SECONDS = 30.0
"""One that was used since is not ended to make room: more sets than fit would take turns for ever."""
SHED_SECONDS = 60.0
"""No more are made for so long, once memory has run short."""
IMPORT_SECONDS = 60.0
"""It imports in processor time that nobody else wants."""
IMPORT_SECONDS = 8.0
"""An import that takes longer ends its branch, less than what is waited for."""
MOST_DEATHS = 3
PREPARED = 1
"""Children that each keeps ready, where zygotes keep any."""


@dataclass
class _Branch:
    slot: BranchSlot
    kilobytes: int
    used: float


class ImportBranches:
    """All of one worker, within `limit_mb` of memory of their own (0: none). `zygote` gives the one of a
    version of Python; `lost` is called with a branch that has died; `in_use` says whether processes of a
    branch live."""

    def __init__(
        self,
        limit_mb: int,
        prepared: int,
        zygote: Callable[[str], Awaitable[ZygoteSlot]],
        library: Callable[[ZygoteSlot], tuple[str, str]],
        heard: Callable[[Event], None],
        lost: Callable[[BranchSlot], None],
        in_use: Callable[[BranchSlot], bool],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._limit_kb = limit_mb * 1024
        self._prepared = min(prepared, PREPARED)
        self._zygote = zygote
        self._library = library
        self._heard = heard
        self._on_lost = lost
        self._in_use = in_use
        self._branches: dict[ImportSet, _Branch] = {}
        self._deaths: Counter[ImportSet] = Counter()
        self._growing = asyncio.Lock()
        self._ends: set[asyncio.Task[None]] = set()
        self._closed = False
        self._resting_until = 0.0

    @property
    def sets(self) -> tuple[ImportSet, ...]:
        """What functions can be forked with now."""
        return tuple(self._branches)

    def fitting(self, slot: ZygoteSlot, spec: ProcessSpec, variables: Mapping[str, str]) -> BranchSlot | None:
        """The branch of `slot` to fork a function from that is started with `variables`; None where there is
        none that serves it."""
        if spec.imports is None or not spec.imports.modules or not self._branches:
            return None
        version = slot.interpreter.version
        sets = [found for found, branch in self._branches.items() if branch.slot.stem is slot]
        brought = brought_modules(spec.task_root, spec.layers, version)
        found = best_for(sets, spec.imports, variables, brought)
        return self._use(found) if found is not None else None

    def _use(self, found: ImportSet) -> BranchSlot:
        branch = self._branches.pop(found)
        branch.used = self._now()
        self._branches[found] = branch  # the one used last comes last
        return branch.slot

    async def grow(self, found: ImportSet) -> bool:
        """Make one, in the room that those have which nobody has used lately. False where it is not to be."""
        async with self._growing:
            if found in self._branches:
                return True
            if self._closed or self._now() < self._resting_until or self._deaths[found] >= MOST_DEATHS:
                return False
            if not is_worth_it(found, self._branches) or not self._make_room(found.kilobytes):
                return False
            try:
                await self._grow(found)
            except (SandboxUnavailable, StartFailed) as error:
                self._deaths[found] += 1
                logger.warning("imports_not_kept: %s", error)
                return False
            return found in self._branches

    async def _grow(self, found: ImportSet) -> None:
        slot = await self._zygote(found.version)
        library, source = self._library(slot)
        branch = BranchSlot(slot, self._heard, lambda: self._lost(found))
        request = {
            "request": "import",
            "modules": found.modules,
            "variables": {name: value for name, value in found.read if value is not None},
            "library": library,
            "library_source": source,
            "prepared": self._prepared,
            "seconds": IMPORT_SECONDS,
        }
        try:
            ready = await branch.grow(request, IMPORT_SECONDS)
        except BaseException:
            await branch.close()
            raise
        if self._closed or ready["kilobytes"] > self._room(found):
            self._deaths[found] = MOST_DEATHS
            await branch.close()
            return
        self._branches[found] = _Branch(branch, ready["kilobytes"], self._now())
        logger.info(
            "imports_kept", extra={"packages": sorted(found.top_level), "kilobytes": ready["kilobytes"]}
        )

    def _room(self, found: ImportSet) -> int:
        """Kilobytes that are left for it."""
        others = [each for other, each in self._branches.items() if other != found]
        return self._limit_kb - sum(each.kilobytes for each in others)

    def _make_room(self, kilobytes: int) -> bool:
        oldest = self._now() - REST_SECONDS
        for found, branch in list(self._branches.items()):
            if self._fits_one_more(kilobytes):
                break
            if branch.used < oldest and not self._in_use(branch.slot):
                self._end(found)
        return self._fits_one_more(kilobytes)

    def _fits_one_more(self, kilobytes: int) -> bool:
        taken = sum(each.kilobytes for each in self._branches.values())
        return len(self._branches) < MOST_BRANCHES and taken + kilobytes <= self._limit_kb

    def shed(self) -> None:
        """Memory runs short: end those that nobody uses just now, and make none for a while."""
        self._resting_until = self._now() + SHED_SECONDS
        for found, branch in list(self._branches.items()):
            if not self._in_use(branch.slot):
                self._end(found)

    async def close(self) -> None:
        """End all. Idempotent."""
        self._closed = True
        async with self._growing:
            for found in list(self._branches):
                self._end(found)
        await asyncio.gather(*self._ends)

    def _end(self, found: ImportSet) -> None:
        task = asyncio.create_task(self._branches.pop(found).slot.close(), name="end import branch")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    def _lost(self, found: ImportSet) -> None:
        branch = self._branches.pop(found, None)
        self._deaths[found] += 1
        if branch is not None:
            logger.error("import_branch_died", extra={"packages": sorted(found.top_level)})
            self._on_lost(branch.slot)
