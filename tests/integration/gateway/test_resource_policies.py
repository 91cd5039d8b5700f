"""Resource policies as a whole, as tools put and read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.conftest import ARN, Refused

OPEN = {
    "Sid": "url",
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"],
    "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
}


@pytest.fixture
def arn(create: Callable[..., dict[str, Any]], name: str) -> str:
    create(Publish=True)
    return f"{ARN}:{name}"


def document(*statements: dict[str, Any], **members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


def test_a_policy_is_put_read_and_deleted(arn: str, client: Any, refused: Refused) -> None:
    text = document({**OPEN, "Resource": arn}, Id="mine")
    put = client.put_resource_policy(ResourceArn=arn, Policy=text)
    found = client.get_resource_policy(ResourceArn=arn)
    assert json.loads(put["Policy"]) == json.loads(found["Policy"]) == json.loads(text)
    assert found["RevisionId"] == put["RevisionId"]
    assert client.get_policy(FunctionName=arn)["Policy"] == found["Policy"]
    stale = refused(
        "delete_resource_policy", ResourceArn=arn, RevisionId="0" * 8 + "-0000" * 3 + "-" + "0" * 12
    )
    assert (stale["type"], stale["status"]) == ("PreconditionFailedException", 412)
    deleted = client.delete_resource_policy(ResourceArn=arn, RevisionId=put["RevisionId"])
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation in ("get_resource_policy", "delete_resource_policy"):
        gone = refused(operation, ResourceArn=arn)
        assert (gone["type"], gone["status"]) == ("ResourceNotFoundException", 404)


def test_a_policy_replaces_single_statements_and_grows_by_them(arn: str, client: Any) -> None:
    single = {"FunctionName": arn, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    client.add_permission(StatementId="before", **single)
    client.put_resource_policy(ResourceArn=arn, Policy=document(OPEN))
    client.add_permission(StatementId="after", **single)
    statements = json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])["Statement"]
    assert [statement["Sid"] for statement in statements] == ["url", "after"]


def test_versions_have_policies_of_their_own(arn: str, client: Any, refused: Refused) -> None:
    client.put_resource_policy(ResourceArn=f"{arn}:1", Policy=document(OPEN))
    assert client.get_resource_policy(ResourceArn=f"{arn}:1")["Policy"]
    assert refused("get_resource_policy", ResourceArn=arn)["status"] == 404
    assert refused("put_resource_policy", ResourceArn=f"{arn}:7", Policy=document(OPEN))["status"] == 404


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("no JSON", "is not valid"),
        ("[]", "is not valid"),
        (document({**OPEN, "Condition": {"NumericEquals": {"n": float("nan")}}}), "is not valid"),
        (document({**OPEN, "Condition": {"StringEquals": {"s": "\ud800"}}}), "is not valid"),
        ("{}", "missing required field `Statement`"),
        (document(), "it needs statements"),
        (document(OPEN, OPEN), "each with a Sid of its own"),
        (document({**OPEN, "Effect": "Maybe"}), "Effect"),
        (document({**OPEN, "Principal": "somebody"}), "Principal"),
        (document({**OPEN, "Condition": "always"}), "Condition"),
        (document({**OPEN, "Resource": f"{ARN}:another"}), "the Resource of its statements must be"),
    ],
)
def test_what_is_no_policy_is_refused(arn: str, refused: Refused, policy: str, words: str) -> None:
    answer = refused("put_resource_policy", ResourceArn=arn, Policy=policy)
    assert (answer["type"], answer["status"]) == ("InvalidParameterValueException", 400)
    assert words in answer["message"]


@pytest.mark.parametrize("change", [{"Effect": "Deny"}, {"NotAction": "lambda:Get*"}], ids=str)
def test_what_would_not_be_enforced_says_so(arn: str, refused: Refused, change: dict[str, Any]) -> None:
    answer = refused("put_resource_policy", ResourceArn=arn, Policy=document({**OPEN, **change}))
    assert (answer["type"], answer["status"]) == ("NotImplementedException", 501)
    assert "would not be enforced" in answer["message"]


def test_a_policy_has_a_limit(arn: str, refused: Refused) -> None:
    many = [{**OPEN, "Sid": f"statement-number-{number}"} for number in range(150)]
    long = refused("put_resource_policy", ResourceArn=arn, Policy=document(*many))
    assert (long["type"], long["status"]) == ("ValidationException", 400)
    assert "length less than or equal to 20480" in long["message"]
