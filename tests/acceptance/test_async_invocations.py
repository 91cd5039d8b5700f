"""Asynchronous invocations: each accepted one ends once, in the right way, and others hear of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.functions import attempts, deploy, end_of, reserved, send, signed_get
from tests.live_system import LiveSystem

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
LISTENER = b"""
import json

def handler(event, context):
    print("HEARD " + json.dumps(event))
"""

CALLS_HOME = b"""
import socket

def handler(event, context):
    with socket.create_connection(("127.0.0.1", event["port"])) as home:
        home.recv(1)
"""


@pytest.fixture(scope="module")
def system(shared_system: LiveSystem) -> Iterator[LiveSystem]:
    deploy(shared_system, "job")
    deploy(shared_system, "listener", LISTENER)
    yield shared_system
    for name in ("job", "listener"):
        shared_system.client.delete_function(FunctionName=name)


@pytest.fixture
def config(system: LiveSystem) -> Iterator[Any]:
    """Set the event invoke config of `job` for one test."""

    def put(**settings: Any) -> None:
        system.client.put_function_event_invoke_config(FunctionName="job", **settings)

    yield put
    system.client.delete_function_event_invoke_config(FunctionName="job")


def logged(system: LiveSystem, function_name: str) -> str:
    """All that is kept of a function's log."""
    page = signed_get(system, f"/lightswitch/v1/functions/{function_name}/logs?limit=1000")
    return "".join(event["message"] for event in page["events"])


def heard_of(system: LiveSystem, request_id: str) -> dict[str, Any]:
    """The destination record about an invocation, from the listener's log."""
    for _ in attempts(f"the record of {request_id}"):
        for line in logged(system, "listener").splitlines():
            if line.startswith("HEARD "):
                record: dict[str, Any] = json.loads(line.removeprefix("HEARD "))
                if record.get("requestContext", {}).get("requestId") == request_id:
                    return record
    raise AssertionError


@pytest.mark.usefixtures("running_system")
class TestEnds:
    def test_a_success_ends_once(self, system: LiveSystem) -> None:
        outcome = end_of(system, send(system, "job", {"a": 1}))
        assert (outcome["status"], outcome["attempts"], outcome["deliveries"]) == ("succeeded", 1, 1)

    def test_a_failure_is_retried_twice_and_then_set_aside(self, system: LiveSystem) -> None:
        request_id = send(system, "job", {"do": "raise", "message": "always"})
        outcome = end_of(system, request_id)
        assert (outcome["status"], outcome["reason"], outcome["attempts"]) == (
            "failed",
            "RetriesExhausted",
            3,
        )
        assert json.loads(outcome["error"])["errorMessage"] == "always"
        assert outcome["dead_letter"] == f"dead-letter/{request_id}"

    def test_the_retry_attempts_are_the_function_s_to_say(self, system: LiveSystem, config: Any) -> None:
        config(MaximumRetryAttempts=0)
        assert end_of(system, send(system, "job", {"do": "raise"}))["attempts"] == 1

    def test_code_that_does_not_load_is_a_failure_too(self, system: LiveSystem, function_name: str) -> None:
        deploy(system, function_name, b"import nothing_like_it\n")
        outcome = end_of(system, send(system, function_name, {}))
        assert (outcome["status"], outcome["attempts"]) == ("failed", 3)

    def test_a_function_that_was_deleted_meanwhile_fails_and_loses_nothing(
        self, system: LiveSystem, function_name: str
    ) -> None:
        deploy(system, function_name, CALLS_HOME)
        with reserved(system, function_name, 1), socket.create_server(("127.0.0.1", 0)) as home:
            first = send(system, function_name, {"port": home.getsockname()[1]})
            running, _ = home.accept()
            second = send(system, function_name, {})
            system.client.delete_function(FunctionName=function_name)
            running.close()
            assert end_of(system, first)["status"] == "succeeded"
            assert end_of(system, second)["reason"] == "FunctionNotFound"
            deploy(system, function_name)


@pytest.mark.usefixtures("running_system")
class TestReservedConcurrency:
    def test_events_above_the_limit_wait_and_all_run(self, system: LiveSystem) -> None:
        with reserved(system, "job", 2):
            sent = [send(system, "job", {"do": "sleep", "seconds": 0.05}) for _ in range(20)]
            assert {end_of(system, request_id)["status"] for request_id in sent} == {"succeeded"}

    def test_no_concurrency_sends_events_to_the_destination_unrun(
        self, system: LiveSystem, config: Any
    ) -> None:
        config(DestinationConfig={"OnFailure": {"Destination": ARN + "listener"}})
        with reserved(system, "job", 0):
            request_id = send(system, "job", {"do": "print", "text": "ran"})
            context = heard_of(system, request_id)["requestContext"]
        assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)
        assert request_id not in logged(system, "job")


@pytest.mark.usefixtures("running_system")
class TestDestinations:
    def test_a_success_is_told_with_request_and_response(self, system: LiveSystem, config: Any) -> None:
        config(DestinationConfig={"OnSuccess": {"Destination": ARN + "listener"}})
        request_id = send(system, "job", {"n": 5})
        record = heard_of(system, request_id)
        assert record["requestContext"]["condition"] == "Success"
        assert record["requestContext"]["functionArn"] == ARN + "job:$LATEST"
        assert (record["requestPayload"], record["responsePayload"]) == ({"n": 5}, {"n": 5})
        assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}

    def test_a_failure_is_told_after_its_retries(self, system: LiveSystem, config: Any) -> None:
        config(MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": ARN + "listener"}})
        request_id = send(system, "job", {"do": "raise", "message": "no"})
        record = heard_of(system, request_id)
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 2
        assert record["responseContext"]["functionError"] == "Unhandled"
        assert record["responsePayload"]["errorMessage"] == "no"
        assert end_of(system, request_id)["dead_letter"] == ARN + "listener"
