"""A handler written with aws-lambda-go, built as `bootstrap`, in a running system."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.download_cache import download_cache
from tests.acceptance.functions import call, failing_call
from tests.deployment_packages import package
from tests.live_system import LiveSystem

SOURCE = Path(__file__).parent / "guests" / "go_greeter"


@pytest.fixture(scope="module")
def greeter() -> bytes:
    """The built program. Its module and the compiler's results stay in a cache."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    program = download_cache("go") / "bootstrap"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    fetched = subprocess.run([go, "mod", "download"], cwd=SOURCE, env=environment, capture_output=True)
    if fetched.returncode != 0:
        pytest.skip(f"aws-lambda-go cannot be downloaded: {fetched.stderr.decode()[-300:]}")
    build = [go, "build", "-ldflags=-s -w", "-o", str(program), "."]
    subprocess.run(build, cwd=SOURCE, env=environment, check=True)
    return program.read_bytes()


def test_a_handler_of_aws_lambda_go_answers_and_fails_as_on_lambda(
    running_system: LiveSystem, function_name: str, greeter: bytes
) -> None:
    code = package({"bootstrap": greeter})
    running_system.deploy(function_name, code, runtime="provided.al2023")
    answers = [call(running_system, function_name, {"name": name}) for name in ("Ada", "Grace")]
    assert [answer["greeting"] for answer in answers] == ["hello Ada", "hello Grace"]
    assert len({answer["request_id"] for answer in answers}) == 2
    assert {answer["function"] for answer in answers} == {function_name}
    document = failing_call(running_system, function_name, {})
    assert document == {"errorMessage": "nobody to greet", "errorType": "errorString"}


def test_a_layer_may_bring_the_bootstrap(
    running_system: LiveSystem, function_name: str, greeter: bytes
) -> None:
    layer = running_system.client.publish_layer_version(
        LayerName=function_name, Content={"ZipFile": package({"bootstrap": greeter})}
    )
    code = package({"settings": b"none"})
    layers = [layer["LayerVersionArn"]]
    running_system.deploy(function_name, code, runtime="provided.al2023", Layers=layers)
    assert call(running_system, function_name, {"name": "Ada"})["greeting"] == "hello Ada"
