"""Functions from container images through boto3: created, shown, updated, refused as on AWS."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.container_images import LayoutBuilder, Member, layer
from tests.integration.gateway.conftest import ARN, ROLE, Refused, RunningGateway, zipped

INVALID = "InvalidParameterValueException"
RUN = {"Entrypoint": ["/app"], "Cmd": ["serve"]}
Create = Callable[..., dict[str, Any]]


@pytest.fixture
def layout(gateway: RunningGateway) -> LayoutBuilder:
    """A layout with one image, tagged v1."""
    builder = LayoutBuilder(gateway.images / uuid.uuid4().hex)
    builder.add([layer(Member("app", b"1", 0o755))], RUN, tag="v1")
    return builder


@pytest.fixture
def create_image(client: Any, name: str, layout: LayoutBuilder) -> Create:
    def create_function(**changes: Any) -> dict[str, Any]:
        request = {
            "FunctionName": name,
            "PackageType": "Image",
            "Role": ROLE,
            "Code": {"ImageUri": f"oci:{layout.path}:v1"},
            **changes,
        }
        created: dict[str, Any] = client.create_function(**request)
        return created

    return create_function


def test_a_function_of_an_image_is_created_and_shown_as_on_aws(
    create_image: Create, client: Any, name: str, layout: LayoutBuilder
) -> None:
    chosen = {"EntryPoint": ["/app", "-v"], "Command": ["run"], "WorkingDirectory": "/tmp"}
    created = create_image(ImageConfig=chosen)
    digest = created["CodeSha256"]
    assert layout.blob(digest).is_file()
    assert created["PackageType"] == "Image"
    assert created["CodeSize"] == 0
    assert created["ImageConfigResponse"] == {"ImageConfig": chosen}
    assert not {"Runtime", "Handler", "Layers", "RuntimeVersionConfig"} & set(created)
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    found = client.get_function(FunctionName=name)
    assert found["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": f"oci:{layout.path}:v1",
        "ResolvedImageUri": f"oci:{layout.path}@sha256:{digest}",
    }
    assert found["Configuration"]["FunctionArn"] == f"{ARN}:{name}"
    listed = client.get_paginator("list_functions").paginate().build_full_result()["Functions"]
    assert [each["PackageType"] for each in listed if each["FunctionName"] == name] == ["Image"]


def test_new_code_is_another_image_and_a_dry_run_is_none(
    create_image: Create, client: Any, name: str, layout: LayoutBuilder
) -> None:
    first = create_image(Publish=True)
    digest = layout.add([layer(Member("app", b"2", 0o755))], RUN, tag="v2")
    uri = f"oci:{layout.path}:v2"
    tried = client.update_function_code(FunctionName=name, ImageUri=uri, DryRun=True)
    assert tried["CodeSha256"] == first["CodeSha256"]
    updated = client.update_function_code(FunctionName=name, ImageUri=uri)
    assert updated["CodeSha256"] == digest
    published = client.get_function(FunctionName=name, Qualifier="1")
    assert published["Configuration"]["CodeSha256"] == first["CodeSha256"]


def test_how_an_image_is_run_can_be_changed_and_taken_back(
    create_image: Create, client: Any, name: str
) -> None:
    assert "ImageConfigResponse" not in create_image()
    changed = client.update_function_configuration(FunctionName=name, ImageConfig={"Command": ["other"]})
    assert changed["ImageConfigResponse"] == {"ImageConfig": {"Command": ["other"]}}
    assert "ImageConfigResponse" in client.update_function_configuration(FunctionName=name, Timeout=9)
    emptied = client.update_function_configuration(FunctionName=name, ImageConfig={})
    assert "ImageConfigResponse" not in emptied


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"Handler": "app.handler"}, "Please don't provide Handler or Runtime or Layer"),
        ({"Runtime": "python3.12"}, "Please don't provide Handler or Runtime or Layer"),
        ({"Layers": [f"{ARN}:x:1".replace("function", "layer")]}, "Handler or Runtime or Layer"),
        ({"Code": {"ZipFile": zipped()}}, "Please provide ImageUri"),
        ({"Code": {"ImageUri": "public.ecr.aws/lambda/python:3.12"}}, "cannot be pulled from a registry"),
        ({"Code": {"ImageUri": "dir:/"}}, "not below a directory that images may come from"),
        ({"ImageConfig": {"Command": ["a\0b"]}}, "without NUL characters"),
        ({"ImageConfig": {"EntryPoint": ["x" * 70_000]}}, "at most 65536 bytes"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "SnapStart"),
        ({"Architectures": ["arm64"]}, "set Architectures"),
    ],
)
def test_what_an_image_cannot_have_is_refused(
    create_image: Create,
    refused: Refused,
    name: str,
    layout: LayoutBuilder,
    changes: dict[str, Any],
    text: str,
) -> None:
    request = {
        "FunctionName": name,
        "PackageType": "Image",
        "Role": ROLE,
        "Code": {"ImageUri": f"oci:{layout.path}:v1"},
        **changes,
    }
    answer = refused("create_function", **request)
    assert answer["type"] == INVALID
    assert text in answer["message"]


def test_a_function_stays_of_its_package_type(
    create_image: Create, create: Create, client: Any, refused: Refused, name: str
) -> None:
    create_image()
    zip_code = refused("update_function_code", FunctionName=name, ZipFile=zipped())
    assert zip_code["message"] == "Please provide ImageUri when updating a function with packageType Image."
    handler = refused("update_function_configuration", FunctionName=name, Handler="a.b")
    assert "Please don't provide Handler or Runtime or Layer" in handler["message"]
    client.delete_function(FunctionName=name)
    create()
    image = refused("update_function_code", FunctionName=name, ImageUri="oci:/x")
    assert image["message"] == "Please don't provide ImageUri when updating a function with packageType Zip."
    config = refused("update_function_configuration", FunctionName=name, ImageConfig={"Command": ["x"]})
    assert config["type"] == INVALID
