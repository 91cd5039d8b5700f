"""kill -9 of a worker that holds provisioned environments."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.deployment_packages import package
from tests.faults.callers import Callers
from tests.faults.conftest import StartSystem, kill
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

FUNCTION = "provisioned"
COUNT = 4
READY_WITHIN_SECONDS = 10
CODE = b"""
import os, time

def handler(event, context):
    time.sleep(event["seconds"])
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""


def config(system: LiveSystem) -> dict[str, Any]:
    found: dict[str, Any] = system.client.get_provisioned_concurrency_config(
        FunctionName=FUNCTION, Qualifier="1"
    )
    return found


def is_ready(system: LiveSystem) -> bool:
    return bool(config(system)["Status"] == "READY")


def test_what_a_killed_worker_held_is_initialised_elsewhere(
    start_system: StartSystem, report: Callable[..., None]
) -> None:
    system = start_system("--workers", "2")
    system.deploy(FUNCTION, package({"app.py": CODE}))
    system.client.publish_version(FunctionName=FUNCTION)
    system.client.put_provisioned_concurrency_config(
        FunctionName=FUNCTION, Qualifier="1", ProvisionedConcurrentExecutions=COUNT
    )
    eventually("READY", lambda: is_ready(system))
    workers = system.pids("worker")

    kill(workers[0])
    killed_at = time.monotonic()
    eventually("the loss to be seen", lambda: not is_ready(system), READY_WITHIN_SECONDS)
    lost_at = time.monotonic()
    eventually("READY again", lambda: is_ready(system), READY_WITHIN_SECONDS - (lost_at - killed_at))
    recovered_seconds = time.monotonic() - killed_at

    callers = Callers(system)
    waiting = [callers.call({"seconds": 0.5}, function=f"{FUNCTION}:1") for _ in range(COUNT)]
    answers = [call.result() for call in waiting]
    callers.close()
    assert [answer.result for answer in answers] == ["provisioned-concurrency"] * COUNT
    report(recovered_seconds=round(recovered_seconds, 1))
