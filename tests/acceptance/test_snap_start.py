"""SnapStart through the real API: versions are initialised once, their environments restored from that."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.deployment_packages import package
from tests.live_system import LiveSystem

HOOKED = """
    import os, random, uuid
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    told = []
    initialized = uuid.uuid4().hex

    @register_before_snapshot
    def second():
        told.append("second")

    register_before_snapshot(told.append, "first")

    @register_after_restore
    def restored():
        told.append("restored")

    def handler(event, context):
        return {
            "told": told,
            "initialized": initialized,
            "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
            "stream": context.log_stream_name,
            "random": random.random(),
        }
"""

Publish = Callable[..., str]


@pytest.fixture
def publish(running_system: LiveSystem, function_name: str) -> Publish:
    """Deploy code with SnapStart, publish it; the version's number once it is no longer pending."""

    def deploy(code: str, **settings: Any) -> str:
        files = {"app.py": textwrap.dedent(code).encode()}
        more = {"SnapStart": {"ApplyOn": "PublishedVersions"}, **settings}
        running_system.deploy(function_name, package(files), **more)
        published = running_system.client.publish_version(FunctionName=function_name)
        assert published["State"] == "Pending"
        assert published["StateReasonCode"] == "Creating"
        waiter = running_system.client.get_waiter("published_version_active")
        waiter.wait(
            FunctionName=function_name,
            Qualifier=published["Version"],
            WaiterConfig={"Delay": 1, "MaxAttempts": 30},
        )
        return str(published["Version"])

    return deploy


def invoke(system: LiveSystem, name: str, version: str) -> tuple[Any, str]:
    answer = system.client.invoke(FunctionName=name, Qualifier=version, LogType="Tail")
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read()), base64.b64decode(answer["LogResult"]).decode()


def test_a_published_version_is_restored_and_its_hooks_run(
    running_system: LiveSystem, publish: Publish, function_name: str
) -> None:
    version = publish(HOOKED)

    described = running_system.client.get_function_configuration
    shown = described(FunctionName=function_name, Qualifier=version)
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert shown["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    latest = described(FunctionName=function_name)["SnapStart"]
    assert latest == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    answer, log = invoke(running_system, function_name, version)
    assert answer["told"] == ["first", "second", "restored"]
    assert answer["type"] == "snap-start"
    assert answer["stream"] is None
    assert "RESTORE_REPORT Restore Duration: " in log
    report = log.splitlines()[-1]
    assert "Restore Duration: " in report
    assert "Billed Restore Duration: " in report
    assert "Init Duration" not in report
    assert "Restore Duration" not in invoke(running_system, function_name, version)[1]


def test_the_unpublished_version_starts_on_demand(
    running_system: LiveSystem, publish: Publish, function_name: str
) -> None:
    publish(HOOKED)

    answer, log = invoke(running_system, function_name, "$LATEST")

    assert answer["type"] == "on-demand"
    assert answer["told"] == []
    assert "Init Duration: " in log


def test_publishing_again_without_a_change_gives_the_same_version(
    running_system: LiveSystem, publish: Publish, function_name: str
) -> None:
    version = publish(HOOKED)

    again = running_system.client.publish_version(FunctionName=function_name)

    assert (again["Version"], again["State"]) == (version, "Active")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise KeyError('nobody')\n", "KeyError: 'nobody'"),
        ("import missing_module\n", "Runtime.ImportModuleError: Unable to import module 'app'"),
        (
            "from snapshot_restore_py import register_before_snapshot\n"
            "def handler(event, context): pass\n"
            "register_before_snapshot(lambda: 1 / 0)\n",
            "Runtime.BeforeSnapshotError: ZeroDivisionError",
        ),
    ],
)
def test_a_version_that_cannot_be_initialised_fails(
    running_system: LiveSystem, publish: Publish, function_name: str, code: str, reason: str
) -> None:
    with pytest.raises(WaiterError, match="Failed"):
        publish(code)

    shown = running_system.client.get_function_configuration(FunctionName=function_name, Qualifier="1")
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Failed", "Failed")
    assert shown["StateReasonCode"] == "FunctionError"
    assert reason in shown["StateReason"]
    assert shown["SnapStart"]["OptimizationStatus"] == "Off"
    with pytest.raises(ClientError, match="Failed state"):
        running_system.client.invoke(FunctionName=function_name, Qualifier="1")


def test_an_after_restore_hook_that_fails_fails_the_calls(
    running_system: LiveSystem, publish: Publish, function_name: str
) -> None:
    version = publish(
        """
        from snapshot_restore_py import register_after_restore
        def handler(event, context): pass
        register_after_restore(lambda: [][1])
        """
    )

    answer = running_system.client.invoke(FunctionName=function_name, Qualifier=version)

    assert answer["FunctionError"] == "Unhandled"
    document = json.loads(answer["Payload"].read())
    assert document["errorType"] == "Runtime.AfterRestoreError"
    assert "IndexError" in document["errorMessage"]
