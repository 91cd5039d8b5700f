"""The supervisor with stand-ins as children: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from deploy.child import Child, ChildSpec
from deploy.errors import DeployError
from deploy.supervisor import Supervisor
from tests.integration.deploy.children import ENDS_WITH_3, FOREVER, STUBBORN, exists, program, sees, until


async def running(child: Child) -> int:
    await until(lambda: child.pid is not None and sees(child.pid, "signal"))
    assert child.pid is not None
    return child.pid


async def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    async with Supervisor(said.append) as supervisor:
        [child] = supervisor.start(program(tmp_path, "worker-1", FOREVER))
        first = await running(child)

        os.kill(first, signal.SIGKILL)

        await until(lambda: child.pid not in (None, first))
        assert await running(child) != first
    assert said == ["worker-1 was ended by SIGKILL; starting it again"]


async def test_groups_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    said: list[str] = []
    async with Supervisor(said.append) as supervisor:
        children = [
            *supervisor.start(program(tmp_path, "redis", FOREVER)),
            *supervisor.start(program(tmp_path, "worker-1", FOREVER), program(tmp_path, "worker-2", FOREVER)),
            *supervisor.start(program(tmp_path, "gateway", FOREVER)),
        ]
        pids = [await running(child) for child in children]

        await supervisor.stop()

        assert not any(exists(pid) for pid in pids)
    assert said == ["stopping gateway", "stopping worker-1, worker-2", "stopping redis"]


async def test_a_child_that_does_not_stop_in_its_time_is_killed(tmp_path: Path) -> None:
    said: list[str] = []
    spec = program(tmp_path, "worker-1", STUBBORN, stop_within_seconds=0.1)
    async with Supervisor(said.append) as supervisor:
        [child] = supervisor.start(spec)
        pid = await running(child)
        await until(lambda: "deaf" in spec.log_file.read_text())

        await supervisor.stop()

        assert not exists(pid)
    assert said == ["stopping worker-1", "worker-1 did not stop in 0.1 s: killing it"]


async def test_a_stop_in_the_middle_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    async with Supervisor(lambda _: None) as supervisor:
        [child] = supervisor.start(program(tmp_path, "worker-1", FOREVER))
        await asyncio.sleep(0)  # the keeper has begun, its process may not be there yet

        await supervisor.stop()

        assert child.pid is None


async def test_leaving_the_block_kills_what_runs(tmp_path: Path) -> None:
    async with Supervisor(lambda _: None) as supervisor:
        [child] = supervisor.start(program(tmp_path, "worker-1", STUBBORN))
        pid = await running(child)
    assert not exists(pid)


async def test_what_a_child_leaves_in_its_group_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", {FOREVER!r}])
print(child.pid, flush=True)
signal.pause()
"""
    spec = program(tmp_path, "worker-1", code)
    async with Supervisor(lambda _: None) as supervisor:
        [child] = supervisor.start(spec)
        first = await running(child)
        await until(lambda: spec.log_file.read_text().endswith("\n"))
        grandchild = int(spec.log_file.read_text())

        os.kill(first, signal.SIGKILL)

        await until(lambda: not exists(grandchild))


async def test_a_child_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    async with Supervisor(lambda _: None) as supervisor:
        supervisor.start(program(tmp_path, "gateway", ENDS_WITH_3))

        with pytest.raises(DeployError, match=r"gateway does not start:\nno luck\nno luck\nno luck"):
            await asyncio.wait_for(supervisor.watch_start(), timeout=10)


async def test_a_child_that_gives_up_later_is_reported_with_what_it_said_last(tmp_path: Path) -> None:
    said: list[str] = []
    async with Supervisor(said.append) as supervisor:
        supervisor.start(program(tmp_path, "redis", "import sys; sys.exit('the disk is full')"))
        await until(lambda: said)
    expected = "redis ended with exit status 1; starting it again. It said last: the disk is full"
    assert said[0] == expected


async def test_a_program_that_is_missing_is_reported(tmp_path: Path) -> None:
    said: list[str] = []
    async with Supervisor(said.append) as supervisor:
        supervisor.start(ChildSpec("redis", ("/no/such/program",), tmp_path / "redis.log"))
        await until(lambda: said)
    assert said[0].startswith("redis could not start ([Errno 2] No such file or directory")


async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from deploy.supervisor import Supervisor
from tests.integration.deploy.children import STUBBORN, program

async def main():
    async with Supervisor(print) as supervisor:
        [child] = supervisor.start(program(Path({str(tmp_path)!r}), "worker-1", STUBBORN))
        while child.pid is None:
            await asyncio.sleep(0.01)
        print(child.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert exists(child)

    parent.kill()

    await parent.wait()
    await until(lambda: not exists(child))
