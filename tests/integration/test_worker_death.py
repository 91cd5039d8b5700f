"""A worker that is killed without warning leaves no process and no file behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import until

REPOSITORY = Path(__file__).parents[2]

SCRIPT = """
import asyncio, json, os, sys
from pathlib import Path
from tests.environment_workbench import CHILDREN, processes_naming, workbench
from worker.sandbox.process_sandbox import ProcessSandbox

async def main():
    directory = Path(sys.argv[1])
    library = directory / "library"
    # A range of our own: the next worker must get the same block of user ids.
    sandbox = ProcessSandbox(
        directory / "worker", library / "current", lock_directory=directory, first_uid=1_990_000_000
    )
    async with workbench(directory, library, sandbox) as bench:
        root = bench.suite_code("python")
        idle = await bench.start("app.echo", root)
        family = await bench.start("app.leave_children", root)
        await family.run(json.dumps(sys.argv[2]).encode())
        busy = await bench.start("app.sleep", root)
        run = asyncio.create_task(busy.run(b"600", seconds=600))
        environments = [each.environment for each in (idle, family, busy)]
        while not all(each.pid for each in environments):  # ready before the zygote has said which it is
            await asyncio.sleep(0.01)
        pids = [each.pid for each in environments]
        children = processes_naming(sys.argv[2])
        children.remove(os.getpid())
        assert len(children) == CHILDREN
        print(json.dumps(pids + children), flush=True)
        await run

asyncio.run(main())
"""


@contextmanager
def worker(directory: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with environments, and the pids of all that runs in them."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(directory), uuid.uuid4().hex],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def zygote_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_nothing_survives_a_killed_worker(tmp_path: Path) -> None:
    with worker(tmp_path) as (process, pids):
        zygote = zygote_of(pids[0])
        assert alive(pids) == pids

        process.kill()

        await until(lambda: alive([*pids, zygote]) == [])
    assert list((tmp_path / "worker" / "scratch").iterdir()) == []


async def test_main_processes_die_when_worker_and_zygote_are_killed_at_once(tmp_path: Path) -> None:
    with worker(tmp_path) as (process, pids):
        zygote = zygote_of(pids[0])

        os.kill(zygote, signal.SIGSTOP)
        process.kill()
        os.kill(zygote, signal.SIGKILL)

        await until(lambda: alive([*pids[:3], zygote]) == [])


@pytest.mark.skipif(os.geteuid() != 0, reason="without uids of their own, such processes have no mark left")
async def test_the_next_worker_ends_what_worker_and_zygote_left(tmp_path: Path) -> None:
    with worker(tmp_path) as (process, pids):
        zygote = zygote_of(pids[0])
        os.kill(zygote, signal.SIGSTOP)
        process.kill()
        os.kill(zygote, signal.SIGKILL)
        await until(lambda: alive([zygote]) == [])

    with worker(tmp_path):
        assert alive(pids) == []
