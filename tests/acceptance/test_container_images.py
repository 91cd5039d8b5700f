"""Container images in a running system: a Go program alone, and Python with AWS's runtime client."""

from __future__ import annotations

import importlib.util
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command_line import CommandLine
from tests.acceptance.functions import call, end_of, failing_call, send
from tests.container_images import LayoutBuilder, Member, directory, layer
from tests.live_system import FUNCTION_ROLE, LiveSystem
from tests.python_image import INTERPRETER, python_layer

HANDLER = b"""
import os, sys

def handler(event, context):
    print("in the image")
    if event.get("fail"):
        raise ValueError("out of paper")
    with open("/etc/image-name") as name:
        return {"image": name.read(), "directory": os.getcwd(), "colour": os.environ["COLOUR"],
                "function": context.function_name, "argv": sys.argv[1:], "root": sorted(os.listdir("/"))}
"""
CLIENT = ("/usr/bin/python3", "-m", "awslambdaric")


@pytest.fixture(scope="module")
def python_layout(image_directory: Path) -> LayoutBuilder:
    """A layout of one image, as `FROM python` and `pip install awslambdaric` would make it."""
    builder = LayoutBuilder(image_directory / "python")
    packages = _packages()
    python = python_layer(*packages.glob("runtime_client*.so"))
    installed = layer(*_official_client(packages), directory("var/task"), Member("var/task/removed.py"))
    handler = Member("var/task/app.py", HANDLER)
    own = layer(handler, Member("etc/image-name", b"shop"), Member("var/task/.wh.removed.py"))
    run = {
        "Entrypoint": list(CLIENT),
        "Cmd": ["app.handler"],
        "Env": ["COLOUR=green", "PYTHONPATH=/opt/client"],
        "WorkingDir": "/var/task",
    }
    builder.add([python, installed, own], run, tag="v1")
    return builder


def _packages() -> Path:
    """Where the official client is installed."""
    found = importlib.util.find_spec("awslambdaric")
    if found is None or found.origin is None:
        pytest.skip("awslambdaric is not installed")
    if INTERPRETER.resolve().name != f"python3.{sys.version_info.minor}":
        pytest.skip(f"awslambdaric is installed for another Python than {INTERPRETER.resolve()}")
    return Path(found.origin).parent.parent


def _official_client(packages: Path) -> list[Member]:
    patterns = ("awslambdaric/**/*.py", "simplejson/**/*", "runtime_client*.so", "snapshot_restore_py.py")
    files = {path for pattern in patterns for path in packages.glob(pattern) if path.is_file()}
    return [
        Member(f"opt/client/{path.relative_to(packages)}", path.read_bytes(), 0o755) for path in sorted(files)
    ]


def create(system: LiveSystem, name: str, uri: str, **more: Any) -> None:
    system.client.create_function(
        FunctionName=name,
        PackageType="Image",
        Code={"ImageUri": uri},
        Role=FUNCTION_ROLE,
        **more,
    )
    system.client.get_waiter("function_active_v2").wait(FunctionName=name)


def test_python_with_the_official_client_runs_in_its_image(
    running_system: LiveSystem, function_name: str, python_layout: LayoutBuilder
) -> None:
    create(running_system, function_name, f"oci:{python_layout.path}:v1", Timeout=20)
    answer = call(running_system, function_name, {})
    assert answer["image"] == "shop"
    assert (answer["directory"], answer["colour"]) == ("/var/task", "green")
    assert (answer["function"], answer["argv"]) == (function_name, ["app.handler"])
    assert not {"home", "root", "work", "srv"} & set(answer["root"])
    assert failing_call(running_system, function_name, {"fail": True})["errorType"] == "ValueError"
    request_id = send(running_system, function_name, {})
    assert end_of(running_system, request_id)["status"] == "succeeded"


def test_a_function_may_say_how_its_image_is_run(
    running_system: LiveSystem, function_name: str, python_layout: LayoutBuilder
) -> None:
    client = running_system.client
    chosen = {"Command": ["app.handler", "twice"], "WorkingDirectory": "/tmp"}
    create(
        running_system,
        function_name,
        f"oci:{python_layout.path}:v1",
        ImageConfig=chosen,
        Environment={"Variables": {"COLOUR": "red", "PYTHONPATH": "/opt/client:/var/task"}},
        Timeout=20,
    )
    answer = call(running_system, function_name, {})
    assert (answer["directory"], answer["colour"]) == ("/tmp", "red")
    assert answer["argv"] == ["app.handler", "twice"]
    client.update_function_configuration(FunctionName=function_name, ImageConfig={"EntryPoint": ["/missing"]})
    failed = failing_call(running_system, function_name, {})
    assert failed["errorType"] == "Runtime.InvalidEntrypoint"
    assert "no such file or directory" in failed["errorMessage"]


def test_a_static_go_program_is_a_whole_image(
    running_system: LiveSystem,
    command_line: CommandLine,
    function_name: str,
    image_directory: Path,
    greeter: bytes,
) -> None:
    builder = LayoutBuilder(image_directory / uuid.uuid4().hex)
    builder.add([layer(Member("main", greeter, 0o755))], {"Entrypoint": ["/main"]})
    done = command_line.run("deploy", "--image", f"oci:{builder.path}", "--name", function_name)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"created {function_name} (image oci:")
    assert call(running_system, function_name, {"name": "Ada"})["greeting"] == "hello Ada"
    document = failing_call(running_system, function_name, {})
    assert document == {"errorMessage": "nobody to greet", "errorType": "errorString"}


def test_a_hostile_image_is_refused_and_harms_nobody(
    running_system: LiveSystem, function_name: str, image_directory: Path
) -> None:
    builder = LayoutBuilder(image_directory / uuid.uuid4().hex)
    builder.add([layer(Member("../../evil"))], {})
    client = running_system.client
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="outside of the image"):
        create(running_system, function_name, f"oci:{builder.path}")
    blob = builder.blob(json.loads((builder.path / "index.json").read_text())["manifests"][0]["digest"][7:])
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="is damaged"):
        create(running_system, function_name, f"oci:{builder.path}")
