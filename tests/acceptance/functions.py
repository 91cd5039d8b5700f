"""Functions deployed for the tests of invocations, and what is asked of them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.deployment_packages import package
from tests.live_system import LiveSystem

PATIENCE_SECONDS = 30.0

EVERYTHING = b"""
import json, os, sys, time, subprocess

def handler(event, context):
    what = event.get("do", "echo")
    if what == "echo":
        return event
    if what == "context":
        client = context.client_context
        return {
            "request_id": context.aws_request_id,
            "arn": context.invoked_function_arn,
            "name": context.function_name,
            "version": context.function_version,
            "memory": context.memory_limit_in_mb,
            "group": context.log_group_name,
            "stream": context.log_stream_name,
            "remaining": context.get_remaining_time_in_millis(),
            "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
            "client": client and {"custom": client.custom, "env": client.env},
            "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "variable": os.environ.get("GREETING"),
        }
    if what == "environment":
        return sorted(os.environ)
    if what == "print":
        print(event["text"])
        return None
    if what == "raise":
        raise ValueError(event.get("message", "bad"))
    if what == "exit":
        os._exit(event["status"])
    if what == "sleep":
        time.sleep(event["seconds"])
        return "slept"
    if what == "big":
        return "x" * event["bytes"]
    if what == "append":
        with open(event["path"], "a") as file:
            file.write(event["text"] + "\\n")
        if event.get("fail"):
            raise RuntimeError("failed on purpose")
        return event["text"]
    if what == "pid":
        time.sleep(event.get("seconds", 0))
        return os.getpid()
    raise KeyError(what)
"""


def deploy(system: LiveSystem, name: str, code: bytes = EVERYTHING, **settings: Any) -> None:
    """Create a Python function from one file, app.py."""
    system.deploy(name, package({"app.py": code}), **settings)


def call(system: LiveSystem, name: str, event: Any, **more: Any) -> Any:
    """The parsed payload of a call that must succeed."""
    answer = system.client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def failing_call(system: LiveSystem, name: str, event: Any, **more: Any) -> dict[str, Any]:
    """The error document of a call whose function must fail."""
    answer = system.client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled", document
    return document


def send(system: LiveSystem, name: str, event: Any, **more: Any) -> str:
    """The request id of an accepted asynchronous invocation."""
    answer = system.client.invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **more
    )
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    request_id: str = answer["ResponseMetadata"]["RequestId"]
    return request_id


def end_of(system: LiveSystem, request_id: str) -> dict[str, Any]:
    """The terminal state of an asynchronous invocation."""
    for _ in attempts(f"the end of {request_id}"):
        outcome = signed_get(system, f"/lightswitch/v1/invocations/{request_id}")
        if outcome["status"] != "pending":
            return outcome
    raise AssertionError


def signed_get(system: LiveSystem, path: str) -> dict[str, Any]:
    """A JSON document of Lightswitch's own API."""
    request = AWSRequest("GET", system.url + path)
    key = Credentials(system.endpoint.access_key, system.endpoint.secret_key)
    SigV4Auth(key, "lambda", system.endpoint.region).add_auth(request)
    opened = urllib.request.Request(request.url, headers=dict(request.headers))
    with urllib.request.urlopen(opened, timeout=10) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def attempts(what: str) -> Iterator[None]:
    """Try again until it works; fail naming `what` when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_SECONDS:g} s in vain for {what}")


@contextmanager
def reserved(system: LiveSystem, name: str, concurrency: int) -> Iterator[None]:
    """Reserve concurrency for the block."""
    system.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=concurrency)
    yield
    system.client.delete_function_concurrency(FunctionName=name)
