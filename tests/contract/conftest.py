"""What the suites over sandbox levels share: the level, and a bench whose functions are isolated at it.

A suite for some levels only, or for benches of a certain kind, replaces `level` or `bench` by its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.environment_workbench import Workbench
from tests.sandbox_levels import levels, workbench_at
from worker.sandbox.levels import Level

level = levels()


@pytest.fixture
async def bench(level: Level, tmp_path: Path) -> AsyncIterator[Workbench]:
    """A bench at that level; what the machine lacks skips."""
    async with workbench_at(level, tmp_path) as bench:
        yield bench
