"""Keeps a system's processes running, and stops them in the reverse order of their start."""

from __future__ import annotations

import asyncio
from types import TracebackType

from deploy.child import Child, ChildSpec, Report
from deploy.errors import DeployError

GIVE_UP_AFTER_FAILURES = 3
POLL_SECONDS = 0.02


class Supervisor:
    """Groups of children, started one after the other. Use as an asynchronous context manager.

    However the block is left, no child is left behind; `stop` before that drains them in order.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._groups: list[list[Child]] = []
        self._keepers = asyncio.TaskGroup()

    async def __aenter__(self) -> Supervisor:
        await self._keepers.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        await self._keepers.__aexit__(None, None, None)

    def start(self, *specs: ChildSpec) -> list[Child]:
        """Start a group; its members are stopped together, before every group that was started earlier."""
        group = [Child(spec, self._report) for spec in specs]
        self._groups.append(group)
        for child in group:
            self._keepers.create_task(child.keep_running(), name=f"keep {child.spec.name}")
        return group

    async def stop(self) -> None:
        """Drain and stop group by group, the last one first."""
        for group in reversed(self._groups):
            self._report(f"stopping {', '.join(child.spec.name for child in group)}")
            await asyncio.gather(*(child.stop() for child in group))

    def kill(self) -> None:
        """End everything at once."""
        for group in self._groups:
            for child in group:
                child.kill()

    async def watch_start(self) -> None:
        """Raise DeployError when a child cannot be started; else go on until cancelled."""
        while True:
            for child in (child for group in self._groups for child in group):
                if child.failures >= GIVE_UP_AFTER_FAILURES:
                    raise DeployError(f"{child.spec.name} does not start:\n{child.log_tail()}")
            await asyncio.sleep(POLL_SECONDS)
