"""What all processes of a function together may use, at the levels that count with control groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import levels
from worker.environments.interface import Exited, Succeeded
from worker.sandbox.levels import Level
from worker.sandbox.requests import PROCESSES

PRISONER = (Path(__file__).parent / "functions" / "prisoner.py").read_text()
QUARTER_OF_A_PROCESSOR_MB = 442


level = levels(Level.L3, Level.L2)


@pytest.fixture
def bench(bench: Workbench) -> Workbench:
    """One that counts with control groups."""
    if any("no control groups" in problem for problem in bench.factory.problems()):
        pytest.skip("this machine's control groups may not be written: processes are limited one by one")
    return bench


async def started(bench: Workbench, function: str, memory_mb: int) -> Tried:
    tried = bench.make(f"prisoner.{function}", bench.code(prisoner=PRISONER), memory_mb=memory_mb)
    await tried.environment.start()
    return tried


async def told(tried: Tried, event: Any) -> Any:
    outcome = (await tried.run(json.dumps(event).encode(), seconds=60)).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def test_children_share_the_memory_of_their_function(bench: Workbench) -> None:
    greedy = await started(bench, "fork_with_memory", 512)

    result = await greedy.run(json.dumps({"children": 4, "megabytes": 160}).encode(), seconds=60)

    # The kernel chooses whom it kills.
    assert result.outcome in (Exited("signal: killed"), Succeeded(b'"a child ended"'))
    assert 480 <= result.max_memory_used_mb <= 512


async def test_processes_run_out(bench: Workbench) -> None:
    tried = await started(bench, "fork_until_refused", 1769)

    children, refusal = await told(tried, None)

    assert refusal == "EAGAIN"
    assert PROCESSES / 2 < children < PROCESSES
    await tried.environment.stop()


async def test_the_processor_is_shared_by_memory(bench: Workbench) -> None:
    tried = await started(bench, "burn", QUARTER_OF_A_PROCESSOR_MB)

    assert await told(tried, 2) < 1
