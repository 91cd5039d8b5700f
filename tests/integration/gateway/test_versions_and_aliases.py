"""Versions and aliases through boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.conftest import ARN, Refused, zipped

Create = Callable[..., dict[str, Any]]


@pytest.fixture
def two_versions(create: Create, client: Any, name: str) -> str:
    create(Publish=True)
    client.update_function_code(FunctionName=name, ZipFile=zipped("x = 2"), Publish=True)
    return name


def test_a_version_is_published_and_does_not_change(create: Create, client: Any, name: str) -> None:
    create(MemorySize=128)
    published = client.publish_version(FunctionName=name, Description="first")
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (published["Version"], published["Description"]) == ("1", "first")
    assert published["FunctionArn"] == f"{ARN}:{name}:1"
    assert (published["State"], published["LastUpdateStatus"]) == ("Active", "Successful")
    client.update_function_configuration(FunctionName=name, MemorySize=256)
    for given in ({"FunctionName": name, "Qualifier": "1"}, {"FunctionName": f"{name}:1"}):
        assert client.get_function_configuration(**given)["MemorySize"] == 128
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    assert client.publish_version(FunctionName=name)["Version"] == "2"


def test_conditions_of_a_publication_are_checked(
    create: Create, client: Any, name: str, refused: Refused
) -> None:
    created = create()
    sha256 = created["CodeSha256"]
    wrong = refused("publish_version", FunctionName=name, CodeSha256="another")
    assert wrong == {
        "type": "InvalidParameterValueException",
        "status": 400,
        "message": f"CodeSHA256 (another) is different from current CodeSHA256 in $LATEST ({sha256})."
        " Please try again with the CodeSHA256 in $LATEST.",
    }
    stale = refused("publish_version", FunctionName=name, RevisionId="another")
    assert (stale["type"], stale["status"]) == ("PreconditionFailedException", 412)
    client.publish_version(FunctionName=name, CodeSha256=sha256, RevisionId=created["RevisionId"])


def test_versions_are_listed_in_order_and_pages(create: Create, client: Any, name: str) -> None:
    create(Publish=True)
    for number in range(2, 13):
        client.update_function_configuration(FunctionName=name, Timeout=number)
        client.publish_version(FunctionName=name)
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 5}
    )
    listed = [version for page in pages for version in page["Versions"]]
    assert [v["Version"] for v in listed] == ["$LATEST", *(str(n) for n in range(1, 13))]
    assert listed[1]["FunctionArn"] == f"{ARN}:{name}:1"


def test_an_alias_lives(two_versions: str, client: Any) -> None:
    created = client.create_alias(
        FunctionName=two_versions,
        Name="live",
        FunctionVersion="1",
        Description="production",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.2}},
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    alias = {key: value for key, value in created.items() if key != "ResponseMetadata"}
    assert alias == {
        "AliasArn": f"{ARN}:{two_versions}:live",
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "production",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.2}},
        "RevisionId": created["RevisionId"],
    }
    found = client.get_alias(FunctionName=two_versions, Name="live")
    assert {key: value for key, value in found.items() if key != "ResponseMetadata"} == alias
    configuration = client.get_function(FunctionName=two_versions, Qualifier="live")["Configuration"]
    assert (configuration["Version"], configuration["FunctionArn"]) == ("1", alias["AliasArn"])
    moved = client.update_alias(
        FunctionName=two_versions,
        Name="live",
        FunctionVersion="2",
        RoutingConfig={},
        RevisionId=created["RevisionId"],
    )
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "production")
    assert "RoutingConfig" not in moved
    assert moved["RevisionId"] != created["RevisionId"]
    for _ in range(2):
        deleted = client.delete_alias(FunctionName=two_versions, Name="live")
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_aliases_are_listed_by_version_and_in_pages(two_versions: str, client: Any) -> None:
    for number in range(5):
        client.create_alias(
            FunctionName=two_versions, Name=f"alias-{number}", FunctionVersion=str(number % 2 + 1)
        )
    pages = client.get_paginator("list_aliases").paginate(
        FunctionName=two_versions, PaginationConfig={"PageSize": 2}
    )
    assert [a["Name"] for page in pages for a in page["Aliases"]] == [f"alias-{n}" for n in range(5)]
    of_second = client.list_aliases(FunctionName=two_versions, FunctionVersion="2")
    assert [a["Name"] for a in of_second["Aliases"]] == ["alias-1", "alias-3"]
    assert "NextMarker" not in of_second


@pytest.mark.parametrize(
    ("change", "error", "status", "message"),
    [
        (
            {"FunctionVersion": "10"},
            "ResourceNotFoundException",
            404,
            "Function not found: {arn}:10",
        ),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"10": 0.5}}},
            "ResourceNotFoundException",
            404,
            "Function not found: {arn}:10",
        ),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "InvalidParameterValueException",
            400,
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5, "2": 0.5}}},
            "InvalidParameterValueException",
            400,
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            {"FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}},
            "InvalidParameterValueException",
            400,
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        (
            {"Name": "7"},
            "ValidationException",
            400,
            "1 validation error detected: Value '7' at 'name' failed to satisfy constraint: Member must"
            " satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
        ),
    ],
)
def test_a_wrong_alias_is_refused(
    two_versions: str, refused: Refused, change: dict[str, Any], error: str, status: int, message: str
) -> None:
    request = {"FunctionName": two_versions, "Name": "live", "FunctionVersion": "1", **change}
    arn = f"{ARN}:{two_versions}"
    assert refused("create_alias", **request) == {
        "type": error,
        "status": status,
        "message": message.format(arn=arn),
    }


def test_an_alias_exists_once_and_is_found_by_name(two_versions: str, client: Any, refused: Refused) -> None:
    request = {"FunctionName": two_versions, "Name": "live", "FunctionVersion": "1"}
    client.create_alias(**request)
    again = refused("create_alias", **request)
    assert (again["type"], again["status"]) == ("ResourceConflictException", 409)
    assert again["message"] == f"Alias already exists: {ARN}:{two_versions}:live"
    for operation in ("get_alias", "update_alias"):
        missing = refused(operation, FunctionName=two_versions, Name="nobody")
        assert (missing["type"], missing["status"]) == ("ResourceNotFoundException", 404)
        assert missing["message"] == f"Cannot find alias arn: {ARN}:{two_versions}:nobody"
    stale = refused("update_alias", FunctionName=two_versions, Name="live", RevisionId="another")
    assert (stale["type"], stale["status"]) == ("PreconditionFailedException", 412)
