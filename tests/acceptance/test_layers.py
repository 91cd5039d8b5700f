"""Layers in a running system: published, given to functions, merged at /opt."""

from __future__ import annotations

import hashlib
import os
import urllib.request
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.code_package import MOST_UNZIPPED_BYTES
from tests.acceptance.functions import call, deploy
from tests.deployment_packages import package
from tests.environment_workbench import PYTHON_RUNTIME
from tests.live_system import LiveSystem

USING = b"""
import os, shadowed, tools

def handler(event, context):
    with open(f"{tools.opt}/etc/setting") as setting:
        return {"tools": tools.version, "shadowed": shadowed.whose, "setting": setting.read(),
                "opt": tools.opt, "path": os.environ["PATH"], "libraries": os.environ["LD_LIBRARY_PATH"]}
"""
TOOLS = b"import os\nversion = %d\nopt = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"


def publish(system: LiveSystem, name: str, files: dict[str, bytes], **more: Any) -> dict[str, Any]:
    published: dict[str, Any] = system.client.publish_layer_version(
        LayerName=name, Content={"ZipFile": package(files)}, **more
    )
    return published


@pytest.fixture
def layer_name() -> str:
    return f"layer-{uuid.uuid4().hex[:12]}"


def test_layers_are_published_in_versions_and_found_again(
    running_system: LiveSystem, layer_name: str
) -> None:
    client = running_system.client
    archive = package({"python/tools.py": b"version = 1"})
    first = client.publish_layer_version(
        LayerName=layer_name,
        Content={"ZipFile": archive},
        Description="tools",
        CompatibleRuntimes=["python3.11"],
        CompatibleArchitectures=["x86_64"],
        LicenseInfo="MIT",
    )
    second = publish(running_system, layer_name, {"python/tools.py": b"version = 2"})
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["Version"], second["Version"]) == (1, 2)
    assert first["LayerVersionArn"] == f"{first['LayerArn']}:1"
    with urllib.request.urlopen(first["Content"]["Location"], timeout=10) as answer:
        assert hashlib.sha256(answer.read()).digest() == hashlib.sha256(archive).digest()
    found = client.get_layer_version(LayerName=first["LayerArn"], VersionNumber=1)
    by_arn = client.get_layer_version_by_arn(Arn=first["LayerVersionArn"])
    for shown in (found, by_arn):
        for member in ("Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"):
            assert shown[member] == first[member]
        assert shown["Content"]["CodeSha256"] == first["Content"]["CodeSha256"]


def test_lists_show_versions_and_layers_newest_first(running_system: LiveSystem, layer_name: str) -> None:
    client = running_system.client
    publish(running_system, layer_name, {"a": b"1"}, CompatibleRuntimes=["python3.11"])
    publish(running_system, layer_name, {"a": b"2"})
    pages = client.get_paginator("list_layer_versions").paginate(
        LayerName=layer_name, PaginationConfig={"PageSize": 1}
    )
    assert [each["Version"] for page in pages for each in page["LayerVersions"]] == [2, 1]
    for runtime, newest in ((None, 2), ("python3.11", 1), ("nodejs20.x", None)):
        asked = {"CompatibleRuntime": runtime} if runtime else {}
        layers = client.get_paginator("list_layers").paginate(**asked)
        found = {each["LayerName"]: each for page in layers for each in page["Layers"]}.get(layer_name)
        assert (found and found["LatestMatchingVersion"]["Version"]) == newest


def test_later_layers_replace_files_of_earlier_ones_and_the_function_comes_first(
    running_system: LiveSystem, function_name: str, layer_name: str
) -> None:
    site = f"python/lib/{PYTHON_RUNTIME}/site-packages"
    lower = publish(
        running_system,
        f"{layer_name}-lower",
        {"python/tools.py": TOOLS % 1, "etc/setting": b"lower", f"{site}/shadowed.py": b"whose = 'site'"},
    )
    upper = publish(
        running_system,
        f"{layer_name}-upper",
        {"python/tools.py": TOOLS % 2, "python/shadowed.py": b"whose = 'plain'"},
    )
    arns = [lower["LayerVersionArn"], upper["LayerVersionArn"]]
    deploy(running_system, function_name, USING, Layers=arns)
    answer = call(running_system, function_name, {})
    assert (answer["tools"], answer["shadowed"], answer["setting"]) == (2, "site", "lower")
    assert f"{answer['opt']}/bin" in answer["path"].split(":")
    assert f"{answer['opt']}/lib" in answer["libraries"].split(":")
    shown = running_system.client.get_function_configuration(FunctionName=function_name)["Layers"]
    assert shown == [
        {"Arn": layer["LayerVersionArn"], "CodeSize": layer["Content"]["CodeSize"]}
        for layer in (lower, upper)
    ]
    running_system.client.update_function_configuration(FunctionName=function_name, Layers=arns[::-1])
    assert call(running_system, function_name, {})["tools"] == 1
    if os.geteuid() == 0:
        assert answer["opt"] == "/opt"


def test_a_function_keeps_a_layer_that_was_deleted_but_nobody_gets_it_again(
    running_system: LiveSystem, function_name: str, layer_name: str
) -> None:
    client = running_system.client
    layer = publish(running_system, layer_name, {"python/tools.py": TOOLS % 7})
    arn = layer["LayerVersionArn"]
    code = b"import tools\ndef handler(event, context): return tools.version"
    deploy(running_system, function_name, code, Layers=[arn])
    client.delete_layer_version(LayerName=layer_name, VersionNumber=1)
    assert call(running_system, function_name, {}) == 7
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version(LayerName=layer_name, VersionNumber=1)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=r"does not exist"):
        client.update_function_configuration(FunctionName=function_name, Layers=[arn])
    client.update_function_configuration(FunctionName=function_name, Layers=[])
    assert "Layers" not in client.get_function_configuration(FunctionName=function_name)


def test_too_many_and_too_large_layers_are_refused(
    running_system: LiveSystem, function_name: str, layer_name: str
) -> None:
    size = MOST_UNZIPPED_BYTES * 3 // 5
    arns = []
    for number in range(2):
        files = {"big": bytes(size), "noise": os.urandom(1_000_000)}
        arns.append(publish(running_system, f"{layer_name}-{number}", files)["LayerVersionArn"])
    refused = [
        (arns, "exceeds the maximum allowed size of 262144000 bytes"),
        ([*arns, *arns, *arns], "Cannot reference more than 5 layers"),
        ([arns[0], arns[0]], "Two different versions of the same layer"),
    ]
    for layers, text in refused:
        with pytest.raises(ClientError, match=text) as error:
            deploy(running_system, function_name, Layers=layers)
        assert error.value.response["Error"]["Code"] == "InvalidParameterValueException"
