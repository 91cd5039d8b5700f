"""Sandbox levels for suites, and workbenches at each; one that the machine lacks skips, or fails for root
in CI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Workbench, workbench
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.levels import IsolationPolicy, Level, Network
from worker.sandbox.process_sandbox import ProcessSandbox


def levels(*chosen: Level, scope: Any = "function") -> Callable[[pytest.FixtureRequest], Level]:
    """A fixture `level`, strongest first; every level where none is chosen."""

    @pytest.fixture(params=chosen or sorted(Level, reverse=True), ids=str, scope=scope)
    def level(request: pytest.FixtureRequest) -> Level:
        level: Level = request.param
        return level

    return level


@asynccontextmanager
async def workbench_at(
    level: Level,
    directory: Path,
    network: Network = "open",
    allowed_networks: tuple[str, ...] = (),
    packages: tuple[str, ...] = (),
    prepared: int = IsolationPolicy().prepared,
    imports_mb: int = 0,
) -> AsyncIterator[Workbench]:
    """A workbench whose functions are isolated at `level` exactly. It learns nothing of their imports unless
    it has memory for that: there are no other environments then than those that a test starts."""
    library = directory / "library"
    policy = IsolationPolicy(
        forced=level,
        network=network,
        imports_mb=imports_mb,
        allowed_networks=allowed_networks,
        packages=packages,
        prepared=prepared,
    )
    sandbox = ProcessSandbox(directory / "worker", library / "current", policy=policy)
    async with AsyncExitStack() as stack:
        try:
            bench = await stack.enter_async_context(workbench(directory, library, sandbox))
        except SandboxUnavailable as error:
            await sandbox.close()
            give_up = pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip
            give_up(str(error))
        yield bench
