"""Machines that cannot separate functions well: everything works, and the weakness is reported."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from tests.environment_workbench import CHILDREN, processes_naming, workbench
from worker.environments.interface import Succeeded
from worker.sandbox import zygotes
from worker.sandbox.interface import StartFailed
from worker.sandbox.interpreters import find_interpreters
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.process_sandbox import ProcessSandbox

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="another user is always limited")


async def uid_and_children(directory: Path, sandbox: ProcessSandbox) -> int:
    """Runs a function that leaves children; they must all die. Returns the uid it ran under."""
    async with workbench(directory, directory / "library", sandbox) as bench:
        root = bench.suite_code("python")
        family, other = await bench.start("app.leave_children", root), await bench.start("app.describe", root)
        token = uuid.uuid4().hex
        await family.run(json.dumps(token).encode())
        assert len(processes_naming(token)) == CHILDREN
        await family.environment.stop()
        assert processes_naming(token) == []
        described = (await other.run()).outcome
        assert isinstance(described, Succeeded)
        uid: int = json.loads(described.payload)["uid"]
        return uid


@AS_ROOT
async def test_an_interpreter_out_of_reach_means_the_workers_user_and_a_problem(tmp_path: Path) -> None:
    private = {version: replace(found, reachable=False) for version, found in find_interpreters().items()}
    sandbox = ProcessSandbox(
        tmp_path / "worker", policy=IsolationPolicy(forced=Level.L0), interpreters=private
    )

    assert await uid_and_children(tmp_path, sandbox) == os.geteuid()
    assert any("cannot reach" in problem for problem in sandbox.problems())


@AS_ROOT
async def test_no_lock_directory_means_the_workers_user_and_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sandbox = ProcessSandbox(
        tmp_path / "worker",
        policy=IsolationPolicy(forced=Level.L0),
        lock_directory=tmp_path / "file" / "locks",
    )

    assert await uid_and_children(tmp_path, sandbox) == os.geteuid()
    assert any("file/locks cannot be made" in problem for problem in sandbox.problems())


@AS_ROOT
async def test_without_mounts_code_out_of_reach_runs_as_the_worker_and_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zygotes, "make_mount_points", lambda: False)
    sandbox = ProcessSandbox(tmp_path / "worker", policy=IsolationPolicy(forced=Level.L0))

    assert await uid_and_children(tmp_path, sandbox) == os.geteuid()
    problems = " ".join(sandbox.problems())
    assert "share /tmp" in problems
    assert "cannot reach" in problems


async def test_a_runtime_without_an_interpreter_is_refused(tmp_path: Path) -> None:
    sandbox = ProcessSandbox(tmp_path / "worker", policy=IsolationPolicy(forced=Level.L0))
    async with workbench(tmp_path, tmp_path / "library", sandbox) as bench:
        assert "python3.99" not in bench.factory.runtimes()
        with pytest.raises(StartFailed, match=r"no interpreter for runtime python3\.99"):
            sandbox._zygotes.version("python3.99")
