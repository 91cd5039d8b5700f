"""One suite for every sandbox level: what each promises, and what each says that it does not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import CHILDREN, Kind, Tried, Workbench, processes_naming
from tests.sandbox_levels import workbench_at
from worker.environments.interface import Exited, HandlerFailed, Succeeded, TimedOut
from worker.environments.lifecycle import State
from worker.sandbox.levels import Level

PRISONER = (Path(__file__).parent / "functions" / "prisoner.py").read_text()
UNSHARE = 272 if os.uname().machine == "x86_64" else 97
NEW_USER_NAMESPACE = 0x10000000


async def prisoner(bench: Workbench, function: str, **settings: Any) -> Tried:
    tried = bench.make(f"prisoner.{function}", bench.code(prisoner=PRISONER), **settings)
    await tried.environment.start()
    return tried


async def told(tried: Tried, event: Any = None) -> Any:
    outcome = (await tried.run(json.dumps(event).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def ask(bench: Workbench, function: str, event: Any = None) -> Any:
    return await told(await prisoner(bench, function), event)


@pytest.mark.parametrize("kind", ["python", "bootstrap"])
async def test_functions_of_either_kind_run_end_and_time_out(
    bench: Workbench, level: Level, kind: Kind
) -> None:
    assert bench.factory.level is level
    root = bench.suite_code(kind)
    echo, leave, sleep = [await bench.start(f"app.{name}", root, kind) for name in ("echo", "leave", "sleep")]

    assert (await echo.run(b"[1]")).outcome == Succeeded(b"[1]")
    assert (await leave.run(b"3")).outcome == Exited("exit status 3")
    assert (await sleep.run(b"60", seconds=0.2)).outcome == TimedOut(20)


@pytest.mark.parametrize("kind", ["python", "bootstrap"])
async def test_children_die_with_their_environment(bench: Workbench, kind: Kind) -> None:
    token = uuid.uuid4().hex
    tried = await bench.start("app.leave_children", bench.suite_code(kind), kind)
    await tried.run(json.dumps(token).encode())
    assert len(processes_naming(token)) == CHILDREN

    await tried.environment.stop()

    assert processes_naming(token) == []


async def test_what_a_function_sees(bench: Workbench, level: Level) -> None:
    if level < Level.L2:
        pytest.skip("without namespaces a function sees this machine")
    seen = await ask(bench, "look_around")

    assert {"tmp", "var", "opt", "usr", "etc", "dev", "proc"} <= set(seen["root"])
    assert not {"home", "root", "mnt", "srv", "work", "boot"} & set(seen["root"])
    assert set(seen["devices"]) == {
        *("null", "zero", "full", "random", "urandom"),
        *("fd", "stdin", "stdout", "stderr", "shm"),
    }
    assert seen["processes"] == [1, 2]
    assert seen["host_name"] == "sandbox"
    assert seen["command"] == "/var/runtime/bootstrap"


async def test_a_function_has_no_rights(bench: Workbench, level: Level) -> None:
    seen = await ask(bench, "look_around")

    assert seen["uid"] != 0
    assert seen["capabilities"] == 0
    assert seen["no_new_privileges"] == "1"
    assert seen["seccomp"] == ("0" if level is Level.L0 else "2")
    assert seen["open_files"] == 1024


async def test_prepared_or_not_a_function_is_scheduled_as_its_worker_is(bench: Workbench) -> None:
    seen = [await ask(bench, "look_around") for _ in range(6)]

    assert {each["scheduling"] for each in seen} == {os.sched_getscheduler(0)}


async def test_code_is_read_only_but_for_the_workers_own_user_at_the_weakest_level(
    bench: Workbench, level: Level
) -> None:
    answer = await ask(bench, "open_file", {"path": "prisoner.py", "mode": "a"})

    if level is Level.L0 and os.geteuid() != 0:
        assert answer == "done"
    else:
        assert answer in ("EROFS", "EACCES")


async def test_scratch_is_ones_own(bench: Workbench) -> None:
    mine = {"path": "$TMPDIR/mine"}

    assert await ask(bench, "open_file", {**mine, "mode": "w"}) == "done"
    assert await ask(bench, "open_file", mine) == "ENOENT"


async def test_the_workers_files_are_out_of_reach(bench: Workbench, level: Level) -> None:
    secret = Path("/var/tmp") / uuid.uuid4().hex
    secret.touch(0o644)
    try:
        found = await ask(bench, "open_file", {"path": str(secret)})
    finally:
        secret.unlink()

    assert found == {Level.L3: "ENOENT", Level.L2: "ENOENT", Level.L1: "EACCES", Level.L0: "done"}[level]


async def test_making_namespaces_is_refused(bench: Workbench, level: Level) -> None:
    if level is Level.L0:
        pytest.skip("without seccomp the kernel decides")

    assert await ask(bench, "call_kernel", [UNSHARE, NEW_USER_NAMESPACE]) == "EPERM"


async def test_a_full_scratch_directory_says_so(bench: Workbench, level: Level) -> None:
    if level < Level.L2:
        pytest.skip("without a file system of its own only the size of each file is limited")
    tried = await prisoner(bench, "fill_scratch")

    assert await told(tried, {"files": 600, "bytes": 1 << 20}) == "ENOSPC"


async def test_memory_is_limited(bench: Workbench, level: Level) -> None:
    tried = await prisoner(bench, "use_memory", memory_mb=128)

    result = await tried.run(b"400")

    if level is Level.L0 or any("no control groups" in problem for problem in bench.factory.problems()):
        assert isinstance(result.outcome, HandlerFailed)
        assert result.outcome.error_type == "MemoryError"
    else:
        assert result.outcome == Exited("signal: killed")
        assert 120 <= result.max_memory_used_mb <= 128
        assert tried.environment.state is State.GONE


async def test_the_most_memory_used_is_told(bench: Workbench) -> None:
    tried = await prisoner(bench, "use_memory", memory_mb=256)

    assert 60 <= (await tried.run(b"60")).max_memory_used_mb <= 128


async def test_nothing_goes_on_while_frozen(bench: Workbench) -> None:
    tried = await prisoner(bench, "tick")
    await told(tried, "start")
    assert not await stands_still(tried)

    tried.environment.freeze()
    while not await stands_still(tried):
        pass

    frozen = await told(tried)
    while await told(tried) < frozen + 10:
        pass


async def stands_still(tried: Tried) -> bool:
    """Was none of its threads scheduled for a while? The ticking one would have been forty times."""
    before = switches(tried.environment.pid)
    await asyncio.sleep(0.2)
    return switches(tried.environment.pid) == before


def switches(pid: int) -> int:
    """How often the process's threads went to sleep."""
    said = [status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(text.partition("voluntary_ctxt_switches:")[2].split()[0]) for text in said)


async def test_a_frozen_environment_can_be_destroyed(bench: Workbench) -> None:
    tried = await prisoner(bench, "tick")
    pid = tried.environment.pid
    tried.environment.freeze()

    await tried.environment.stop()

    assert not os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240


@pytest.mark.parametrize("network", ["open", "none", "filtered"])
@pytest.mark.parametrize("kind", ["python", "bootstrap"])
async def test_the_network_is_what_the_policy_says(
    level: Level, tmp_path: Path, network: Any, kind: Kind
) -> None:
    if network != "open" and level < (Level.L2 if network == "none" else Level.L3):
        pytest.skip("this level cannot enforce it, and a worker with it refuses to start")
    async with workbench_at(level, tmp_path, network) as bench:
        with socket.create_server(("127.0.0.1", 0)) as server:
            root = bench.suite_code(kind)
            (root / "prisoner.py").write_text(PRISONER)
            tried = await bench.start("prisoner.connect", root, kind)
            answer = await told(tried, server.getsockname())

    assert answer == {"open": "done", "none": "ECONNREFUSED", "filtered": "EPERM"}[network]
