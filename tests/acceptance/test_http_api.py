"""HTTP API routes from the outside: boto3 deploys the functions, a plain HTTP client calls them."""

from __future__ import annotations

import base64
import json
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from deploy.errors import DeployError
from tests.acceptance.command_line import CommandLine
from tests.acceptance.functions import attempts, deploy
from tests.acceptance.plain_http import Answer, ask
from tests.live_system import LiveSystem
from tests.oidc_issuer import OidcIssuer, oidc_issuer

SHOP = b"""
import json, time

def handler(event, context):
    asked = event.get("queryStringParameters") or {}
    if "sleep" in asked:
        time.sleep(float(asked["sleep"]))
    if "raise" in asked:
        raise ValueError("bad")
    if "return" in asked:
        return json.loads(asked["return"])
    return event
"""
GATEKEEPER = b"""
import json

def handler(event, context):
    token = (event.get("headers") or {}).get("authorization", "")
    print("asked about", token)
    if token == "nonsense":
        return "nonsense"
    if token.startswith("simple"):
        return {"isAuthorized": token == "simple-yes", "context": {"tenant": "t1"}}
    arn = event.get("routeArn") or event["methodArn"]
    effect = "Allow" if token == "policy-yes" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": arn}
    return {"principalId": "me", "policyDocument": {"Statement": [statement]}, "context": {"n": 1}}
"""

