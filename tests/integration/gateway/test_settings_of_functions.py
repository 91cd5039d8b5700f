"""What belongs to a function beside its code: concurrency, event invoke config, policy, tags, account."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from broker.errors import Throttled
from broker.invocation import Invocation, new_request_id, now_ms
from tests.integration.gateway.conftest import ARN, Refused, RunningGateway

Create = Callable[..., dict[str, Any]]


@pytest.fixture
def function(create: Create, name: str) -> str:
    create(Publish=True)
    return name


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def test_reserved_concurrency_is_put_read_and_deleted(
    gateway: RunningGateway, function: str, client: Any
) -> None:
    put = client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    assert put["ReservedConcurrentExecutions"] == 0
    assert client.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"] == 0
    with pytest.raises(Throttled):
        gateway.run(gateway.broker.publish(sync_call(function)))
    deleted = client.delete_function_concurrency(FunctionName=function)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert without_metadata(client.get_function_concurrency(FunctionName=function)) == {}
    gateway.run(gateway.broker.publish(sync_call(function)))


def test_a_deleted_function_takes_its_concurrency_along(
    gateway: RunningGateway, function: str, client: Any
) -> None:
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    client.delete_function(FunctionName=function)
    gateway.run(gateway.broker.publish(sync_call(function)))


def test_whoever_sets_concurrency_last_broker_and_registry_agree(
    gateway: RunningGateway, function: str, client: Any
) -> None:
    def put(limit: int) -> None:
        client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=limit)

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(put, [0, 9] * 12))
    limit = client.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"]
    expected = pytest.raises(Throttled) if limit == 0 else nullcontext()
    with expected:
        gateway.run(gateway.broker.publish(sync_call(function)))


def sync_call(function: str) -> Invocation:
    now = now_ms()
    return Invocation(
        new_request_id(), "sync", function, "$LATEST", 1, f"{ARN}:{function}", b"{}", now, now + 1000
    )


def test_concurrency_belongs_to_the_function_as_a_whole(function: str, refused: Refused) -> None:
    answer = refused("put_function_concurrency", FunctionName=f"{function}:1", ReservedConcurrentExecutions=1)
    assert (answer["type"], answer["status"]) == ("InvalidParameterValueException", 400)
    assert answer["message"].startswith("This operation is permitted on Lambda functions only.")
    missing = refused("put_function_concurrency", FunctionName="nobody", ReservedConcurrentExecutions=1)
    assert missing["message"] == f"Function not found: {ARN}:nobody:$LATEST"
    negative = refused("put_function_concurrency", FunctionName=function, ReservedConcurrentExecutions=-1)
    assert negative["type"] == "ValidationException"


def test_event_invoke_config_is_put_updated_listed_and_deleted(
    create: Create, function: str, client: Any
) -> None:
    create(FunctionName=f"{function}-next")
    target = f"{ARN}:{function}-next"
    put = client.put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=1,
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": target}},
    )
    assert put.pop("LastModified").year >= 2026
    assert without_metadata(put) == {
        "FunctionArn": f"{ARN}:{function}:$LATEST",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": target}},
    }
    updated = client.update_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    assert updated["MaximumRetryAttempts"] == 0
    assert updated["DestinationConfig"]["OnFailure"] == {"Destination": target}
    found = client.get_function_event_invoke_config(FunctionName=function, Qualifier="$LATEST")
    assert without_metadata(found) == without_metadata(updated)
    replaced = client.put_function_event_invoke_config(
        FunctionName=function, Qualifier="1", MaximumRetryAttempts=2
    )
    assert "MaximumEventAgeInSeconds" not in replaced
    listed = client.list_function_event_invoke_configs(FunctionName=function)
    arns = [config["FunctionArn"] for config in listed["FunctionEventInvokeConfigs"]]
    assert arns == [f"{ARN}:{function}:$LATEST", f"{ARN}:{function}:1"]
    deleted = client.delete_function_event_invoke_config(FunctionName=function)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    left = client.list_function_event_invoke_configs(FunctionName=function)
    assert len(left["FunctionEventInvokeConfigs"]) == 1


def test_queues_topics_buckets_and_event_buses_are_destinations(function: str, client: Any) -> None:
    account = "us-east-1:123456789012"
    everywhere = [
        f"arn:aws:sqs:{account}:q",
        f"arn:aws:sns:{account}:t",
        f"arn:aws:events:{account}:event-bus/b",
    ]
    for arn in everywhere:
        both = {"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}}
        put = client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=both)
        assert put["DestinationConfig"] == both
    bucket = {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}
    client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=bucket)


def test_recursive_loops_are_terminated_unless_they_are_allowed(
    function: str, client: Any, refused: Refused
) -> None:
    assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Terminate"
    put = client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")
    assert put["RecursiveLoop"] == "Allow"
    assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Allow"
    wrong = refused("put_function_recursion_config", FunctionName=function, RecursiveLoop="Maybe")
    assert wrong["type"] == "ValidationException"
    assert refused("get_function_recursion_config", FunctionName="nobody")["status"] == 404


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("arn:aws:sqs:us-east-1:123456789012:queue.fifo", "FIFO queues and topics are not supported"),
        ("arn:aws:s3:::bucket", "an S3 bucket is supported for OnFailure only"),
        ("arn:aws:kinesis:us-east-1:123456789012:stream/s", "is invalid."),
        ("kafka://topic", "The destination ARN kafka://topic is invalid."),
        (f"{ARN}:nobody", f"The destination ARN {ARN}:nobody is invalid."),
        (f"{ARN}:{{function}}:9", "is invalid."),
        (f"{ARN}:{{function}}", "You can't specify the function as a destination for itself."),
    ],
)
def test_a_destination_must_be_one_that_can_be_told(
    function: str, refused: Refused, destination: str, words: str
) -> None:
    answer = refused(
        "put_function_event_invoke_config",
        FunctionName=function,
        DestinationConfig={"OnSuccess": {"Destination": destination.format(function=function)}},
    )
    assert (answer["type"], answer["status"]) == ("InvalidParameterValueException", 400)
    assert words in answer["message"]


def test_an_event_invoke_config_that_is_not_there_is_told_by_arn(function: str, refused: Refused) -> None:
    nothing = f"The function {ARN}:{function}:1 doesn't have an EventInvokeConfig"
    for operation, more in (
        ("get_function_event_invoke_config", {}),
        ("delete_function_event_invoke_config", {}),
        ("update_function_event_invoke_config", {"MaximumRetryAttempts": 1}),
    ):
        answer = refused(operation, FunctionName=function, Qualifier="1", **more)
        assert answer == {"type": "ResourceNotFoundException", "status": 404, "message": nothing}
    for operation in ("put_function_event_invoke_config", "update_function_event_invoke_config"):
        for missing in ({"FunctionName": "nobody"}, {"FunctionName": function, "Qualifier": "9"}):
            answer = refused(operation, MaximumRetryAttempts=1, **missing)
            assert answer["message"] == "The function doesn't exist."


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, "InvalidParameterValueException"),
        ({"MaximumRetryAttempts": 3}, "ValidationException"),
        ({"MaximumEventAgeInSeconds": 59}, "ValidationException"),
        ({"MaximumEventAgeInSeconds": 21601}, "ValidationException"),
    ],
)
def test_retries_and_age_have_bounds(
    function: str, refused: Refused, change: dict[str, int], error: str
) -> None:
    answer = refused("put_function_event_invoke_config", FunctionName=function, **change)
    assert (answer["type"], answer["status"]) == (error, 400)


def test_a_policy_grows_and_shrinks(function: str, client: Any, refused: Refused) -> None:
    added = client.add_permission(
        FunctionName=function,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bucket",
        SourceAccount="123456789012",
    )
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = json.loads(added["Statement"])
    assert statement == {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": f"{ARN}:{function}",
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "123456789012"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
        },
    }
    policy = client.get_policy(FunctionName=function)
    assert json.loads(policy["Policy"]) == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [statement],
    }
    assert policy["RevisionId"] == client.get_function_configuration(FunctionName=function)["RevisionId"]
    again = refused(
        "add_permission",
        FunctionName=function,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="*",
    )
    assert (again["type"], again["status"]) == ("ResourceConflictException", 409)
    assert again["message"].startswith("The statement id (s3) provided already exists.")
    unknown = refused("remove_permission", FunctionName=function, StatementId="sns")
    assert unknown["message"] == "Statement sns is not found in resource policy."
    stale = refused("remove_permission", FunctionName=function, StatementId="s3", RevisionId="another")
    assert (stale["type"], stale["status"]) == ("PreconditionFailedException", 412)
    removed = client.remove_permission(
        FunctionName=function, StatementId="s3", RevisionId=policy["RevisionId"]
    )
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused("get_policy", FunctionName=function) == {
        "type": "ResourceNotFoundException",
        "status": 404,
        "message": "The resource you requested does not exist.",
    }


@pytest.mark.parametrize(
    ("principal", "written"),
    [
        ("*", "*"),
        ("123456789012", {"AWS": "arn:aws:iam::123456789012:root"}),
        ("arn:aws:iam::123456789012:user/u", {"AWS": "arn:aws:iam::123456789012:user/u"}),
        ("events.amazonaws.com", {"Service": "events.amazonaws.com"}),
    ],
)
def test_principals_are_written_as_in_policies(
    function: str, client: Any, principal: str, written: Any
) -> None:
    added = client.add_permission(
        FunctionName=function,
        Qualifier="1",
        StatementId="who",
        Action="lambda:InvokeFunction",
        Principal=principal,
    )
    statement = json.loads(added["Statement"])
    assert (statement["Principal"], statement["Resource"]) == (written, f"{ARN}:{function}:1")


def test_wrong_permissions_are_refused(function: str, client: Any, refused: Refused) -> None:
    request = {"FunctionName": function, "StatementId": "s", "Action": "lambda:InvokeFunction"}
    assert "principal was invalid" in refused("add_permission", **request, Principal="nobody")["message"]
    latest = refused("add_permission", **request, Principal="*", Qualifier="$LATEST")
    assert latest["message"] == "We currently do not support adding policies for $LATEST."
    assert refused("add_permission", **request, Principal="*", Qualifier="9")["status"] == 404
    stale = refused("add_permission", **request, Principal="*", RevisionId="another")
    assert stale["status"] == 412
    assert refused("add_permission", **{**request, "Action": "s3:*"}, Principal="*")["status"] == 400
    filler = "arn:aws:s3:::" + "b" * 9000
    for number in range(2):
        client.add_permission(**{**request, "StatementId": f"s{number}"}, Principal="*", SourceArn=filler)
    long = refused("add_permission", **request, Principal="*", SourceArn=filler)
    assert (long["type"], long["status"]) == ("PolicyLengthExceededException", 400)
    assert "is bigger than the limit (20480)" in long["message"]


def test_tags_are_added_listed_and_removed(function: str, client: Any, refused: Refused) -> None:
    arn = f"{ARN}:{function}"
    tagged = client.tag_resource(Resource=arn, Tags={"a": "1", "größe": "2 m"})
    assert tagged["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "1", "größe": "2 m"}
    untagged = client.untag_resource(Resource=arn, TagKeys=["größe", "unknown"])
    assert untagged["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "1"}
    too_many = refused("tag_resource", Resource=arn, Tags={f"k{n}": "" for n in range(50)})
    assert too_many["message"] == "Number of tags exceeds resource tag limit."
    assert refused("tag_resource", Resource=arn, Tags={})["type"] == "InvalidParameterValueException"
    assert refused("tag_resource", Resource=f"{arn}:1", Tags={"a": "1"})["status"] == 400
    assert refused("list_tags", Resource=f"{ARN}:nobody")["status"] == 404
    assert refused("list_tags", Resource="hello")["type"] == "ValidationException"
    assert refused("untag_resource", Resource=arn)["type"] == "ValidationException"
    signing = "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-0123456789abcdef0"
    assert refused("list_tags", Resource=signing)["status"] == 501


def test_account_settings_count_what_is_there(create: Create, client: Any, name: str) -> None:
    before = client.get_account_settings()
    created = create(Publish=True)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)
    after = client.get_account_settings()
    usage, limit = after["AccountUsage"], after["AccountLimit"]
    assert usage["FunctionCount"] == before["AccountUsage"]["FunctionCount"] + 1
    grown = usage["TotalCodeSize"] - before["AccountUsage"]["TotalCodeSize"]
    assert grown == 2 * created["CodeSize"]
    unreserved = limit["UnreservedConcurrentExecutions"]
    assert unreserved == before["AccountLimit"]["UnreservedConcurrentExecutions"] - 7
    assert (limit["CodeSizeZipped"], limit["CodeSizeUnzipped"]) == (52428800, 262144000)
    assert limit["ConcurrentExecutions"] == 1000
