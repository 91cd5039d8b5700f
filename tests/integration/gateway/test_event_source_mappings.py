"""Event source mappings as boto3 makes, reads, changes and deletes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from broker.trigger_store.model import TriggerStatus
from tests.integration.gateway.conftest import ARN, Refused, RunningGateway
from tests.s3_server import S3Server

Create = Callable[..., dict[str, Any]]

KAFKA: dict[str, Any] = {
    "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["h:9092", "i:9092"]}},
    "Topics": ["orders"],
    "StartingPosition": "TRIM_HORIZON",
}
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-25T10:00:00.000"


@pytest.fixture(scope="module")
def endpoint_urls(s3_server: S3Server) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL_SQS": s3_server.url}


@pytest.fixture(autouse=True, scope="module")
def _keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield


@pytest.fixture
def function(create: Create) -> str:
    name: str = create()["FunctionName"]
    return name


@pytest.fixture
def queue(s3_server: S3Server, name: str) -> str:
    """ARN of a queue with 30 seconds of visibility timeout."""
    return make_queue(s3_server, name)


def make_queue(server: S3Server, name: str, **attributes: str) -> str:
    sqs = boto3.client("sqs", endpoint_url=server.url, region_name="us-east-1")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = asked["Attributes"]["QueueArn"]
    return arn


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_a_mapping_of_a_queue_is_created_read_changed_and_deleted(
    gateway: RunningGateway, function: str, queue: str, client: Any
) -> None:
    created = client.create_event_source_mapping(FunctionName=function, EventSourceArn=queue)
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 202
    mapping_id = created["UUID"]
    shown = without_metadata(created)
    assert shown.pop("LastModified").year >= 2026
    assert shown == {
        "UUID": mapping_id,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{mapping_id}",
        "EventSourceArn": queue,
        "FunctionArn": f"{ARN}:{function}",
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    }
    assert client.get_event_source_mapping(UUID=mapping_id)["State"] == "Enabled"

    updated = client.update_event_source_mapping(
        UUID=mapping_id,
        Enabled=False,
        BatchSize=100,
        MaximumBatchingWindowInSeconds=2,
        FilterCriteria={"Filters": [{"Pattern": '{"body": {"kind": ["order"]}}'}]},
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 7},
    )
    assert updated["State"] == "Disabling"
    gateway.run(gateway.triggers.put_statuses({mapping_id: TriggerStatus("running", "OK", 1)}))
    read = client.get_event_source_mapping(UUID=mapping_id)
    assert (read["State"], read["BatchSize"], read["ScalingConfig"]) == (
        "Disabled",
        100,
        {"MaximumConcurrency": 7},
    )
    assert read["FilterCriteria"] == {"Filters": [{"Pattern": '{"body": {"kind": ["order"]}}'}]}
    assert read["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert read["LastProcessingResult"] == "OK"
    emptied = client.update_event_source_mapping(
        UUID=mapping_id, FilterCriteria={}, ScalingConfig={}, FunctionResponseTypes=[]
    )
    assert emptied["State"] == "Updating"
    assert "FilterCriteria" not in emptied
    assert "ScalingConfig" not in emptied

    deleted = client.delete_event_source_mapping(UUID=mapping_id)
    assert (deleted["State"], deleted["ResponseMetadata"]["HTTPStatusCode"]) == ("Deleting", 202)
    with pytest.raises(ClientError, match="The resource you requested does not exist"):
        client.get_event_source_mapping(UUID=mapping_id)


def test_a_mapping_of_a_kafka_topic_is_created_and_has_its_group_alone(
    create: Create, function: str, client: Any, refused: Refused
) -> None:
    group = {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": f"{function}-group"}}
    created = client.create_event_source_mapping(FunctionName=function, **KAFKA, **group)
    expected = {
        **KAFKA,
        **group,
        "BatchSize": 100,
        "LastProcessingResult": "No records processed",
        "State": "Creating",
    }
    assert {member: created.get(member) for member in expected} == expected
    assert "EventSourceArn" not in created
    twin = refused("create_event_source_mapping", FunctionName=function, **KAFKA)
    assert twin["message"].endswith(created["UUID"])
    others = {**KAFKA, "Topics": ["others"]}
    of_group = refused("create_event_source_mapping", FunctionName=function, **others, **group)
    assert (of_group["type"], of_group["status"]) == ("ResourceConflictException", 409)
    secret = [{"Type": "SASL_SCRAM_512_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:1:secret:s"}]
    told = refused(
        "create_event_source_mapping", FunctionName=function, **others, SourceAccessConfigurations=secret
    )
    assert "lightswitch trigger add queue" in told["message"]
    changed = refused("update_event_source_mapping", UUID=created["UUID"], **group)
    assert "cannot be changed" in changed["message"]
    updated = client.update_event_source_mapping(UUID=created["UUID"], BatchSize=7)
    assert (updated["BatchSize"], updated["Topics"]) == (7, ["orders"])


def test_a_mapping_of_a_stream_has_the_parameters_of_streams(function: str, client: Any) -> None:
    created = client.create_event_source_mapping(
        FunctionName=f"{function}:$LATEST",
        EventSourceArn=STREAM,
        StartingPosition="TRIM_HORIZON",
        BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failed"}},
    )
    assert created["FunctionArn"] == f"{ARN}:{function}:$LATEST"
    expected = {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": True,
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failed"}},
        "LastProcessingResult": "No records processed",
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }
    assert {name: created[name] for name in expected} == expected
    client.delete_event_source_mapping(UUID=created["UUID"])


def test_mappings_are_listed_by_source_and_function_in_pages(
    create: Create, function: str, s3_server: S3Server, client: Any, name: str
) -> None:
    create(FunctionName=f"{function}-2")
    queues = [make_queue(s3_server, f"{name}-{number}") for number in range(3)]
    made = {
        client.create_event_source_mapping(FunctionName=target, EventSourceArn=arn)["UUID"]: (target, arn)
        for target in (function, f"{function}-2")
        for arn in queues
    }

    def listed(**asked: Any) -> set[str]:
        pages = client.get_paginator("list_event_source_mappings").paginate(**asked)
        return {mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]}

    ours = {id_ for id_, (target, _) in made.items() if target == function}
    assert listed(FunctionName=function) == ours
    assert listed(FunctionName=function, PaginationConfig={"PageSize": 2}) == ours
    assert listed(EventSourceArn=queues[0]) == {id_ for id_, (_, arn) in made.items() if arn == queues[0]}
    assert len(listed(EventSourceArn=queues[0], FunctionName=function)) == 1


def test_a_function_has_a_source_once(function: str, queue: str, client: Any, refused: Refused) -> None:
    created = client.create_event_source_mapping(FunctionName=function, EventSourceArn=queue)
    twin = refused("create_event_source_mapping", FunctionName=function, EventSourceArn=queue)
    assert (twin["type"], twin["status"]) == ("ResourceConflictException", 409)
    assert twin["message"].endswith(f"existing mappings with UUID {created['UUID']}")


def test_of_twins_made_at_the_same_moment_one_stays(function: str, queue: str, client: Any) -> None:
    def create(_: int) -> str:
        try:
            created = client.create_event_source_mapping(FunctionName=function, EventSourceArn=queue)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(created["State"])

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(8)))
    assert answers == ["Creating"] + ["ResourceConflictException"] * 7
    assert len(client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"FunctionName": "nobody"}, "Function does not exist"),
        ({"FunctionName": "{function}:9"}, "Function does not exist"),
        ({"EventSourceArn": None}, "Unrecognized event source."),
        ({"EventSourceArn": "{queue}-nowhere"}, "SQS Error Code: QueueDoesNotExist"),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}, "Unrecognized event source"),
        (
            {
                "EventSourceArn": None,
                "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["h:9092"]}},
                "StartingPosition": "LATEST",
            },
            "Topics must name the topic",
        ),
        ({"EventSourceArn": None, **KAFKA, "StartingPosition": None}, "Value null at 'startingPosition'"),
        ({"EventSourceArn": None, **KAFKA, "ParallelizationFactor": 2}, "Kafka: ParallelizationFactor"),
        (KAFKA, "EventSourceArn and SelfManagedEventSource exclude each other"),
        ({"BatchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
        ({"StartingPosition": "LATEST"}, "Unsupported parameters for an event source of the type SQS"),
        ({"Topics": ["orders"]}, "Topics: only for a SelfManagedEventSource"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "[]"}]}}, "Invalid filter pattern definition"),
        (
            {"EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP"},
            "Unsupported starting position for arn type",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "ScalingConfig": {"MaximumConcurrency": 2},
            },
            "of the type DynamoDB: ScalingConfig",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    function: str, queue: str, refused: Refused, asked: dict[str, Any], told: str
) -> None:
    request = {"FunctionName": function, "EventSourceArn": queue, **asked}
    request = {name: _filled(value, function, queue) for name, value in request.items() if value is not None}
    answer = refused("create_event_source_mapping", **request)
    assert (answer["type"], answer["status"]) == ("InvalidParameterValueException", 400)
    assert told in answer["message"]


def _filled(value: Any, function: str, queue: str) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace("{function}", function).replace("{queue}", queue)


def test_a_function_may_not_run_longer_than_its_queue_hides_messages(
    create: Create, name: str, queue: str, refused: Refused, client: Any
) -> None:
    create(Timeout=31)
    answer = refused("create_event_source_mapping", FunctionName=name, EventSourceArn=queue)
    assert answer["message"] == (
        "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"
    )
    client.update_function_configuration(FunctionName=name, Timeout=30)
    client.create_event_source_mapping(FunctionName=name, EventSourceArn=queue)


@pytest.mark.parametrize("concurrency", [1, 1001])
def test_maximum_concurrency_has_bounds(
    function: str, queue: str, refused: Refused, concurrency: int
) -> None:
    answer = refused(
        "create_event_source_mapping",
        FunctionName=function,
        EventSourceArn=queue,
        ScalingConfig={"MaximumConcurrency": concurrency},
    )
    assert (answer["type"], answer["status"]) == ("ValidationException", 400)


def test_what_is_not_built_says_so(function: str, queue: str, refused: Refused) -> None:
    answer = refused(
        "create_event_source_mapping",
        FunctionName=function,
        EventSourceArn=queue,
        ProvisionedPollerConfig={"MinimumPollers": 2},
    )
    assert (answer["type"], answer["status"]) == ("NotImplementedException", 501)


def test_a_mapping_that_is_not_there_is_told(refused: Refused) -> None:
    nowhere = "00000000-0000-4000-8000-000000000000"
    for operation in ("get", "update", "delete"):
        answer = refused(f"{operation}_event_source_mapping", UUID=nowhere)
        assert (answer["type"], answer["status"]) == ("ResourceNotFoundException", 404)


def test_a_mapping_has_tags(function: str, queue: str, client: Any, refused: Refused) -> None:
    created = client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=queue, Tags={"team": "orders"}
    )
    arn = created["EventSourceMappingArn"]
    client.tag_resource(Resource=arn, Tags={"stage": "test"})
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "orders", "stage": "test"}
    client.untag_resource(Resource=arn, TagKeys=["team", "unknown"])
    assert client.list_tags(Resource=arn)["Tags"] == {"stage": "test"}
    many = refused("tag_resource", Resource=arn, Tags={f"k{number}": "" for number in range(50)})
    assert many["message"] == "Number of tags exceeds resource tag limit."
    client.delete_event_source_mapping(UUID=created["UUID"])
    assert refused("list_tags", Resource=arn)["status"] == 404
