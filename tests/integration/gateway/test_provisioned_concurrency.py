"""Operations on provisioned concurrency; what workers hold is said by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.provisioning.model import Announcement, Holding
from tests.integration.gateway.conftest import ARN, Refused, RunningGateway

Create = Callable[..., dict[str, Any]]


@pytest.fixture
def function(create: Create, name: str, client: Any) -> str:
    """Versions 1 and 2, alias `live` to 1."""
    create(Publish=True)
    client.update_function_configuration(FunctionName=name, Timeout=9)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


@pytest.fixture
def put(client: Any, function: str) -> Callable[[str, int], dict[str, Any]]:
    def put_config(qualifier: str, count: int) -> dict[str, Any]:
        answer: dict[str, Any] = client.put_provisioned_concurrency_config(
            FunctionName=function, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
        )
        return answer

    return put_config


@pytest.fixture
def hold(gateway: RunningGateway, function: str) -> Callable[..., None]:
    """Let a worker say what it holds of version 1."""

    def say(initialised: int, available: int, failure: str = "") -> None:
        record = gateway.run(gateway.registry.get(function))
        [put] = record.provisioned.values()
        key = f"{function}:1:{record.versions['1'].revision_id}"
        holding = Holding(key, initialised, available, put.revision_id, failure)
        said = Announcement(f"worker of {function}", 1000, (), (holding,))
        gateway.run(gateway.provisioning.announce(said, 60_000))

    return say


def get(client: Any, function: str, qualifier: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get_provisioned_concurrency_config(
        FunctionName=function, Qualifier=qualifier
    )
    return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "LastModified")}


def shown(requested: int, allocated: int, available: int, status: str, **more: str) -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": requested,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "AvailableProvisionedConcurrentExecutions": available,
        "Status": status,
        **more,
    }


def test_a_configuration_is_put_and_gets_ready_as_workers_say(
    client: Any, function: str, put: Callable[..., Any], hold: Callable[..., None]
) -> None:
    answer = put("live", 3)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert shown(3, 0, 0, "IN_PROGRESS").items() <= answer.items()
    assert answer["LastModified"].endswith("+0000")
    hold(2, 1)
    assert get(client, function, "live") == shown(3, 2, 1, "IN_PROGRESS")
    hold(3, 3)
    assert get(client, function, "live") == shown(3, 3, 3, "READY")
    hold(0, 0, "FUNCTION_ERROR_INIT_FAILURE")
    failed = shown(3, 0, 0, "FAILED", StatusReason="FUNCTION_ERROR_INIT_FAILURE")
    assert get(client, function, "live") == failed
    put("live", 2)
    assert get(client, function, "live")["Status"] == "IN_PROGRESS", "a new request has not failed yet"


def test_configurations_are_listed_with_their_arns_in_pages(
    client: Any, function: str, put: Callable[..., Any]
) -> None:
    put("live", 1)
    put("2", 2)
    pages = client.get_paginator("list_provisioned_concurrency_configs").paginate(
        FunctionName=function, PaginationConfig={"PageSize": 1}
    )
    listed = [config for page in pages for config in page["ProvisionedConcurrencyConfigs"]]
    assert [config["FunctionArn"] for config in listed] == [f"{ARN}:{function}:2", f"{ARN}:{function}:live"]
    assert [config["RequestedProvisionedConcurrentExecutions"] for config in listed] == [2, 1]


def test_a_configuration_is_deleted_with_its_qualifier_or_by_itself(
    client: Any, function: str, put: Callable[..., Any], refused: Refused
) -> None:
    put("live", 1)
    put("2", 1)
    deleted = client.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="2")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="2")
    client.delete_alias(FunctionName=function, Name="live")
    listed = client.list_provisioned_concurrency_configs(FunctionName=function)
    assert listed["ProvisionedConcurrencyConfigs"] == []
    missing = refused("get_provisioned_concurrency_config", FunctionName=function, Qualifier="2")
    assert missing == {
        "type": "ProvisionedConcurrencyConfigNotFoundException",
        "status": 404,
        "message": "No Provisioned Concurrency Config found for this function",
    }


def test_only_published_versions_can_be_provisioned(function: str, client: Any, refused: Refused) -> None:
    client.create_alias(FunctionName=function, Name="newest", FunctionVersion="$LATEST")
    for qualifier in ("$LATEST", "newest"):
        answer = refused(
            "put_provisioned_concurrency_config",
            FunctionName=function,
            Qualifier=qualifier,
            ProvisionedConcurrentExecutions=1,
        )
        assert (answer["type"], answer["status"]) == ("InvalidParameterValueException", 400)
        assert "unpublished function versions" in answer["message"]
    for operation in ("get_provisioned_concurrency_config", "delete_provisioned_concurrency_config"):
        answer = refused(operation, FunctionName=function, Qualifier="$LATEST")
        assert answer["message"] == "The function resource provided must be an alias or a published version."


@pytest.mark.parametrize(
    ("qualifier", "count", "type_", "words"),
    [
        ("live", 0, "ValidationException", "greater than or equal to 1"),
        ("7", 1, "ResourceNotFoundException", "Function not found"),
        ("live", 901, "InvalidParameterValueException", r"minimum value of [100]"),
        ("live", 1001, "InvalidParameterValueException", "account's unreserved concurrency [1000]"),
    ],
)
def test_what_cannot_be_is_refused(
    gateway: RunningGateway, function: str, refused: Refused,
    qualifier: str, count: int, type_: str, words: str,
) -> None:  # fmt: skip
    for other in gateway.run(gateway.registry.provisioned_names()):
        gateway.run(gateway.registry.delete(other))
    answer = refused(
        "put_provisioned_concurrency_config",
        FunctionName=function,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=count,
    )
    assert answer["type"] == type_
    assert words in answer["message"]


def test_a_version_and_its_alias_cannot_both_be_provisioned(
    function: str, put: Callable[..., Any], refused: Refused, client: Any
) -> None:
    request = {"FunctionName": function, "ProvisionedConcurrentExecutions": 1}
    put("live", 1)
    answer = refused("put_provisioned_concurrency_config", Qualifier="1", **request)
    assert (answer["type"], answer["message"]) == (
        "ResourceConflictException",
        "Version is pointed by a Provisioned Concurrency alias",
    )
    client.delete_provisioned_concurrency_config(FunctionName=function, Qualifier="live")
    put("1", 1)
    answer = refused("put_provisioned_concurrency_config", Qualifier="live", **request)
    assert answer["type"] == "ResourceConflictException"
    assert "already Provisioned version" in answer["message"]


def test_an_alias_that_splits_its_calls_is_refused_and_may_split_them_afterwards(
    function: str, put: Callable[..., Any], refused: Refused, client: Any
) -> None:
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    client.update_alias(FunctionName=function, Name="live", RoutingConfig=weights)
    answer = refused(
        "put_provisioned_concurrency_config",
        FunctionName=function,
        Qualifier="live",
        ProvisionedConcurrentExecutions=1,
    )
    assert answer["message"] == "Alias with weights can not be used with Provisioned Concurrency"
    client.update_alias(FunctionName=function, Name="live", RoutingConfig={})
    put("live", 4)
    client.update_alias(FunctionName=function, Name="live", RoutingConfig=weights)
    assert get(client, function, "live")["RequestedProvisionedConcurrentExecutions"] == 4


def test_provisioned_and_reserved_concurrency_fit_each_other(
    function: str, put: Callable[..., Any], refused: Refused, client: Any
) -> None:
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=5)
    answer = refused(
        "put_provisioned_concurrency_config",
        FunctionName=function,
        Qualifier="live",
        ProvisionedConcurrentExecutions=6,
    )
    assert answer["type"] == "InvalidParameterValueException"
    assert "should not be greater than the reservedConcurrentExecution" in answer["message"]
    put("live", 5)
    answer = refused("put_function_concurrency", FunctionName=function, ReservedConcurrentExecutions=4)
    assert answer["type"] == "InvalidParameterValueException"
    assert "total provisioned concurrency [5]" in answer["message"]


def test_the_account_has_less_left_for_others(function: str, put: Callable[..., Any], client: Any) -> None:
    def unreserved() -> int:
        limit: int = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
        return limit

    before = unreserved()
    put("live", 7)
    assert unreserved() == before - 7
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=10)
    assert unreserved() == before - 10
