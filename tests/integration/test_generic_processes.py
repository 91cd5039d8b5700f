"""Processes that wait for their function: what becomes of them, whatever happens while they wait."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import workbench_at
from tests.waiting import until
from worker.environments.interface import InitFailed, Succeeded
from worker.sandbox.levels import Level

LOOK_AROUND = """
import os

def handler(event, context):
    return {
        "task": sorted(os.listdir("/var/task")), "layers": sorted(os.listdir("/opt")),
        "programs": os.listdir("/run/lightswitch"), "temporary": os.listdir("/tmp"),
        "variables": dict(os.environ), "room": os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize,
        "descriptors": len(os.listdir("/proc/self/fd")), "pid": os.getpid(), "uid": os.getuid(),
        "command": open("/proc/self/cmdline").read(),
    }

def write(event, context):
    with open("/tmp/secret", "w") as file:
        file.write("secret")
    return "written"
"""


@pytest.fixture(params=[Level.L3, Level.L2], ids=str)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench_at(request.param, tmp_path) as bench:
        yield bench


async def told(tried: Tried, event: Any = None) -> Any:
    outcome = (await tried.run(json.dumps(event).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def start(bench: Workbench, function: str = "handler", **variables: str) -> Tried:
    root = bench.suite_code("prewarmed")
    (root / "app.py").write_text(LOOK_AROUND)
    return await bench.start(f"app.{function}", root, "prewarmed", **variables)


@pytest.fixture
async def waiting(bench: Workbench) -> list[int]:
    """Pids of those that wait."""
    return await bench.prewarm()


async def test_an_environment_takes_a_process_that_waits_and_another_is_made(
    bench: Workbench, waiting: list[int]
) -> None:
    tried = await start(bench, GREETING="hello")

    assert tried.environment.pid in waiting
    seen = await told(tried)
    assert "app.py" in seen["task"]
    assert seen["programs"] == []
    assert seen["variables"]["GREETING"] == "hello"
    assert seen["variables"]["AWS_LAMBDA_FUNCTION_NAME"] == "tried"
    assert 500 << 20 <= seen["room"] <= 513 << 20
    await until(lambda: len(bench.sandbox.waiting()) == 2)


@pytest.mark.usefixtures("waiting")
async def test_nothing_of_one_function_is_seen_by_another(bench: Workbench) -> None:
    first, second = await start(bench, "write", SECRET="secret"), await start(bench)
    assert await told(first) == "written"

    seen = await told(second)

    assert seen["temporary"] == []
    assert "secret" not in json.dumps(seen["variables"])
    assert first.environment.pid != second.environment.pid


async def test_what_is_killed_while_it_waits_is_nobodys_failure(bench: Workbench, waiting: list[int]) -> None:
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)

    assert "app.py" in (await told(await start(bench)))["task"]
    await until(lambda: len(bench.sandbox.waiting()) == 2)


@pytest.mark.usefixtures("waiting")
async def test_a_function_that_crashes_at_init_is_told_as_ever(bench: Workbench) -> None:
    root = bench.suite_code("prewarmed")
    (root / "app.py").write_text("print('starting', flush=True)\nimport os\nos.abort()\n")
    tried = bench.make("app.handler", root, "prewarmed")

    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()

    assert failure.value.error_type == "Runtime.ExitError"
    assert "signal: aborted" in json.loads(failure.value.document)["errorMessage"]
    assert tried.output == b"starting\n"


@pytest.mark.usefixtures("waiting")
async def test_several_environments_at_once_each_get_a_process_of_their_own(bench: Workbench) -> None:
    many = await asyncio.gather(*(start(bench, NUMBER=str(number)) for number in range(5)))

    seen = [await told(tried) for tried in many]
    assert [each["variables"]["NUMBER"] for each in seen] == list("01234")
    assert len({tried.environment.pid for tried in many}) == 5


async def test_they_end_where_memory_runs_short_and_come_back_with_functions(
    bench: Workbench, waiting: list[int]
) -> None:
    bench.factory.shed()
    assert bench.sandbox.waiting() == []
    await until(lambda: not set(waiting) & set(psutil.pids()))

    assert len(await bench.prewarm()) == len(waiting)


async def test_they_end_with_their_worker(bench: Workbench, waiting: list[int]) -> None:
    await bench.factory.close()

    assert not set(waiting) & set(psutil.pids())