AddRoute = Callable[..., str]


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def shop(shared_system: LiveSystem) -> str:
    """A function that echoes its event, or does what the query says."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    deploy(shared_system, name, SHOP)
    return name


@pytest.fixture(scope="module")
def gatekeeper(shared_system: LiveSystem) -> str:
    name = f"gatekeeper-{uuid.uuid4().hex[:8]}"
    deploy(shared_system, name, GATEKEEPER)
    return name


@pytest.fixture
def prefix() -> str:
    """A first path segment that nothing else uses."""
    return f"api-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def endpoint(running_system: LiveSystem) -> Endpoint:
    keys = Credentials(running_system.endpoint.access_key, running_system.endpoint.secret_key)
    return Endpoint(running_system.url, running_system.endpoint.region, keys)


@pytest.fixture
def add_route(endpoint: Endpoint, shop: str) -> Iterator[AddRoute]:
    """Add a route; removed afterwards. Returns its id."""
    added: list[str] = []

    def add(route: str, function: str = shop, **settings: Any) -> str:
        document = {"kind": "route", "function": function, "settings": {"route": route, **settings}}
        added.append(endpoint.send("POST", "/triggers", document)["id"])
        return added[-1]

    yield add
    for trigger_id in added:
        endpoint.send("DELETE", f"/triggers/{trigger_id}")


@pytest.fixture
def call(running_system: LiveSystem, prefix: str) -> Callable[..., Answer]:
    """`call("GET", "/orders/7")` below the prefix."""

    def under_prefix(
        method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return ask(running_system.url, method, f"/{prefix}{target}", body, headers)

    return under_prefix


Call = Callable[..., Answer]


def test_a_route_calls_its_function_with_format_2(add_route: AddRoute, call: Call, prefix: str) -> None:
    add_route(f"GET /{prefix}/orders/{{id}}/{{proxy+}}")
    answer = call("GET", "/orders/7/a%20b/c?x=1&x=2&y=%26", headers={"Cookie": "a=1; b=2", "X-Me": "me"})
    event = answer.json()
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert event["version"] == "2.0"
    assert (
        event["routeKey"] == event["requestContext"]["routeKey"] == f"GET /{prefix}/orders/{{id}}/{{proxy+}}"
    )
    assert event["rawPath"] == f"/{prefix}/orders/7/a b/c"
    assert event["pathParameters"] == {"id": "7", "proxy": "a b/c"}
    assert event["rawQueryString"] == "x=1&x=2&y=%26"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "&"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-me"] == "me"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["domainName"] == "127.0.0.1"
    assert event["requestContext"]["requestId"] == answer.header("apigw-requestid")
    assert "authorizer" not in event["requestContext"]


def test_a_route_calls_its_function_with_format_1(add_route: AddRoute, call: Call, prefix: str) -> None:
    add_route(f"POST /{prefix}/upload", payload_format="1.0")
    reply = {"statusCode": 201, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}, "body": "made"}
    answer = call("POST", f"/upload?return={json.dumps(reply).replace(' ', '')}", b"\0\1")
    assert (answer.status, answer.body) == (201, b"made")
    assert [value for name, value in answer.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert call("POST", "/upload", b"x").status == 500  # an event is no response of format 1.0


def test_binary_bodies_go_both_ways(add_route: AddRoute, call: Call, prefix: str) -> None:
    add_route(f"PUT /{prefix}/image")
    event = call("PUT", "/image", b"\x89PNG\0", {"Content-Type": "image/png"}).json()
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\x89PNG\0", True)
    event = call("PUT", "/image", b'{"a":1}', {"Content-Type": "application/json"}).json()
    assert (event["body"], event["isBase64Encoded"]) == ('{"a":1}', False)
    reply = {
        "statusCode": 200,
        "isBase64Encoded": True,
        "body": "iVBORwA",
        "headers": {"content-type": "image/png"},
    }
    reply["body"] = base64.urlsafe_b64encode(b"\x89PNG\0").decode()
    answer = call("PUT", f"/image?return={json.dumps(reply).replace(' ', '').replace('=', '%3D')}")
    assert (answer.body, answer.header("content-type")) == (b"\x89PNG\0", "image/png")


def test_paths_without_a_route_are_not_found_and_reserved_ones_are_ours(
    add_route: AddRoute, call: Call, prefix: str, running_system: LiveSystem
) -> None:
    add_route(f"GET /{prefix}/a")
    for answer in (call("GET", "/b"), call("POST", "/a"), call("GET", "/a/")):
        assert (answer.status, answer.json()) == (404, {"message": "Not Found"})
    assert call("GET", "/%zz").status == 400
    assert ask(running_system.url, "GET", "/healthz").json() == {"status": "ok"}
    assert ask(running_system.url, "GET", "/lightswitch/nothing").status == 404
    for reserved in ("GET /lightswitch/x", "ANY /healthz", "POST /2015-03-31/functions"):
        with pytest.raises(DeployError, match="gateway's own"):
            add_route(reserved)


def test_a_route_appears_changes_and_disappears(
    add_route: AddRoute, call: Call, prefix: str, endpoint: Endpoint
) -> None:
    trigger_id = add_route(f"GET /{prefix}/a")
    assert call("GET", "/a").status == 200
    with pytest.raises(DeployError, match="is there already"):
        add_route(f"GET /{prefix}/a")
    endpoint.send("PUT", f"/triggers/{trigger_id}", {"enabled": False})
    assert call("GET", "/a").status == 404
    endpoint.send("PUT", f"/triggers/{trigger_id}", {"enabled": True})
    assert call("GET", "/a").status == 200


def test_failing_functions_are_internal_errors_and_slow_ones_unavailable(
    add_route: AddRoute, call: Call, prefix: str
) -> None:
    add_route(f"GET /{prefix}/a", timeout_ms=500)
    for target in ("/a?raise=1", '/a?return={"statusCode":"x"}'):
        answer = call("GET", target)
        assert (answer.status, answer.json()) == (500, {"message": "Internal Server Error"})
    answer = call("GET", "/a?sleep=2")
    assert (answer.status, answer.json()) == (503, {"message": "Service Unavailable"})


def test_head_has_the_headers_alone(add_route: AddRoute, call: Call, prefix: str) -> None:
    add_route(f"ANY /{prefix}/a")
    answer = call("HEAD", '/a?return={"statusCode":200,"body":"hello"}')
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "5")


def test_what_is_too_large_is_refused(
    add_route: AddRoute, call: Call, prefix: str, running_system: LiveSystem
) -> None:
    add_route(f"POST /{prefix}/a")
    for size in (7_000_000, 10 * 1024 * 1024 + 1):
        answer = call("POST", "/a", b"x" * size, {"Content-Type": "text/plain"})
        assert (answer.status, answer.json()) == (413, {"message": "Request Entity Too Large"})
    assert call("POST", "/a", b"x", {"X-Big": "x" * 11_000}).status == 431
    assert call("POST", "/a", b"x").status == 200


def test_a_throttled_route_says_so(add_route: AddRoute, call: Call, prefix: str) -> None:
    add_route(f"GET /{prefix}/a", rate_per_second=0.001, burst=2)
    answers = [call("GET", "/a") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].json() == {"message": "Too Many Requests"}


def test_browsers_are_told_what_they_may_do(add_route: AddRoute, call: Call, prefix: str) -> None:
    cors = {"allow_origins": ["https://shop.example.com"]}
    add_route(f"GET /{prefix}/a", cors=cors, rate_per_second=0.001, burst=1)
    origin = {"Origin": "https://shop.example.com"}
    asked = call("OPTIONS", "/a", headers=origin | {"Access-Control-Request-Method": "GET"})
    assert (asked.status, asked.header("access-control-allow-methods")) == (204, "GET")
    for status in (200, 429):
        answer = call("GET", "/a", headers=origin)
        assert answer.status == status
        assert answer.header("access-control-allow-origin") == "https://shop.example.com"


def test_a_token_opens_a_route(add_route: AddRoute, call: Call, prefix: str, issuer: OidcIssuer) -> None:
    jwt = {"issuer": issuer.url, "audiences": ["shop"]}
    add_route(f"GET /{prefix}/a", jwt=jwt)
    add_route(f"GET /{prefix}/scoped", jwt=jwt | {"scopes": ["orders:read"]})
    answer = call("GET", "/a")
    assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.header("www-authenticate") == "Bearer"
    expired = call("GET", "/a", headers={"Authorization": f"Bearer {issuer.token(exp=1)}"})
    assert expired.status == 401
    assert 'error_description="the token has expired"' in expired.header("www-authenticate")
    event = call("GET", "/a", headers={"Authorization": f"Bearer {issuer.token()}"}).json()
    told = event["requestContext"]["authorizer"]["jwt"]
    assert (told["claims"]["sub"], told["scopes"]) == ("me", None)
    answer = call("GET", "/scoped", headers={"Authorization": issuer.token()})
    assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})
    good = issuer.token(scope="orders:read")
    assert call("GET", "/scoped", headers={"Authorization": good}).status == 200


def test_strangers_are_refused_before_their_bodies_are_taken(
    add_route: AddRoute, prefix: str, issuer: OidcIssuer, running_system: LiveSystem
) -> None:
    add_route(f"PUT /{prefix}/a", jwt={"issuer": issuer.url, "audiences": ["shop"]})
    head = f"PUT /{prefix}/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
    assert said_to(running_system, head.encode()).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /%2 HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /nowhere-at-all HTTP/1.0\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"BREW /nowhere-at-all HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
    ],
)
def test_odd_requests_are_answered_as_such(running_system: LiveSystem, said: bytes, answered: bytes) -> None:
    assert said_to(running_system, said).startswith(answered)


def test_a_body_in_chunks_arrives_whole(add_route: AddRoute, prefix: str, running_system: LiveSystem) -> None:
    add_route(f"POST /{prefix}/a")
    head = (
        f"POST /{prefix}/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
    )
    answer = said_to(running_system, head.encode() + b"\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert b'"body":"abcde"' in answer.replace(b'": "', b'":"')
    assert b"transfer-encoding" not in answer.lower()


def said_to(system: LiveSystem, said: bytes) -> bytes:
    """What the gateway answers to some bytes, as far as the first piece that has a body."""
    with socket.create_connection((system.endpoint.host, system.endpoint.port), timeout=30) as connection:
        connection.sendall(said)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


def test_a_function_decides_about_callers(
    add_route: AddRoute, call: Call, prefix: str, gatekeeper: str
) -> None:
    policies = {"function": gatekeeper, "simple_responses": False}
    add_route(f"GET /{prefix}/simple", authorizer={"function": gatekeeper})
    add_route(f"GET /{prefix}/policy", authorizer=policies)
    add_route(f"GET /{prefix}/old", authorizer=policies | {"payload_format": "1.0"})
    event = call("GET", "/simple", headers={"Authorization": "simple-yes"}).json()
    assert event["requestContext"]["authorizer"] == {"lambda": {"tenant": "t1"}}
    for path in ("/policy", "/old"):
        event = call("GET", path, headers={"Authorization": "policy-yes"}).json()
        assert event["requestContext"]["authorizer"] == {"lambda": {"n": 1}}
        assert call("GET", path, headers={"Authorization": "policy-no"}).json() == {"message": "Forbidden"}
    assert call("GET", "/simple", headers={"Authorization": "simple-no"}).status == 403
    assert call("GET", "/simple").json() == {"message": "Unauthorized"}
    assert call("GET", "/simple", headers={"Authorization": "nonsense"}).status == 500


def test_a_verdict_is_kept_for_its_time(
    add_route: AddRoute, call: Call, prefix: str, gatekeeper: str, command_line: CommandLine
) -> None:
    add_route(f"GET /{prefix}/a", authorizer={"function": gatekeeper, "ttl_seconds": 300})
    add_route(f"GET /{prefix}/b", authorizer={"function": gatekeeper, "ttl_seconds": 300})
    token = f"simple-{uuid.uuid4().hex}"
    for _ in range(3):
        assert call("GET", "/a", headers={"Authorization": token}).status == 403
        assert call("GET", "/b", headers={"Authorization": token}).status == 403
    last = f"simple-{uuid.uuid4().hex}"
    call("GET", "/a", headers={"Authorization": last})
    for _ in attempts("the authorizer's log"):
        said = command_line.run("logs", gatekeeper).stdout
        if last in said:
            break
    assert len(re.findall(token, said)) == 1


def test_a_caller_that_hangs_up_frees_what_it_held(
    add_route: AddRoute, call: Call, prefix: str, running_system: LiveSystem, function_name: str
) -> None:
    deploy(running_system, function_name, SHOP)
    add_route(f"GET /{prefix}/a", function=function_name)
    running_system.client.put_function_concurrency(FunctionName=function_name, ReservedConcurrentExecutions=1)
    connection = HTTPConnection(running_system.endpoint.host, running_system.endpoint.port, timeout=30)
    connection.request("GET", f"/{prefix}/a?sleep=1")
    for _ in attempts("the slot to be taken"):
        if call("GET", "/a").status == 503:
            break
    connection.close()
    for _ in attempts("the slot to be free"):
        if call("GET", "/a").status == 200:
            break


def test_the_command_line_adds_a_route_with_everything(
    command_line: CommandLine, shop: str, call: Call, prefix: str, issuer: OidcIssuer
) -> None:
    options = ("--jwt-issuer", issuer.url, "--jwt-audience", "shop", "--jwt-scope", "a", "--jwt-scope", "b")
    more = ("--rate", "5", "--burst", "10", "--cors-origin", "*", "--payload-format", "2.0")
    route = ("trigger", "add", "route", f"GET /{prefix}/a", "--function", shop)
    added = command_line.run(*route, *options, *more)
    assert added.returncode == 0, added.stderr
    assert call("GET", "/a", headers={"Authorization": issuer.token(scope="b")}).status == 200
    shown = json.loads(command_line.run("trigger", "show", added.stdout.strip()).stdout)
    assert shown["settings"]["jwt"]["scopes"] == ["a", "b"]
    assert "is there already" in command_line.run(*route).stderr
    command_line.run("trigger", "remove", added.stdout.strip())
    assert call("GET", "/a").status == 404
