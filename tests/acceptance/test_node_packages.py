"""Handlers and applications from npm that nobody here wrote, unmodified behind HTTP API routes."""

from __future__ import annotations

import base64
import json

import pytest

from tests.acceptance.conftest import AddRoute
from tests.acceptance.node_packages import node_files
from tests.acceptance.plain_http import ask
from tests.deployment_packages import package
from tests.guest_runtimes import add_runtime
from tests.live_system import LiveSystem
from worker.runtimes.official.interface import CannotInstall

pytestmark = pytest.mark.timeout(600)
"""The first run installs the client, which is compiled."""

RUNTIME = "nodejs22.x"
JSON = {"Content-Type": "application/json"}


def serve(system: LiveSystem, add_route: AddRoute, name: str, handler: str, path: str) -> None:
    try:
        add_runtime(system, RUNTIME)
    except CannotInstall as error:
        pytest.skip(str(error))
    system.deploy(name, package(node_files(handler)), runtime=RUNTIME, MemorySize=512)
    add_route(name, f"ANY /{path}/{{proxy+}}")


def test_a_handler_with_middleware_of_middy(
    running_system: LiveSystem, add_route: AddRoute, function_name: str
) -> None:
    serve(running_system, add_route, function_name, "middy_app.js", "middy")

    made = ask(running_system.url, "POST", "/middy/orders", b'{"n":1}', JSON)
    assert (made.status, made.json()) == (
        201,
        {"got": {"n": 1}, "path": "/middy/orders", "function": function_name},
    )
    assert ask(running_system.url, "POST", "/middy/orders", b"{nonsense", JSON).status == 415


def test_an_express_application(running_system: LiveSystem, add_route: AddRoute, function_name: str) -> None:
    serve(running_system, add_route, function_name, "express_app.js", "express")

    found = ask(running_system.url, "GET", "/express/orders/7?tag=1&tag=2")
    assert (found.status, found.json()) == (200, {"id": "7", "tags": ["1", "2"]})
    assert found.header("set-cookie").startswith("seen=yes")
    made = ask(running_system.url, "POST", "/express/orders", b'{"n":1}', JSON)
    assert (made.status, made.json()) == (201, {"got": {"n": 1}})
    image = ask(running_system.url, "GET", "/express/image")
    assert (image.header("content-type"), image.body) == ("image/png", bytes(range(256)))
    assert ask(running_system.url, "GET", "/express/nowhere").status == 404


def test_powertools_routes_and_logs(
    running_system: LiveSystem, add_route: AddRoute, function_name: str
) -> None:
    serve(running_system, add_route, function_name, "powertools_app.js", "powertools")

    found = ask(running_system.url, "GET", "/powertools/orders/7")
    assert (found.status, found.json()) == (200, {"id": "7"})
    assert ask(running_system.url, "GET", "/powertools/orders/0").status == 404
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/powertools/orders/8",
        "rawQueryString": "",
        "headers": {},
        "isBase64Encoded": False,
        "requestContext": {
            "domainName": "example.com",
            "http": {"method": "GET", "path": "/powertools/orders/8"},
        },
    }
    answer = running_system.client.invoke(
        FunctionName=function_name, Payload=json.dumps(event), LogType="Tail"
    )
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    told = next(json.loads(line[line.index("{") :]) for line in lines if "looked up" in line)
    assert (told["service"], told["order"], told["function_name"]) == ("orders", "8", function_name)
