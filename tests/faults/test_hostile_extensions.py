"""Extensions that misbehave: callers get AWS's errors or their answers, a neighbour notices nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment_packages import package
from tests.environment_workbench import EXTENSION
from tests.faults.neighbourhood import NEIGHBOUR, Answer, attacked, outcome
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the strongest level needs root")

SLEEPER = b"import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n"


@pytest.fixture(scope="module")
def system(redis_executable: str) -> Iterator[LiveSystem]:
    """One worker at the strongest level."""
    directory = Path(tempfile.mkdtemp(prefix="lightswitch-hostile-", dir="/var/tmp"))
    directory.chmod(0o711)
    with LiveSystem(directory / "system", ("--workers", "1", "--isolation", "L3"), shared=()) as system:
        system.deploy("neighbour", package({"app.py": NEIGHBOUR}), MemorySize=1769)
        yield system
    shutil.rmtree(directory)


def deploy(system: LiveSystem, **plan: Any) -> str:
    """A function that sleeps, with an extension of its own name that follows `plan`."""
    name = f"watched-{uuid.uuid4().hex[:8]}"
    layer = system.client.publish_layer_version(
        LayerName=name, Content={"ZipFile": package({f"extensions/{name}": EXTENSION.encode()})}
    )
    system.deploy(
        name,
        package({"app.py": SLEEPER}),
        timeout_seconds=3,
        MemorySize=512,
        Layers=[layer["LayerVersionArn"]],
        Environment={"Variables": {"EXTENSION_PLAN": json.dumps({name: plan})}},
    )
    return name


def error_of(answer: Answer) -> tuple[str, str]:
    """Its type, and its message without the request id."""
    error_type, message = answer
    assert message.startswith("RequestId: ")
    return error_type, message.partition(" Error: ")[2]


def test_an_extension_that_hangs_in_init_times_out(system: LiveSystem) -> None:
    name = deploy(system, misbehave="before registering", how="hang")

    assert error_of(attacked(system, name, 0)) == ("Sandbox.Timedout", "Task timed out after 10.00 seconds")


def test_an_extension_that_crashes_in_init_is_named_each_time(system: LiveSystem) -> None:
    name = deploy(system, misbehave="in init", status=7)

    answers = [error_of(outcome(system, name, 0)) for _ in range(2)]

    assert answers == [("Extension.Crash", "exit status 7")] * 2


def test_an_extension_that_crashes_in_the_middle_ends_the_run(system: LiveSystem) -> None:
    name = deploy(system, misbehave="in invoke")

    assert error_of(attacked(system, name, 2)) == ("Extension.Crash", "exit status 3")


def test_an_extension_that_never_asks_again_costs_its_environment_only(system: LiveSystem) -> None:
    name = deploy(system, misbehave="in invoke", how="hang")

    assert [attacked(system, name, 0), outcome(system, name, 0)] == [("", 0), ("", 0)]
    eventually("the end of the environments", lambda: not _processes_of(name), 15)


def test_an_extension_that_floods_the_log_holds_nobody_up(system: LiveSystem) -> None:
    name = deploy(system, misbehave="in invoke", how="flood")

    assert attacked(system, name, 0) == ("", 0)
    eventually("the end of the environment", lambda: not _processes_of(name), 15)


def test_an_extension_that_ignores_the_end_is_killed(system: LiveSystem) -> None:
    name = deploy(system, misbehave="at shutdown", how="hang")
    assert outcome(system, name, 0) == ("", 0)
    before = _processes_of(name)
    assert len(before) == 1

    # A changed function retires the environment.
    system.client.update_function_configuration(FunctionName=name, Description="changed")
    assert attacked(system, name, 0) == ("", 0)

    eventually("the end of the old environment", lambda: not before & _processes_of(name), 15)


def _processes_of(extension: str) -> set[int]:
    """The pids of live processes of an extension."""
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and f"/extensions/{extension}".encode() in _command_line(entry)
    }


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
