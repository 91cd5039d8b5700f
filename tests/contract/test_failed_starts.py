"""What is left of an environment that could not be started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environment_workbench import Workbench
from tests.sandbox_levels import levels
from tests.waiting import until
from worker.environments.interface import InitFailed
from worker.sandbox.levels import Level

level = levels(Level.L3)


async def test_no_control_group_is_left_of_those_whose_code_is_not_there(
    bench: Workbench, tmp_path: Path
) -> None:
    living = await bench.start("app.handler", bench.code(app="def handler(event, context): pass"))
    for _ in range(10):
        tried = bench.make("app.handler", tmp_path / "gone")
        with pytest.raises(InitFailed):
            await tried.environment.start()
        await tried.environment.stop()

    await until(lambda: groups_beside(living.environment.pid) < 10)


def groups_beside(pid: int) -> int:
    """How many control groups there are for processes like this one: those that wait have one, too."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _directories(Path(f"/sys/fs/cgroup/memory{path}").parent)
    return _directories(Path(f"/sys/fs/cgroup{path}").parent)


def _directories(parent: Path) -> int:
    return sum(each.is_dir() for each in parent.iterdir())
