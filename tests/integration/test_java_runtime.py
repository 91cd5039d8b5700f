"""Java functions at every sandbox level: AWS's client finds what it needs, whatever is hidden from it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import guests
from tests.java_guests import CannotBuild, add_java_runtime, build_guest
from tests.sandbox_levels import workbench_at
from worker.environments.interface import EnvironmentSpec, Succeeded, Work
from worker.environments.process_factory import ProcessEnvironmentFactory
from worker.runtimes.official.table import installed
from worker.sandbox.levels import IsolationPolicy, Level

pytestmark = pytest.mark.timeout(600)
"""The first run fetches from Maven Central."""

RUNTIMES = ["java17", "java25"]
PROJECT = Path(guests.__file__).parent / "java"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("java") / "data"


@pytest.fixture(scope="module")
def task_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("java-task")
    try:
        classes = build_guest(PROJECT).classes
    except CannotBuild as error:
        pytest.skip(str(error))
    for name, code in classes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(code)
    for path in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
    return root


@pytest.fixture(params=list(Level), ids=str)
async def level(request: pytest.FixtureRequest, tmp_path: Path) -> Level:
    """One that this machine has."""
    async with workbench_at(request.param, tmp_path):
        level: Level = request.param
        return level


@pytest.fixture
async def factory(level: Level, data_dir: Path, tmp_path: Path) -> AsyncIterator[ProcessEnvironmentFactory]:
    for runtime in RUNTIMES:
        if problem := add_java_runtime(runtime, data_dir):
            pytest.skip(problem)
    factory = ProcessEnvironmentFactory(
        tmp_path / "java-worker",
        find_official=partial(installed, data_dir / "runtimes"),
        policy=IsolationPolicy(forced=level, prewarmed=0),
    )
    await factory.open()
    yield factory
    await factory.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_function_answers_and_says_nothing_else(
    factory: ProcessEnvironmentFactory, task_root: Path, runtime: str
) -> None:
    output = bytearray()
    environment = factory.create(specification(runtime, task_root), output.extend, lambda: None)
    await environment.start()
    told = await run(environment)
    assert (told["java"], told["greeting"]) == (int(runtime.removeprefix("java")), "hallo")
    assert told["child"][0] == "hallo"
    assert output.decode().startswith("described ")
    assert len(output.splitlines()) == 1
    await environment.stop()


def specification(runtime: str, task_root: Path) -> EnvironmentSpec:
    return EnvironmentSpec(
        function_name="tried",
        version="$LATEST",
        function_arn="arn:aws:lambda:eu-central-1:123456789012:function:tried",
        runtime=runtime,
        handler="guests.Clerk::describe",
        timeout_seconds=20,
        memory_mb=512,
        ephemeral_storage_mb=512,
        variables={"GREETING": "hallo"},
        task_root=task_root,
        region="eu-central-1",
        log_group="/aws/lambda/tried",
    )


async def run(environment: Any) -> Any:
    deadline_ms = int((time.time() + 20) * 1000)
    work = Work("7b1c9f5e-0000-4000-8000-000000000001", b"{}", deadline_ms, "arn:aws:lambda:x:1:function:f")
    outcome = (await environment.run(work)).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)
