"""Policies of layer versions through boto3: statements with AWS's revisions and errors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.conftest import Refused, zipped

Add = Callable[..., dict[str, Any]]
LAYER_ARN = "arn:aws:lambda:us-east-1:123456789012:layer"


@pytest.fixture
def layer(client: Any) -> str:
    """The name of a layer with one version."""
    name = f"layer-{uuid.uuid4().hex[:12]}"
    client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped()})
    return name


def permission(layer: str, **changes: Any) -> dict[str, Any]:
    return {
        "LayerName": layer,
        "VersionNumber": 1,
        "StatementId": "account",
        "Action": "lambda:GetLayerVersion",
        "Principal": "210987654321",
        **changes,
    }


@pytest.fixture
def add(client: Any, layer: str) -> Add:
    def add_permission(**changes: Any) -> dict[str, Any]:
        added: dict[str, Any] = client.add_layer_version_permission(**permission(layer, **changes))
        return added

    return add_permission


def test_statements_are_added_shown_and_removed(add: Add, client: Any, layer: str, refused: Refused) -> None:
    first = add()
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert json.loads(first["Statement"]) == {
        "Sid": "account",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{LAYER_ARN}:{layer}:1",
    }
    second = add(
        StatementId="org", Principal="*", OrganizationId="o-0123456789", RevisionId=first["RevisionId"]
    )
    condition = {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}
    assert json.loads(second["Statement"])["Condition"] == condition
    shown = client.get_layer_version_policy(LayerName=f"{LAYER_ARN}:{layer}", VersionNumber=1)
    assert shown["RevisionId"] == second["RevisionId"]
    policy = json.loads(shown["Policy"])
    assert (policy["Version"], policy["Id"]) == ("2012-10-17", "default")
    assert policy["Statement"] == [json.loads(first["Statement"]), json.loads(second["Statement"])]

    for sid in ("account", "org"):
        client.remove_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId=sid)
    assert refused("get_layer_version_policy", LayerName=layer, VersionNumber=1) == {
        "type": "ResourceNotFoundException",
        "status": 404,
        "message": "No policy is associated with the given resource.",
    }


def test_what_is_wrong_is_said_as_on_aws(add: Add, layer: str, refused: Refused) -> None:
    add()
    taken = refused("add_layer_version_permission", **permission(layer))
    assert (taken["type"], taken["status"]) == ("ResourceConflictException", 409)
    assert "The statement id (account) provided already exists." in taken["message"]
    for call, request in (
        ("add_layer_version_permission", permission(layer, StatementId="new")),
        (
            "remove_layer_version_permission",
            {"LayerName": layer, "VersionNumber": 1, "StatementId": "account"},
        ),
    ):
        stale = refused(call, **request, RevisionId="another")
        assert (stale["type"], stale["status"]) == ("PreconditionFailedException", 412)
        assert "Call the GetLayerPolicy API" in stale["message"]
    unknown = refused(
        "remove_layer_version_permission", LayerName=layer, VersionNumber=1, StatementId="unknown"
    )
    assert unknown["message"] == "Statement unknown is not found in resource policy."


@pytest.mark.parametrize(
    "operation",
    ["add_layer_version_permission", "remove_layer_version_permission", "get_layer_version_policy"],
)
def test_a_version_that_is_not_there_is_named(layer: str, refused: Refused, operation: str) -> None:
    wanted = ("LayerName", "VersionNumber", "StatementId", "Action", "Principal")
    members = {"get": wanted[:2], "remove": wanted[:3], "add": wanted}[operation.partition("_")[0]]
    request = {key: value for key, value in permission(layer, VersionNumber=7).items() if key in members}
    assert refused(operation, **request) == {
        "type": "ResourceNotFoundException",
        "status": 404,
        "message": f"Layer version {LAYER_ARN}:{layer}:7 does not exist.",
    }


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"Action": "lambda:*"}, "'action'"),
        ({"Principal": "s3.amazonaws.com"}, "'principal'"),
        ({"OrganizationId": "o"}, "'organizationId'"),
        ({"StatementId": "a b"}, "'statementId'"),
    ],
)
def test_what_breaks_the_model_is_refused(
    layer: str, refused: Refused, changes: dict[str, str], where: str
) -> None:
    answer = refused("add_layer_version_permission", **permission(layer, **changes))
    assert answer["type"] == "ValidationException"
    assert where in answer["message"]


def test_a_policy_goes_with_its_version(add: Add, client: Any, layer: str, refused: Refused) -> None:
    add()
    client.delete_layer_version(LayerName=layer, VersionNumber=1)
    answer = refused("get_layer_version_policy", LayerName=layer, VersionNumber=1)
    assert answer["type"] == "ResourceNotFoundException"
