"""Ephemeral storage is no memory at the strongest level, as on Lambda; and memory is no ephemeral storage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import levels
from tests.waiting import until
from worker.environments.interface import Exited, Succeeded
from worker.environments.lifecycle import State
from worker.sandbox.levels import Level

STORAGE = (Path(__file__).parent / "functions" / "storage.py").read_text()
MEMORY_MB = 128
STORAGE_MB = 512
PATIENT_AND_SMALL: dict[str, Any] = {"memory_mb": MEMORY_MB, "timeout_seconds": 600}
"""Init may take as long as a run: an emulated machine writes slowly."""
KILLED = Exited("signal: killed")
HOGS = ["use_memory", "share_memory", "fill_memory_file", "use_memory_behind_a_dead_main_thread"]


level = levels(Level.L3)


async def started(bench: Workbench, *, written: int = 0, **settings: Any) -> Tried:
    """With so many megabytes in its storage, which init has written: nobody slows init down."""
    variables = {"WRITTEN_IN_INIT": str(written)} if written else {}
    settings = {"variables": variables, **PATIENT_AND_SMALL, **settings}
    tried = bench.make("storage.do", bench.code(storage=STORAGE), **settings)
    await tried.environment.start()
    return tried


async def told(tried: Tried, action: str, argument: Any = None) -> Any:
    outcome = (await tried.run(json.dumps([action, argument]).encode(), seconds=60)).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def test_a_small_function_keeps_much_in_its_storage_and_reads_it_again(bench: Workbench) -> None:
    tried = await started(bench, written=300)
    assert await told(tried, "write_more", 5) == [5, ""]
    tried.environment.freeze()

    result = await tried.run(b'["read", 20]', seconds=60)

    assert result.outcome == Succeeded(b"true")
    assert 5 <= result.max_memory_used_mb <= 60


async def test_full_storage_says_so_though_it_is_larger_than_the_memory(bench: Workbench) -> None:
    tried = await started(bench, written=STORAGE_MB - 5)

    written, error = await told(tried, "write_more", 10)

    assert error == "ENOSPC"
    assert 3 <= written <= 5
    assert tried.environment.state is State.IDLE


@pytest.mark.parametrize("hog", HOGS)
async def test_storage_in_use_buys_no_memory(bench: Workbench, hog: str) -> None:
    tried = await started(bench, written=200)

    result = await tried.run(json.dumps([hog, 200]).encode(), seconds=60)

    assert result.outcome == KILLED
    assert 120 <= result.max_memory_used_mb <= MEMORY_MB
    assert tried.environment.state is State.GONE


async def test_children_that_hog_memory_are_killed_though_storage_is_in_use(bench: Workbench) -> None:
    tried = await started(bench, written=200)

    result = await tried.run(json.dumps(["breed", {"children": 10, "megabytes": 20}]).encode(), seconds=60)

    assert result.outcome == KILLED


async def test_files_without_a_name_count_as_storage_as_long_as_they_are_open(bench: Workbench) -> None:
    tried = await started(bench)

    assert await told(tried, "make_temporary_file", 140) == 140 << 20


async def test_once_storage_is_empty_the_kernel_holds_the_function_to_its_memory_again(
    bench: Workbench,
) -> None:
    tried = await started(bench)
    assert kernels_limit_mb(tried) == MEMORY_MB

    for _ in range(2):
        await told(tried, "write", 2)
        assert kernels_limit_mb(tried) >= MEMORY_MB + STORAGE_MB

        await told(tried, "clear")
        while kernels_limit_mb(tried) > MEMORY_MB:
            await told(tried, "wait")


def kernels_limit_mb(tried: Tried) -> int:
    """Of the control group of its main process."""
    for line in Path(f"/proc/{tried.environment.pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":")
        if "memory" in controllers.split(","):
            return int(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text()) >> 20
    unified = Path(f"/sys/fs/cgroup{path}/memory.max")
    return int(unified.read_text()) >> 20


async def test_a_process_that_waited_for_its_function_has_storage_too(bench: Workbench) -> None:
    root = bench.suite_code("prewarmed")
    (root / "storage.py").write_text(STORAGE)
    await bench.prewarm()
    variables = {"WRITTEN_IN_INIT": "150"}
    tried = bench.make("storage.do", root, "prewarmed", variables=variables, **PATIENT_AND_SMALL)
    await tried.environment.start()

    assert await told(tried, "read", 20)


async def test_copies_of_an_initialised_function_have_storage_each(bench: Workbench) -> None:
    tried = await started(bench, written=150, snap_start=True)

    assert await told(tried, "read", 20)


async def test_neighbours_of_one_who_fills_his_storage_are_held_to_their_memory(bench: Workbench) -> None:
    filler, neighbour = await started(bench, written=300), await started(bench)

    result = await neighbour.run(b'["use_memory", 200]', seconds=60)

    assert result.outcome == KILLED
    assert await told(filler, "read", 20)


async def test_who_waits_for_storage_can_be_killed_and_others_get_theirs(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    doomed, other = await started(bench), await started(bench)
    with deaf_to_opens(bench):
        running = asyncio.create_task(doomed.run(b'["write", 1]', seconds=60))
        await until(lambda: "fanotify" in Path(f"/proc/{doomed.environment.pid}/wchan").read_text())
        await doomed.environment.stop()
        assert (await running).outcome == KILLED

    assert await told(other, "write", 2) == [2, ""]
    assert caplog.records == []


@contextmanager
def deaf_to_opens(bench: Workbench) -> Iterator[None]:
    """The worker does not answer who opens a file meanwhile."""
    loop, storages = asyncio.get_running_loop(), [slot.storage for slot in bench.sandbox.zygotes]
    for storage in storages:
        assert storage is not None
        loop.remove_reader(storage.descriptor)
    try:
        yield
    finally:
        for storage in storages:
            assert storage is not None
            loop.add_reader(storage.descriptor, storage._hear)
