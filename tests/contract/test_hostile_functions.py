"""What hostile functions come to at every sandbox level, while a neighbour runs.

`tests/faults/test_hostile_functions.py` attacks a whole system at the strongest level.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.environment_workbench import Tried, Workbench
from tests.neighbour import CALM_CALLS, LEAST_CALLS, TRIES, is_undisturbed, p99
from tests.sandbox_levels import levels, workbench_at
from tests.waiting import until
from worker.environments import init_phase
from worker.environments.interface import Exited, HandlerFailed, InitFailed, RunOutcome, Succeeded, TimedOut
from worker.environments.lifecycle import State
from worker.sandbox.levels import Level

HOSTILE = (Path(__file__).parents[1] / "faults" / "functions" / "hostile.py").read_text()
NEIGHBOUR = "def handler(event, context):\n    return event\n"
HANG = "import time\ntime.sleep(600)\n"
MEMORY_MB = 512
METADATA = ("169.254.169.254", 80)
REFUSALS = {"ENOENT", "EACCES", "EPERM", "EROFS", "EXDEV"}
ROOT = os.geteuid() == 0
PAUSE_SECONDS = 0.001

pytestmark = pytest.mark.asyncio(loop_scope="module")

Attack = Callable[[], Awaitable[RunOutcome]]


level = levels(scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(level: Level, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workbench]:
    async with workbench_at(level, tmp_path_factory.mktemp("hostile")) as bench:
        yield bench


@pytest.fixture
def own_users(level: Level) -> None:
    """Functions are not the worker's user."""
    if level < Level.L2 and not ROOT:
        pytest.skip("without root, functions of this level share the worker's user")


class Neighbour:
    """Calls a well-behaved environment; every answer must be right."""

    def __init__(self, tried: Tried) -> None:
        self._tried = tried

    async def calm(self) -> list[float]:
        return [await self._call() for _ in range(CALM_CALLS)]

    async def during(self, attack: Attack) -> tuple[RunOutcome, list[float]]:
        attacking = asyncio.ensure_future(attack())
        seconds: list[float] = []
        while not attacking.done() or len(seconds) < LEAST_CALLS:
            seconds.append(await self._call())
            await asyncio.sleep(PAUSE_SECONDS)
        return attacking.result(), seconds

    async def _call(self) -> float:
        started = time.perf_counter()
        result = await self._tried.run(b'"well"')
        assert result.outcome == Succeeded(b'"well"')
        return time.perf_counter() - started


async def attacked(bench: Workbench, do: str, *, seconds: float = 20, **event: Any) -> RunOutcome:
    """How the attack ends; its neighbour must not notice."""
    neighbour = Neighbour(await bench.start("app.handler", bench.code(app=NEIGHBOUR)))
    found: list[str] = []
    root = bench.code(hostile=HOSTILE)
    for _ in range(TRIES):
        calm = await neighbour.calm()
        outcome, during = await neighbour.during(partial(_attack, bench, root, do, seconds, event))
        # Without control groups the processor's time is nobody's share.
        if bench.factory.level is Level.L0 or is_undisturbed(calm, during):
            return outcome
        found.append(f"{p99(calm) * 1000:.1f} ms, then {p99(during) * 1000:.1f} ms")
    raise AssertionError(f"{do} slows its neighbour's p99 down: {found}")


async def _attack(bench: Workbench, root: Path, do: str, seconds: float, event: Any) -> RunOutcome:
    tried = bench.make("hostile.handler", root, memory_mb=MEMORY_MB)
    await tried.environment.start()
    result = await tried.run(json.dumps({"do": do, **event}).encode(), seconds=seconds)
    await tried.environment.stop()
    return result.outcome


async def told(bench: Workbench, do: str, **event: Any) -> Any:
    outcome = await attacked(bench, do, **event)
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


@pytest.mark.usefixtures("own_users")
async def test_a_fork_bomb_ends_with_its_time_or_its_memory(bench: Workbench) -> None:
    assert await attacked(bench, "fork_bomb", seconds=1) in (TimedOut(20), Exited("signal: killed"))


@pytest.mark.parametrize("do", ["endless_log", "ignore_signals"])
async def test_what_never_ends_times_out(bench: Workbench, do: str) -> None:
    assert await attacked(bench, do, seconds=0.5) == TimedOut(20)


async def test_who_answers_for_another_run_is_killed(bench: Workbench) -> None:
    assert await attacked(bench, "answer_another") == Exited("signal: killed")


