"""Function names and qualifiers, as requests write them."""

from __future__ import annotations

import pytest

from broker.registry.model import Alias, FunctionRecord
from gateway.errors import ApiError
from gateway.lambda_api.qualifiers import FunctionNames
from tests.function_configs import config

ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"


@pytest.fixture
def names() -> FunctionNames:
    return FunctionNames("us-east-1", "123456789012")


def record(**aliases: Alias) -> FunctionRecord:
    return FunctionRecord(
        name="hello",
        generation=1,
        latest=config(),
        versions={"1": config("1"), "2": config("2")},
        aliases=aliases,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hello", ("hello", "")),
        ("hello:7", ("hello", "7")),
        ("hello:$LATEST", ("hello", "$LATEST")),
        ("function:hello", ("hello", "")),
        ("123456789012:function:hello", ("hello", "")),
        ("123456789012:function:hello:prod", ("hello", "prod")),
        (ARN, ("hello", "")),
        (f"{ARN}:prod", ("hello", "prod")),
    ],
)
def test_names_partial_and_full_arns_are_understood(
    names: FunctionNames, given: str, expected: tuple[str, str]
) -> None:
    assert names.parse(given) == expected


def test_a_qualifier_beside_the_name_is_taken_over(names: FunctionNames) -> None:
    assert names.parse("hello", "prod") == ("hello", "prod")
    assert names.parse(f"{ARN}:prod", "prod") == ("hello", "prod")


@pytest.mark.parametrize(
    ("name", "qualifier", "error_type", "status", "words"),
    [
        (
            f"{ARN}:prod",
            "test",
            "InvalidParameterValueException",
            400,
            "does not match the specified",
        ),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:hello",
            "",
            "ResourceNotFoundException",
            404,
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        ("999999999999:function:hello", "", "AccessDeniedException", 403, "another account"),
        ("he llo", "", "ValidationException", 400, "Member must satisfy regular expression pattern"),
        ("", "", "ValidationException", 400, "Value '' at 'functionName'"),
        ("x" * 65, "", "ValidationException", 400, "Member must have length less than or equal to 64"),
        ("hello/../other", "", "ValidationException", 400, "regular expression pattern"),
    ],
)
def test_names_that_are_wrong_are_refused_in_the_words_of_aws(
    names: FunctionNames, name: str, qualifier: str, error_type: str, status: int, words: str
) -> None:
    with pytest.raises(ApiError) as refused:
        names.parse(name, qualifier)
    assert (refused.value.error_type, refused.value.status) == (error_type, status)
    assert words in refused.value.message


@pytest.mark.parametrize(("qualifier", "version"), [("", "$LATEST"), ("$LATEST", "$LATEST"), ("2", "2")])
def test_versions_are_found_by_number(names: FunctionNames, qualifier: str, version: str) -> None:
    assert names.resolve(record(), qualifier, lambda: 0.0).version == version


@pytest.mark.parametrize(("drawn", "version"), [(0.0, "2"), (0.29, "2"), (0.3, "1"), (0.99, "1")])
def test_a_weighted_alias_sends_its_share_to_the_second_version(
    names: FunctionNames, drawn: float, version: str
) -> None:
    live = Alias(name="live", function_version="1", revision_id="r", additional_version_weights={"2": 0.3})
    assert names.resolve(record(live=live), "live", lambda: drawn).version == version


@pytest.mark.parametrize("qualifier", ["9", "nobody"])
def test_an_unknown_qualifier_names_the_arn_that_was_asked_for(names: FunctionNames, qualifier: str) -> None:
    with pytest.raises(ApiError) as refused:
        names.resolve(record(), qualifier, lambda: 0.0)
    assert refused.value.status == 404
    assert refused.value.message == f"Function not found: {ARN}:{qualifier}"
