"""What an authorizer's function is asked, and what its answers allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerEventV2,
    APIGatewayAuthorizerResponseV2,
)

from tests.unit.triggers.events.requests import request
from triggers.http_api.execute_api_policy import allows
from triggers.http_api.identity_sources import check_identity_source, identity_of
from triggers.http_api.lambda_authorizer import (
    MalformedVerdict,
    authorizer_event,
    read_verdict,
    route_arn,
)

ARN = "arn:aws:execute-api:us-east-1:123456789012:api/$default/GET/orders/7"


def statement(
    effect: str = "Allow", resource: Any = ARN, action: Any = "execute-api:Invoke"
) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def test_format_2_asks_with_the_request_without_its_body() -> None:
    asked = request(body=b"secret", headers=[(b"authorization", b"t")])
    event = authorizer_event(asked, "2.0", ("t",), ARN)
    assert event["version"] == "2.0"
    assert (event["type"], event["routeArn"], event["identitySource"]) == ("REQUEST", ARN, ["t"])
    assert (event["rawPath"], event["headers"]) == ("/orders/7", {"authorization": "t"})
    assert not {"body", "isBase64Encoded"} & event.keys()
    assert APIGatewayAuthorizerEventV2(event).parsed_arn.api_id == "api"


def test_format_1_asks_with_the_method_arn_and_the_token() -> None:
    event = authorizer_event(request(), "1.0", ("a", "b"), ARN)
    assert event["version"] == "1.0"
    assert (event["methodArn"], event["authorizationToken"], event["identitySource"]) == (ARN, "a,b", "a,b")
    assert (event["httpMethod"], event["path"]) == ("GET", "/orders/7")
    assert "body" not in event


def test_the_route_arn_names_api_stage_method_and_path() -> None:
    assert route_arn(request(), "us-east-1") == ARN


def test_a_simple_answer_allows_or_denies() -> None:
    allowed = read_verdict(
        json.dumps(APIGatewayAuthorizerResponseV2(True, {"tenant": "t1"}).asdict()).encode(), simple=True
    )
    assert allowed.allows(ARN)
    assert allowed.shown("2.0") == {"lambda": {"tenant": "t1"}}
    assert allowed.shown("1.0") == {"tenant": "t1"}
    assert not read_verdict(b'{"isAuthorized": false}', simple=True).allows(ARN)


def test_a_policy_is_asked_for_each_route_anew() -> None:
    answer = {"principalId": "me", "policyDocument": policy(statement()), "context": {"n": 1}}
    verdict = read_verdict(json.dumps(answer).encode(), simple=False)
    assert verdict.allows(ARN)
    assert not verdict.allows(ARN.replace("orders", "admin"))
    assert verdict.shown("1.0") == {"n": 1, "principalId": "me"}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([statement()], True),
        ([statement(resource="*")], True),
        ([statement(resource=ARN.replace("/GET/orders/7", "/*"))], True),
        ([statement(resource=ARN[:-1] + "?")], True),
        ([statement(resource=["x", ARN], action=["execute-api:*"])], True),
        ([statement(action="EXECUTE-API:INVOKE")], True),
        ([statement(action="s3:GetObject", resource="*")], False),
        ([statement(resource="*"), statement("Deny")], False),
        ([statement(resource="*"), statement("Deny", resource="other")], True),
    ],
)
def test_policies_are_decided_as_iam_decides(statements: list[Any], allowed: bool) -> None:
    assert allows(policy(*statements), ARN) is allowed


def test_one_statement_needs_no_list() -> None:
    assert allows({"Statement": statement()}, ARN)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Statement": "x"},
        policy("x"),
        policy({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
        policy({"Effect": "Allow", "Action": 1, "Resource": "*"}),
        policy({"Effect": "Allow", "NotAction": "*", "Resource": "*"}),
        policy(statement() | {"Condition": {}}),
    ],
)
def test_a_policy_that_is_not_understood_allows_nothing(wrong: Any) -> None:
    verdict = read_verdict(json.dumps({"principalId": "me", "policyDocument": wrong}).encode(), simple=False)
    with pytest.raises(MalformedVerdict):
        verdict.allows(ARN)


@pytest.mark.parametrize(
    ("answer", "simple"),
    [
        (b"", True),
        (b"[]", True),
        (b"{}", True),
        (b'{"isAuthorized": "true"}', True),
        (b'{"isAuthorized": true, "context": [1]}', True),
        (b'{"isAuthorized": true}', False),
        (b'{"policyDocument": {}}', False),
    ],
)
def test_a_malformed_answer_is_refused(answer: bytes, simple: bool) -> None:
    with pytest.raises(MalformedVerdict):
        read_verdict(answer, simple=simple)


def test_identity_sources_select_from_the_request() -> None:
    asked = request(
        headers=[(b"x-key", b"k"), (b"x-key", b"l")],
        query_string="token=t&empty=",
        stage_variables={"color": "blue"},
    )
    sources = [
        "$request.header.X-Key",
        "$request.querystring.token",
        "$stageVariables.color",
        "$context.routeKey",
    ]
    assert identity_of(asked, sources) == ("k,l", "t", "blue", "GET /orders/{id}")
    assert identity_of(asked, ["$request.header.authorization"]) is None
    assert identity_of(asked, ["$request.querystring.empty"]) is None
    assert identity_of(asked, []) == ()


@pytest.mark.parametrize(
    "wrong", ["Authorization", "$request.header.", "$context.authorizer", "$request.body.x"]
)
def test_an_unknown_identity_source_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="identity source"):
        check_identity_source(wrong)