async def test_who_answers_twice_is_killed_after_the_first_answer_at_the_latest(bench: Workbench) -> None:
    tried = await bench.start("hostile.handler", bench.code(hostile=HOSTILE))

    result = await tried.run(b'{"do": "answer_twice"}')

    assert result.outcome in (Succeeded(b"42"), Exited("signal: killed"))
    await until(lambda: tried.environment.state is State.GONE)


async def test_an_exit_in_the_middle_has_no_reason(bench: Workbench) -> None:
    assert await attacked(bench, "leave") == Exited("")


async def test_an_init_that_hangs_times_out(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_phase, "INIT_SECONDS", 0.5)
    tried = bench.make("hang.handler", bench.code(hang=HANG), timeout_seconds=1)

    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()

    assert failure.value.error_type == "Sandbox.Timedout"
    assert b"Task timed out after 1.00 seconds" in failure.value.document


async def test_a_memory_hog_is_stopped(bench: Workbench) -> None:
    outcome = await attacked(bench, "memory")

    killed = outcome == Exited("signal: killed")
    assert killed or (isinstance(outcome, HandlerFailed) and outcome.error_type == "MemoryError"), outcome


async def test_children_share_the_memory_of_their_function(bench: Workbench, level: Level) -> None:
    if level is Level.L0 or any("no control groups" in problem for problem in bench.factory.problems()):
        pytest.skip("without control groups each process is limited alone")

    outcome = await attacked(bench, "memory_in_children")

    assert outcome == Exited("signal: killed") or (
        isinstance(outcome, Succeeded) and -9 in json.loads(outcome.payload)
    ), outcome


async def test_files_sockets_and_watches_run_out(bench: Workbench) -> None:
    found = await told(bench, "open_everything")

    assert found == {"files": "EMFILE", "sockets": "EMFILE", "inotify": "EMFILE"}


async def test_scratch_runs_out(bench: Workbench, level: Level) -> None:
    if level < Level.L2:
        pytest.skip("without a file system of its own only the size of each file is limited")
    outcome = await attacked(bench, "fill_scratch")

    # What lies in /tmp counts as memory, of which this function has no more than of room there.
    assert outcome in (Succeeded(b'"ENOSPC"'), Exited("signal: killed"))


@pytest.mark.usefixtures("own_users")
async def test_nothing_of_other_processes_can_be_read(bench: Workbench, level: Level) -> None:
    code = bench.code(other="")
    paths = [str(code / "other.py"), str(bench.directory / "worker"), "/root/.ssh"]

    seen = await told(bench, "spy", paths=paths, redis=str(bench.directory / "redis.sock"))

    if level >= Level.L2:
        assert seen["processes"] == ["1"]
        assert set(seen["paths"].values()) == {"ENOENT"}
        assert seen["redis"] == "ENOENT"
    # At the weaker levels processes of this machine come and go meanwhile.
    assert set(seen["environments"]) <= {"EACCES", "ENOENT", "ESRCH"}
    assert set(seen["memory"]) <= {"EACCES", "ENOENT", "ESRCH"}
    assert not [name for name in seen["own_environment"] if "REDIS" in name or "SECRET" in name]


@pytest.mark.usefixtures("own_users")
async def test_code_and_system_cannot_be_changed(bench: Workbench) -> None:
    assert set(await told(bench, "deface")) <= REFUSALS


async def test_the_depths_of_the_kernel_are_closed(bench: Workbench, level: Level) -> None:
    if level is Level.L0:
        pytest.skip("without seccomp the kernel decides")

    assert set((await told(bench, "call_kernel")).values()) == {"EPERM"}


@pytest.mark.usefixtures("own_users")
async def test_links_lead_nowhere(bench: Workbench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("intact")

    answers = await told(bench, "tricky_links", victim=str(victim))

    assert set(answers.values()) <= REFUSALS, answers
    assert victim.read_text() == "intact"


@pytest.mark.usefixtures("own_users")
async def test_a_function_can_kill_nobody(bench: Workbench) -> None:
    # The last answer is that of kill(-1), which the kernel calls done where it was refused for everybody.
    *one_by_one, _ = await told(bench, "kill_everybody")

    assert set(one_by_one) <= {"EPERM", "ESRCH"}


@pytest.mark.parametrize("network", ["none", "filtered"])
async def test_the_clouds_metadata_are_out_of_reach(level: Level, tmp_path: Path, network: Any) -> None:
    if level < (Level.L2 if network == "none" else Level.L3):
        pytest.skip("this level cannot enforce it, and a worker with it refuses to start")
    async with workbench_at(level, tmp_path, network) as bench:
        found = await told(bench, "reach", addresses=[METADATA])

    assert set(found.values()) == {{"none": "ENETUNREACH", "filtered": "EPERM"}[network]}
