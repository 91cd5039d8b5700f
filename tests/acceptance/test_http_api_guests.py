"""Applications from PyPI that nobody here wrote, unmodified behind HTTP API routes."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import AddRoute
from tests.acceptance.plain_http import Answer, ask
from tests.deployment_packages import package
from tests.installed_packages import files_of
from tests.live_system import LiveSystem

GUESTS = Path(__file__).parent / "guests"

Serve = Callable[..., None]


@pytest.fixture
def serve(running_system: LiveSystem, add_route: AddRoute) -> Serve:
    """`serve("ANY /x/{proxy+}", "app.py", "its", "distributions")`: deploy a guest behind a route."""

    def deploy_and_route(route: str, source: str, *distributions: str, **settings: Any) -> None:
        name = f"guest-{uuid.uuid4().hex[:8]}"
        files = {"app.py": (GUESTS / source).read_bytes(), **files_of(*distributions)}
        running_system.deploy(name, package(files), MemorySize=512)
        add_route(name, route, **settings)

    return deploy_and_route


@pytest.mark.parametrize("payload_format", ["1.0", "2.0"])
def test_a_starlette_application_under_mangum(
    serve: Serve, running_system: LiveSystem, payload_format: str
) -> None:
    distributions = ("mangum", "starlette", "anyio", "idna", "typing-extensions")
    serve("ANY /star/{proxy+}", "starlette_app.py", *distributions, payload_format=payload_format)
    sent = {"Cookie": "seen=no; x=y", "Content-Type": "application/octet-stream"}
    answer = ask(running_system.url, "POST", "/star/orders/a%20b?tag=1&tag=2", b"\0\xff", sent)
    assert answer.status == 201, answer.body
    assert answer.json() == {
        "id": "a b",
        "tags": ["1", "2"],
        "url": f"{running_system.url}/star/orders/a b?tag=1&tag=2",  # AWS's HTTP APIs decode paths, too
        "seen": "no",
        "client": "127.0.0.1",
        "body": "00ff",
    }
    cookies = [value for name, value in answer.headers if name == "set-cookie"]
    assert [cookie.partition(";")[0] for cookie in cookies] == ["seen=yes", "more=also"]
    away = ask(running_system.url, "GET", "/star/away")
    assert (away.status, away.header("location")) == (307, "/elsewhere")
    assert ask(running_system.url, "GET", "/star/nowhere").status == 404


def test_a_compressed_image_arrives_whole(serve: Serve, running_system: LiveSystem) -> None:
    serve("GET /star/image", "starlette_app.py", "mangum", "starlette", "anyio", "idna", "typing-extensions")
    answer = ask(running_system.url, "GET", "/star/image", None, {"Accept-Encoding": "gzip"})
    assert (answer.status, answer.header("content-type")) == (200, "image/png")
    body = gzip.decompress(answer.body) if _is_compressed(answer) else answer.body
    assert body == bytes(range(256)) * 8


def test_a_powertools_event_handler(serve: Serve, running_system: LiveSystem) -> None:
    distributions = ("aws-lambda-powertools", "jmespath", "typing-extensions")
    serve("ANY /power/{proxy+}", "powertools_app.py", *distributions)
    found = ask(running_system.url, "GET", "/power/orders/7?tag=1&tag=2")
    assert found.json() == {"id": "7", "tags": ["1", "2"], "subject": None, "ip": "127.0.0.1"}
    missing = ask(running_system.url, "GET", "/power/orders/0")
    assert (missing.status, missing.json()["message"]) == (404, "no such order")
    made = ask(running_system.url, "POST", "/power/orders", b'{"n":1}', {"Content-Type": "application/json"})
    assert (made.status, made.json()) == (201, {"got": {"n": 1}})
    cookies = [value.partition(";")[0] for name, value in made.headers if name == "set-cookie"]
    assert cookies == ["a=1", "b=2"]


def test_a_chalice_application(serve: Serve, running_system: LiveSystem) -> None:
    # Chalice finds its views by the route of the API, so each of its own is one here too.
    pytest.importorskip("chalice")
    serve("ANY /chalice/orders/{order_id}", "chalice_app.py", "chalice", payload_format="1.0")
    found = ask(running_system.url, "GET", "/chalice/orders/7?tag=1&tag=2")
    assert found.json() == {"id": "7", "method": "GET", "tags": ["1", "2"], "body": None}
    put = ask(
        running_system.url, "PUT", "/chalice/orders/7", b'{"n":1}', {"Content-Type": "application/json"}
    )
    assert put.json()["body"] == {"n": 1}
    missing = ask(running_system.url, "GET", "/chalice/orders/0")
    assert (missing.status, missing.json()["Code"]) == (404, "NotFoundError")
    serve("GET /chalice/image", "chalice_app.py", "chalice", payload_format="1.0")
    image = ask(running_system.url, "GET", "/chalice/image", None, {"Accept": "image/png"})
    assert (image.status, image.body) == (200, bytes(range(256)))
    assert [value for name, value in image.headers if name == "x-a"] == ["1", "2"]


def _is_compressed(answer: Answer) -> bool:
    return ("content-encoding", "gzip") in answer.headers
