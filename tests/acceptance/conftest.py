"""One running system for every acceptance test that does not need its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.acceptance.command_line import CommandLine
from tests.acceptance.go_build import built_greeter
from tests.live_system import LiveSystem

AddRoute = Callable[..., None]
WriteFunction = Callable[[str], Path]


@pytest.fixture(scope="session")
def image_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared system takes container images from."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory, image_directory: Path) -> Iterator[LiveSystem]:
    variables = {"LIGHTSWITCH_RETRY_STEP_SECONDS": "0.2"}
    arguments = ("--image-directory", str(image_directory))
    with LiveSystem(tmp_path_factory.mktemp("system") / "data", arguments, variables) as system:
        yield system


@pytest.fixture(scope="session")
def greeter() -> bytes:
    """A handler written with aws-lambda-go, built."""
    return built_greeter()


@pytest.fixture
def running_system(shared_system: LiveSystem, request: pytest.FixtureRequest) -> Iterator[LiveSystem]:
    """The shared system: leave it running. What it wrote is shown with a test that fails."""
    failed_before = request.session.testsfailed
    yield shared_system
    if request.session.testsfailed > failed_before:
        print(everything_said(shared_system))


@pytest.fixture
def command_line(running_system: LiveSystem) -> CommandLine:
    """A shell for work with the shared system."""
    return CommandLine(running_system.data_dir)


@pytest.fixture
def add_route(running_system: LiveSystem) -> Iterator[AddRoute]:
    """`add_route(function, "ANY /x/{proxy+}")`: a route of the HTTP API, for the test."""
    keys = Credentials(running_system.endpoint.access_key, running_system.endpoint.secret_key)
    endpoint = Endpoint(running_system.url, running_system.endpoint.region, keys)
    added: list[str] = []

    def add(function: str, route: str, **settings: Any) -> None:
        document = {"kind": "route", "function": function, "settings": {"route": route, **settings}}
        added.append(endpoint.send("POST", "/triggers", document)["id"])

    yield add
    for trigger_id in added:
        endpoint.send("DELETE", f"/triggers/{trigger_id}")


@pytest.fixture
def function_name() -> str:
    """A name that nothing else uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def write_function(tmp_path: Path) -> WriteFunction:
    """Write `app.py` with the given code; the folder to deploy."""

    def write(code: str) -> Path:
        folder = tmp_path / f"code-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        (folder / "app.py").write_text(code)
        return folder

    return write


def everything_said(system: LiveSystem) -> str:
    """What `up` and its children wrote, cut to the end of each."""
    logs = [system.log_file, *sorted((system.data_dir / "logs").glob("*.log"))]
    return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in logs)
