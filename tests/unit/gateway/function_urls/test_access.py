"""Whom a resource policy lets call a function URL without a signature."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from broker.registry.model import FunctionConfig, FunctionRecord, Policy
from gateway.function_urls.access import is_public

OPEN = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "lambda:InvokeFunctionUrl",
    "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
}


def function(*statements: dict[str, Any], qualifier: str = "$LATEST") -> FunctionRecord:
    raw = {str(number): msgspec.Raw(msgspec.json.encode(one)) for number, one in enumerate(statements)}
    latest = FunctionConfig("$LATEST", "python3.12", "app.handler", "role", "", 0, "", "r1")
    return FunctionRecord("f", 1, latest, policies={qualifier: Policy("r1", raw)})


def test_the_statement_that_aws_documents_opens_it() -> None:
    assert is_public(function(OPEN), "$LATEST")


@pytest.mark.parametrize(
    "change",
    [
        {"Principal": {"AWS": ["arn:aws:iam::123456789012:root", "*"]}},
        {"Action": ["lambda:InvokeFunction", "lambda:invokefunctionurl"]},
        {"Action": "lambda:Invoke*"},
        {"Action": "*"},
    ],
)
def test_lists_and_wildcards_open_it_too(change: dict[str, Any]) -> None:
    assert is_public(function({**OPEN, **change}), "$LATEST")


def test_one_statement_among_others_is_enough() -> None:
    other = {**OPEN, "Principal": {"Service": "s3.amazonaws.com"}}
    assert is_public(function(other, OPEN), "$LATEST")


def test_the_policy_of_another_qualifier_does_not_count() -> None:
    assert not is_public(function(OPEN, qualifier="live"), "$LATEST")
    assert is_public(function(OPEN, qualifier="live"), "live")


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "Deny"},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Action": "lambda:InvokeFunction"},
        {"Action": ["lambda:InvokeFunction", "lambda:Get*"]},
        {"Action": "lambda:[I]nvokeFunctionUrl"},
        {"Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}},
        {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}},
        {"Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}}},
    ],
)
def test_a_statement_that_demands_more_does_not_open_it(change: dict[str, Any]) -> None:
    assert not is_public(function({**OPEN, **change}), "$LATEST")


def test_without_a_policy_nobody_gets_in() -> None:
    assert not is_public(function(), "$LATEST")
