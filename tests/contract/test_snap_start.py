"""Copies of an initialised function: they go on from one init, and share nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import levels, workbench_at
from tests.waiting import until
from worker.environments.interface import Exited, InitFailed, Succeeded
from worker.sandbox.levels import Level

SOURCE = (Path(__file__).parent / "functions" / "snapped.py").read_text()


level = levels(Level.L3, Level.L2)


@pytest.fixture
def bench(bench: Workbench) -> Workbench:
    """One that can make copies."""
    if not bench.factory.copies:
        pytest.skip("without root there is no second user id that could own namespaces")
    return bench


class Snapped:
    """Environments of one function with SnapStart."""

    def __init__(self, bench: Workbench, function: str, source: str = SOURCE, **variables: str) -> None:
        self._bench = bench
        self._handler = f"app.{function}"
        self._root = bench.code(app=source)
        self._variables = variables

    async def start(self, memory_mb: int = 1769) -> Tried:
        tried = self._bench.make(
            self._handler, self._root, memory_mb=memory_mb, variables=self._variables, snap_start=True
        )
        await tried.environment.start()
        return tried


async def told(tried: Tried, event: Any = None) -> Any:
    outcome = (await tried.run(json.dumps(event).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def test_copies_go_on_from_one_init_each_in_a_sandbox_of_its_own(bench: Workbench) -> None:
    function = Snapped(bench, "look")
    first, second, third = [await told(await function.start()) for _ in range(3)]

    assert first["initialized"] == second["initialized"] == third["initialized"]
    for seen in (first, second, third):
        assert seen["hooks"] == ["before", "after"]
        assert seen["uid"] != 0
        assert seen["capabilities"] == [0, 0, 0, 0]
        assert (seen["no_new_privileges"], seen["seccomp"]) == ("1", "2")
        assert seen["processes"] == [1, 3]
        assert seen["command"] == "/var/runtime/bootstrap"
        assert (seen["host_name"], seen["directory"]) == ("sandbox", "/var/task")
        assert seen["limit"] == "1769"
    own = [seen["namespaces"][:6] for seen in (first, second, third)]
    assert all(len({each[kind] for each in own}) == 3 for kind in range(6))


async def test_chance_is_different_in_every_copy(bench: Workbench) -> None:
    function = Snapped(bench, "chance")

    drawn = [await told(await function.start()) for _ in range(3)]

    for of_one_kind in zip(*drawn, strict=True):
        assert len(set(of_one_kind)) == 3


async def test_each_copy_has_the_files_of_init_and_then_its_own(bench: Workbench) -> None:
    function = Snapped(bench, "write")
    first, second = await function.start(), await function.start()

    assert await told(first, "one") == ["deep", "one"]
    assert await told(second, "two") == ["deep", "two"]
    assert await told(await function.start(), "three") == ["deep", "three"]


async def test_files_that_init_left_open_go_on_where_it_stopped_reading(bench: Workbench) -> None:
    function = Snapped(bench, "read_on")
    first, second = await function.start(), await function.start()

    assert [await told(first) for _ in range(3)] == ["c", "d", "e"]
    assert [await told(second) for _ in range(2)] == ["c", "d"]


async def test_connections_that_init_made_have_ended(bench: Workbench) -> None:
    assert await told(await Snapped(bench, "talk").start()) == ""


async def test_a_copy_cannot_hurt_others_or_the_template(bench: Workbench) -> None:
    killer, look = Snapped(bench, "kill_all"), Snapped(bench, "look")
    one, other = await killer.start(), await killer.start()

    assert await told(one) == "done"

    assert await told(other) == "done"
    assert await told(await killer.start()) == "done"
    assert await told(await look.start())


async def test_no_namespace_can_be_entered_or_made(bench: Workbench) -> None:
    assert await told(await Snapped(bench, "intrude").start()) == []


async def test_a_template_can_enter_no_namespace_but_those_of_its_copies(bench: Workbench) -> None:
    source = SOURCE + "\n\nfound = intrude(None, None)\n\n\ndef report(event, context):\n    return found\n"

    assert await told(await Snapped(bench, "report", source).start()) == []


async def test_a_copy_is_held_to_its_memory_and_others_live(bench: Workbench) -> None:
    function = Snapped(bench, "hog")
    hog, other = await function.start(256), await function.start(256)

    assert (await hog.run(b"400")).outcome == Exited("signal: killed")

    assert await told(other, 1) == 1 << 20
    assert await told(await function.start(256), 1) == 1 << 20


async def test_copies_outlive_their_template_and_the_next_one_is_initialised_anew(bench: Workbench) -> None:
    dies = "\n\nos.register_at_fork(after_in_parent=lambda: os._exit(1))\n"
    function = Snapped(bench, "look", SOURCE + dies)
    copy = await function.start()
    seen = await told(copy)
    await until(lambda: len(_running(seen["uid"])) == 1)

    after = await told(await function.start())

    assert after["initialized"] != seen["initialized"]
    assert (await told(copy))["initialized"] == seen["initialized"]


async def test_nothing_is_left_when_the_worker_lets_go(tmp_path: Path) -> None:
    stray = "\n\nimport subprocess\nsubprocess.Popen(['sleep', '600'])\n"
    async with workbench_at(Level.L3, tmp_path) as bench:
        seen = await told(await Snapped(bench, "look", SOURCE + stray).start())
        assert any(_uid(process) == seen["uid"] for process in psutil.process_iter())

    assert not any(_uid(process) == seen["uid"] for process in psutil.process_iter())


@pytest.mark.parametrize("variable", ["THREAD", "PIPE"])
async def test_what_cannot_be_copied_starts_as_usual_and_the_log_says_why(
    bench: Workbench, variable: str
) -> None:
    function = Snapped(bench, "look", **{variable: "1"})
    first = await function.start()
    seen = [await told(first), await told(await function.start())]

    assert seen[0]["initialized"] != seen[1]["initialized"]
    assert [each["hooks"] for each in seen] == [["before", "after"]] * 2
    assert b"init left" in first.output
    assert b"every environment is initialised by itself" in first.output


async def test_an_error_of_init_is_that_of_every_start(bench: Workbench) -> None:
    function = Snapped(bench, "look", "raise KeyError('nobody')\n")

    for _ in range(2):
        with pytest.raises(InitFailed) as failed:
            await function.start()
        assert failed.value.error_type == "KeyError"


async def test_many_copies_at_once_take_one_init(bench: Workbench) -> None:
    function = Snapped(bench, "look")

    started = await asyncio.gather(*(function.start() for _ in range(8)))

    seen = [await told(each) for each in started]
    assert len({each["initialized"] for each in seen}) == 1
    assert len({each["namespaces"][2] for each in seen}) == 8


@pytest.mark.parametrize("level", [Level.L1, Level.L0], ids=str)
async def test_without_namespaces_every_environment_is_initialised_by_itself(
    level: Level, tmp_path: Path
) -> None:
    async with workbench_at(level, tmp_path) as bench:
        function = Snapped(bench, "look")
        seen = [await told(await function.start()) for _ in range(2)]

    assert seen[0]["initialized"] != seen[1]["initialized"]
    assert [each["hooks"] for each in seen] == [["before", "after"]] * 2


def _running(uid: int) -> list[psutil.Process]:
    """The processes of a user that run a function's runtime."""
    return [process for process in psutil.process_iter() if _uid(process) == uid and _is_runtime(process)]


def _uid(process: psutil.Process) -> int:
    try:
        return int(process.uids().real)
    except psutil.Error:
        return -1


def _is_runtime(process: psutil.Process) -> bool:
    try:
        return bool(process.cmdline()[:1] == ["/var/runtime/bootstrap"])
    except psutil.Error:
        return False
