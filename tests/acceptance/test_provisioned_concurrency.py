"""Provisioned concurrency through boto3, on two workers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.functions import attempts
from tests.deployment_packages import package
from tests.live_system import LiveSystem

CODE = b"""
import os, time

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], context.log_stream_name]
"""
PROVISIONED, ON_DEMAND = "provisioned-concurrency", "on-demand"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """Two workers, which keep nothing idle beyond the next round of their housekeeping."""
    variables = {"LIGHTSWITCH_KEEP_ALIVE_SECONDS": "0"}
    place = tmp_path_factory.mktemp("two-workers") / "data"
    with LiveSystem(place, ("--workers", "2"), variables) as system:
        yield system


@pytest.fixture
def function(system: LiveSystem, function_name: str) -> str:
    """Version 1, and the alias `live` that points to it."""
    system.deploy(function_name, package({"app.py": CODE}))
    system.client.publish_version(FunctionName=function_name)
    system.client.create_alias(FunctionName=function_name, Name="live", FunctionVersion="1")
    return function_name


def put(system: LiveSystem, function: str, qualifier: str, count: int) -> None:
    """Ask for it, and wait until it is ready."""
    system.client.put_provisioned_concurrency_config(
        FunctionName=function, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )
    wait_for(system, function, qualifier, "READY")


def wait_for(system: LiveSystem, function: str, qualifier: str, status: str) -> dict[str, Any]:
    for _ in attempts(f"{status} of {function}"):
        config = system.client.get_provisioned_concurrency_config(FunctionName=function, Qualifier=qualifier)
        if config["Status"] == status:
            return dict(config)
    raise AssertionError


def call(system: LiveSystem, function: str, qualifier: str, seconds: float = 0) -> tuple[str, str, str]:
    """Initialization type, log stream, and the end of the log."""
    answer = system.client.invoke(
        FunctionName=function,
        Qualifier=qualifier,
        Payload=json.dumps({"seconds": seconds}),
        LogType="Tail",
    )
    initialized, stream = json.loads(answer["Payload"].read())
    return initialized, stream, base64.b64decode(answer["LogResult"]).decode()


def call_together(system: LiveSystem, function: str, count: int) -> list[tuple[str, str, str]]:
    """So many calls at one time."""
    with ThreadPoolExecutor(count) as callers:
        calls = [callers.submit(call, system, function, "live", 0.5) for _ in range(count)]
        return [one.result() for one in calls]


def test_the_first_call_finds_an_initialized_environment(system: LiveSystem, function: str) -> None:
    put(system, function, "live", 2)

    initialized, _, log = call(system, function, "live")

    assert initialized == PROVISIONED
    report = next(line for line in log.splitlines() if line.startswith("REPORT"))
    assert "Init Duration" not in report
    assert "INIT_REPORT Init Duration" in log
    assert call(system, function, "$LATEST")[0] == ON_DEMAND


def test_calls_beyond_it_spill_over_to_environments_on_demand(system: LiveSystem, function: str) -> None:
    put(system, function, "live", 4)

    for _ in range(3):
        answers = call_together(system, function, 4)
        assert [initialized for initialized, _, _ in answers] == [PROVISIONED] * 4
        assert len({stream for _, stream, _ in answers}) == 4
    # Where starting one takes longer than a run, the fifth call takes one that is free again.
    for _ in attempts("one call too many, on demand"):
        answers = call_together(system, function, 5)
        if sorted(initialized for initialized, _, _ in answers) == [ON_DEMAND] + [PROVISIONED] * 4:
            break


def test_what_is_provisioned_outlives_the_keep_alive(system: LiveSystem, function: str) -> None:
    put(system, function, "live", 2)
    _, on_demand, _ = call(system, function, "$LATEST")
    streams = set()
    for _ in attempts("the end of an idle environment"):
        streams.add(call(system, function, "live")[1])
        if call(system, function, "$LATEST")[1] != on_demand:
            break
    assert len(streams) <= 2


def test_what_is_busy_is_allocated_and_not_available(system: LiveSystem, function: str) -> None:
    put(system, function, "live", 2)
    with ThreadPoolExecutor(1) as callers:
        running = callers.submit(call, system, function, "live", 3.0)
        for _ in attempts("a busy environment"):
            config = system.client.get_provisioned_concurrency_config(FunctionName=function, Qualifier="live")
            if config["AvailableProvisionedConcurrentExecutions"] == 1:
                break
        assert config["AllocatedProvisionedConcurrentExecutions"] == 2
        running.result()


def test_after_the_configuration_is_deleted_environments_are_made_on_demand(
    system: LiveSystem, function: str
) -> None:
    put(system, function, "live", 1)
    assert call(system, function, "live")[0] == PROVISIONED
    system.client.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="live")
    for _ in attempts("an environment on demand"):
        if call(system, function, "live")[0] == ON_DEMAND:
            return


def test_a_function_that_cannot_be_initialized_fails_and_says_why(
    system: LiveSystem, function_name: str
) -> None:
    system.deploy(function_name, package({"app.py": b"raise RuntimeError('not today')"}))
    system.client.publish_version(FunctionName=function_name)
    system.client.put_provisioned_concurrency_config(
        FunctionName=function_name, Qualifier="1", ProvisionedConcurrentExecutions=1
    )
    config = wait_for(system, function_name, "1", "FAILED")
    assert config["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert config["AllocatedProvisionedConcurrentExecutions"] == 0
