"""Workbenches at each sandbox level; one that the machine lacks skips, or fails for root in CI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.environment_workbench import Workbench, workbench
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.levels import IsolationPolicy, Level, Network
from worker.sandbox.process_sandbox import ProcessSandbox


def sandbox_at(
    level: Level, directory: Path, network: Network = "open", allowed_networks: tuple[str, ...] = ()
) -> ProcessSandbox:
    """Isolates at `level` exactly."""
    policy = IsolationPolicy(forced=level, network=network, allowed_networks=allowed_networks)
    return ProcessSandbox(directory / "worker", directory / "library" / "current", policy=policy)


@asynccontextmanager
async def workbench_at(
    level: Level, directory: Path, network: Network = "open", allowed_networks: tuple[str, ...] = ()
) -> AsyncIterator[Workbench]:
    """A workbench whose functions are isolated at `level` exactly."""
    async with workbench_in(sandbox_at(level, directory, network, allowed_networks), directory) as bench:
        yield bench


@asynccontextmanager
async def workbench_in(sandbox: ProcessSandbox, directory: Path) -> AsyncIterator[Workbench]:
    """A workbench with this sandbox; skips, or fails, where the machine lacks its level."""
    async with AsyncExitStack() as stack:
        try:
            bench = await stack.enter_async_context(workbench(directory, directory / "library", sandbox))
        except SandboxUnavailable as error:
            await sandbox.close()
            give_up = pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip
            give_up(str(error))
        yield bench
