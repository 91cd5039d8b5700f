"""The gateway as HTTP: signatures, routes, limits, health and our own API."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.integration.gateway.conftest import ARN, KEY, Refused, RunningGateway
from tests.signed_requests import Endpoint, sign

Create = Callable[..., dict[str, Any]]


class Answer:
    """Status, headers by lower-case name, and body of a raw exchange."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def exchange(gateway: RunningGateway, request: bytes) -> Answer:
    """Send bytes, read until the server closes."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request)
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    return Answer(b"".join(chunks))


def call(gateway: RunningGateway, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """A signed request on a connection of its own."""
    address = urlsplit(gateway.url)
    assert address.hostname
    assert address.port
    endpoint = Endpoint(
        address.hostname, address.port, KEY.access_key_id, KEY.secret_access_key, gateway.settings.region
    )
    return exchange(gateway, sign(endpoint, method, path, {"Connection": "close", **headers}, body))


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIDNOBODY"}, "UnrecognizedClientException"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException"),
    ],
)
def test_only_our_keys_open(gateway: RunningGateway, keys: dict[str, str], error: str) -> None:
    with pytest.raises(ClientError) as refused:
        gateway.client(**keys).list_functions()
    assert refused.value.response["Error"]["Code"] == error
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/2015-03-31/functions",
        "/2015-03-31/nothing",
        "/2015-03-31/functions/f/invocations",
        "/lightswitch/v1/workers",
        "/lightswitch/v1/depth",
        "/lightswitch/v1/functions/f/logs?limit=0",
    ],
)
def test_nothing_is_told_without_a_signature(gateway: RunningGateway, path: str) -> None:
    method = "POST" if path.endswith("invocations") else "GET"
    answer = exchange(gateway, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert answer.json == {"message": "Missing Authentication Token"}


def test_errors_look_like_those_of_aws(gateway: RunningGateway) -> None:
    missing = call(gateway, "GET", "/2015-03-31/functions/nobody")
    assert missing.status == 404
    assert missing.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert len(missing.headers["x-amzn-requestid"]) == 36
    assert missing.headers["content-type"] == "application/json"
    assert missing.json == {"Type": "User", "Message": f"Function not found: {ARN}:nobody"}
    broken = call(gateway, "GET", "/2015-03-31/functions?MaxItems=0")
    assert broken.headers["x-amzn-errortype"] == "ValidationException"
    assert list(broken.json) == ["message"]


@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/2015-03-31/functions/"])
def test_a_slash_at_the_end_makes_no_difference(gateway: RunningGateway, path: str) -> None:
    assert call(gateway, "GET", path).status == 200


def test_an_unknown_route_is_an_unknown_operation(gateway: RunningGateway) -> None:
    answer = call(gateway, "PATCH", "/2015-03-31/functions/f")
    assert answer.status == 404
    assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"
    assert call(gateway, "GET", "/elsewhere").status == 404


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("list_capacity_providers", {}),
        ("list_durable_executions_by_function", {"FunctionName": "f"}),
    ],
)
def test_what_is_not_built_says_so(refused: Refused, operation: str, request_: dict[str, Any]) -> None:
    answer = refused(operation, **request_)
    assert (answer["type"], answer["status"]) == ("NotImplementedException", 501)
    assert "Lightswitch does not implement" in answer["message"]


TOO_LARGE = "Request must be smaller than 70167211 bytes for the CreateFunction operation"


def test_a_body_far_over_the_limit_is_refused_before_it_is_read(gateway: RunningGateway) -> None:
    request = (
        b"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Length: 900000000\r\n\r\n"
    )
    answer = exchange(gateway, request)
    assert answer.status == 413
    assert answer.headers["x-amzn-errortype"] == "RequestEntityTooLargeException"
    assert answer.json["message"] == TOO_LARGE


def test_a_client_that_sends_too_much_is_told(create: Create) -> None:
    with pytest.raises(ClientError) as refused:
        create(Code={"ZipFile": bytes(53_000_000)})
    assert refused.value.response["Error"] == {
        "Code": "RequestEntityTooLargeException",
        "Message": TOO_LARGE,
    }
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_caller_that_hangs_up_harms_nobody(gateway: RunningGateway, client: Any) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    assert client.list_functions()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_invoke_takes_its_own_way(gateway: RunningGateway, create: Create, client: Any, name: str) -> None:
    create()
    dry = client.invoke(FunctionName=f"{ARN}:{name}", InvocationType="DryRun")
    assert dry["StatusCode"] == 204


def test_health_and_readiness_are_told_to_anybody(gateway: RunningGateway) -> None:
    with urllib.request.urlopen(f"{gateway.url}/healthz") as response:
        assert json.load(response) == {"status": "ok"}
    with urllib.request.urlopen(f"{gateway.url}/readyz") as response:
        state = json.load(response)
    assert (state["ready"], state["draining"]) == (True, False)
    assert 0 <= state["broker_ping_age_seconds"] < 5


def test_a_draining_gateway_is_not_ready(gateway: RunningGateway) -> None:
    gateway.readiness.draining = True
    try:
        with pytest.raises(urllib.error.HTTPError) as unready:
            urllib.request.urlopen(f"{gateway.url}/readyz")
        assert unready.value.code == 503
        unready.value.close()
    finally:
        gateway.readiness.draining = False


def test_an_asynchronous_invocation_can_be_asked_for(
    gateway: RunningGateway, create: Create, client: Any, name: str
) -> None:
    create()
    accepted = client.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    request_id = accepted["ResponseMetadata"]["RequestId"]
    answer = call(gateway, "GET", f"/lightswitch/v1/invocations/{request_id}")
    assert (answer.status, answer.json["status"]) == (200, "pending")
    unknown = call(gateway, "GET", "/lightswitch/v1/invocations/unknown")
    assert (unknown.status, unknown.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")


def test_an_event_may_be_left_as_old_clients_do(
    gateway: RunningGateway, create: Create, client: Any, refused: Refused, name: str
) -> None:
    create()
    accepted = client.invoke_async(FunctionName=name, InvokeArgs=b'{"a": 1}')
    assert accepted["Status"] == accepted["ResponseMetadata"]["HTTPStatusCode"] == 202
    request_id = accepted["ResponseMetadata"]["RequestId"]
    answer = call(gateway, "GET", f"/lightswitch/v1/invocations/{request_id}")
    assert (answer.status, answer.json["status"]) == (200, "pending")
    for function, event, error, status in (
        ("nobody", b"{}", "ResourceNotFoundException", 404),
        (name, b"{not json", "InvalidRequestContentException", 400),
        (name, b'"' + b"x" * 262_144 + b'"', "RequestTooLargeException", 413),
    ):
        no = refused("invoke_async", FunctionName=function, InvokeArgs=event)
        assert (no["type"], no["status"]) == (error, status)


def test_depth_and_workers_are_told(gateway: RunningGateway, create: Create, client: Any, name: str) -> None:
    create()
    before = call(gateway, "GET", "/lightswitch/v1/depth").json["queued"]
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    assert call(gateway, "GET", "/lightswitch/v1/depth").json["queued"] == before + 1
    assert call(gateway, "GET", "/lightswitch/v1/workers").json == {"workers": []}


def test_logs_are_read_from_cursor_to_cursor(gateway: RunningGateway, create: Create, name: str) -> None:
    create()
    path = f"/lightswitch/v1/functions/{name}/logs"
    assert call(gateway, "GET", path).json == {"events": [], "next": ""}
    gateway.on_loop(gateway.logs.append, name, "stream", b"hello\n")
    first = call(gateway, "GET", f"{path}?wait_seconds=10").json
    assert [event["message"] for event in first["events"]] == ["hello\n"]
    assert call(gateway, "GET", f"{path}?after={first['next']}&limit=5").json["events"] == []
    assert call(gateway, "GET", f"{path}?after=no-cursor").status == 400
    assert call(gateway, "GET", f"{path}?limit=0").status == 422
    assert call(gateway, "GET", "/lightswitch/v1/functions/nobody/logs").status == 404


def test_runtimes_are_those_of_the_workers_alive(
    gateway: RunningGateway, create: Create, refused: Refused, name: str
) -> None:
    consumer = gateway.run(gateway.broker.consumer(1, ("python3.11", "provided.al2023")))
    try:
        create(Runtime="python3.11")
        missing = refused("update_function_configuration", FunctionName=name, Runtime="java21")
        unknown = refused("update_function_configuration", FunctionName=name, Runtime="python9.9")
    finally:
        gateway.run(consumer.close())
    assert unknown["message"] == (
        "Value python9.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set:"
        " [provided.al2023, python3.11] or be a valid ARN"
    )
    assert missing["message"].startswith("Value java21 at 'runtime' failed to satisfy constraint:")
    assert "`lightswitch runtimes list` says what is missing" in missing["message"]
