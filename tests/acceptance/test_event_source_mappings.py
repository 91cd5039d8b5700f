"""Queues that call functions: mappings made with boto3, guests from PyPI, topics and stores in front."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from broker.lineage import MOST_RUNS
from tests.acceptance.functions import signed_get
from tests.deployment_packages import package
from tests.faults.waiting import eventually
from tests.kafka_server import KafkaServer
from tests.live_system import LiveSystem
from tests.s3_server import S3Server

GUESTS = ("aws_lambda_powertools", "jmespath", "typing_extensions")

SAY = b"""
import json
import os


def say(text):
    with open(os.environ["SAID"], "a") as said:
        said.write(json.dumps(text) + "\\n")
"""
POWERTOOLS = b"""
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import SQSEvent, event_source

from say import say

processor = BatchProcessor(event_type=EventType.SQS)


def one(record):
    order = record.json_body
    kind = record.message_attributes["kind"]
    if order.get("poison") and record.attributes.approximate_receive_count == "1":
        raise ValueError("not at the first time")
    queue = record.queue_url.rpartition("/")[2]
    say(f"{order['id']} {kind.string_value if kind else '-'} {queue}")


@event_source(data_class=SQSEvent)
def handler(event, context):
    assert all(record.event_source == "aws:sqs" for record in event.records)
    return process_partial_response(
        event=event.raw_event, record_handler=one, processor=processor, context=context
    )
"""
POWERTOOLS_KAFKA = b"""
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import KafkaEvent, event_source

from say import say

processor = BatchProcessor(event_type=EventType.Kafka)
failed = set()


def one(record):
    order = record.json_value
    if order.get("poison") and record.offset not in failed:
        failed.add(record.offset)
        say("poison")
        raise ValueError("not at the first time")
    say(f"{order['id']} {record.decoded_headers['kind'].decode()}")


@event_source(data_class=KafkaEvent)
def handler(event, context):
    assert event.event_source == "SelfManagedKafka"
    return process_partial_response(
        event=event.raw_event, record_handler=one, processor=processor, context=context
    )
"""
KAFKA_ORDERS = ('{"id": 1}', '{"id": 10}', "no JSON", '{"id": 3}', '{"id": 2, "poison": true}')
ECHO = b"""
from say import say


def handler(event, context):
    for record in event["Records"]:
        say(record["body"])
"""
SLOW = b"""
import time

from say import say


def handler(event, context):
    time.sleep(0.1)
    for record in event["Records"]:
        say(record["attributes"]["ApproximateReceiveCount"])
"""

LOOPING = b"""
import os

import boto3

from say import say


def send(place):
    boto3.client("sqs").send_message(QueueUrl=place, MessageBody="again")


def send_batch(place):
    boto3.client("sqs").send_message_batch(QueueUrl=place, Entries=[{"Id": "1", "MessageBody": "again"}])


def publish(place):
    boto3.client("sns").publish(TopicArn=place, Message="again")


def put(place):
    boto3.client("s3").put_object(Bucket=place, Key="again", Body=b"")


def handler(event, context):
    say("ran")
    globals()[os.environ["CALL"]](os.environ["PLACE"])
"""


@pytest.fixture(scope="module")
def system(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    variables = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "LIGHTSWITCH_FUNCTION_ACCESS_KEY_ID": "test",
        "LIGHTSWITCH_FUNCTION_SECRET_ACCESS_KEY": "test",
    }
    directory = tmp_path_factory.mktemp("mappings")
    with LiveSystem(directory / "data", variables=variables) as running:
        yield running


class Place:
    """Queues, topics and buckets of one test, and the function between them."""

    def __init__(self, system: LiveSystem, server: S3Server, said: Path) -> None:
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.system = system
        self._server = server
        self.sqs = self.client("sqs")
        self.url, self.arn = self.queue(f"{self.name}-orders", VisibilityTimeout="5")
        self._said = said

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._server.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def queue(self, name: str, **attributes: str) -> tuple[str, str]:
        url: str = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        asked = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, asked["Attributes"]["QueueArn"]

    def deploy(self, files: dict[str, bytes], **variables: str) -> None:
        """Deploy the function, with these variables besides."""
        variables["SAID"] = str(self._said)
        self.system.deploy(
            self.name,
            package({"say.py": SAY, **files}),
            timeout_seconds=5,
            MemorySize=1769,  # a whole processor, for imports
            Environment={"Variables": variables},
        )

    def map(self, **parameters: Any) -> str:
        created = self.system.client.create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=self.arn, **parameters
        )
        mapping_id: str = created["UUID"]
        return mapping_id

    def hears(self, count: int, within_seconds: float = 20) -> list[str]:
        """What the function has said, sorted, once it has said `count` things."""

        def look() -> list[str]:
            return [json.loads(line) for line in self._said.read_text().splitlines()]

        eventually(f"{count} messages", lambda: len(look()) >= count, within_seconds)
        return sorted(look())

    def is_empty(self) -> bool:
        return self.holds(self.url, 0)

    def holds(self, url: str, messages: int) -> bool:
        """Whether a queue has so many messages, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(asked["Attributes"][name]) for name in names) == messages

    def topic(self) -> str:
        """ARN of a new topic whose messages come into the queue."""
        sns = self.client("sns")
        arn: str = sns.create_topic(Name=self.name)["TopicArn"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=self.arn)
        return arn

    def bucket(self) -> str:
        """Name of a new bucket that notifies the queue of new objects."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=self.name)
        to_queue = {"QueueArn": self.arn, "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"QueueConfigurations": [to_queue]}
        )
        return self.name


@pytest.fixture
def place(system: LiveSystem, s3_server: S3Server) -> Iterator[Place]:
    # Functions have their own user, and their own /tmp.
    with tempfile.TemporaryDirectory(prefix="lightswitch-mappings-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o711)
        said = Path(directory) / "said"
        said.touch()
        said.chmod(0o666)
        yield Place(system, s3_server, said)


def installed(names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of packages from PyPI, as they are installed here."""
    files: dict[str, bytes] = {}
    for name in names:
        found = importlib.util.find_spec(name)
        assert found is not None, name
        assert found.origin is not None, name
        source = Path(found.origin)
        if source.name != "__init__.py":
            files[source.name] = source.read_bytes()
            continue
        root = source.parent.parent
        files |= {str(path.relative_to(root)): path.read_bytes() for path in source.parent.rglob("*.py")}
    return files


def test_powertools_handles_a_batch_of_which_one_fails(place: Place) -> None:
    place.deploy({"app.py": POWERTOOLS, **installed(GUESTS)})
    mapping_id = place.map(FunctionResponseTypes=["ReportBatchItemFailures"])
    attributes = {"kind": {"DataType": "String", "StringValue": "express"}}
    place.sqs.send_message(QueueUrl=place.url, MessageBody='{"id": 1}', MessageAttributes=attributes)
    place.sqs.send_message(QueueUrl=place.url, MessageBody='{"id": 2, "poison": true}')
    place.sqs.send_message(QueueUrl=place.url, MessageBody='{"id": 3}')
    queue = f"{place.name}-orders"
    assert place.hears(3) == [f"1 express {queue}", f"2 - {queue}", f"3 - {queue}"]
    eventually("the queue is empty", place.is_empty)
    result = "LastProcessingResult"
    mapping = place.system.client.get_event_source_mapping
    eventually("the mapping is well", lambda: mapping(UUID=mapping_id).get(result) == "OK")


def test_powertools_handles_records_of_kafka_of_which_one_fails(
    place: Place, kafka_server: KafkaServer
) -> None:
    kafka_server.make_topic(place.name)
    kafka_server.send(place.name, *KAFKA_ORDERS, headers=[("kind", "express")])
    place.deploy({"app.py": POWERTOOLS_KAFKA, **installed(GUESTS)})
    client = place.system.client
    mapping_id = client.create_event_source_mapping(
        FunctionName=place.name,
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [kafka_server.servers]}},
        Topics=[place.name],
        StartingPosition="TRIM_HORIZON",
        FilterCriteria={"Filters": [{"Pattern": '{"value": {"id": [{"numeric": ["<", 9]}]}}'}]},
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )["UUID"]
    assert place.hears(4) == ["1 express", "2 express", "3 express", "poison"]
    eventually("all commits", lambda: kafka_server.committed(mapping_id, place.name) == len(KAFKA_ORDERS))
    client.delete_event_source_mapping(UUID=mapping_id)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "wrapped"])
def test_a_topic_reaches_the_function_through_a_queue(place: Place, raw: bool) -> None:
    place.deploy({"app.py": ECHO})
    place.map()
    sns = place.client("sns")
    topic = sns.create_topic(Name=place.name)["TopicArn"]
    delivery = {"RawMessageDelivery": "true"} if raw else {}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=place.arn, Attributes=delivery)
    sns.publish(TopicArn=topic, Message="an order", Subject="news")
    (heard,) = place.hears(1)
    if raw:
        assert heard == "an order"
    else:
        envelope = json.loads(heard)
        assert (envelope["Type"], envelope["Message"], envelope["TopicArn"]) == (
            "Notification",
            "an order",
            topic,
        )


def test_a_store_reaches_the_function_through_a_queue(place: Place) -> None:
    place.deploy({"app.py": ECHO})
    place.map()
    place.client("s3").put_object(Bucket=place.bucket(), Key="a picture.png", Body=b"...")
    heard = [json.loads(body) for body in place.hears(2)]
    (test_event,) = [event for event in heard if "Records" not in event]
    assert test_event["Event"] == "s3:TestEvent"
    (created,) = [event["Records"][0] for event in heard if "Records" in event]
    assert created["eventName"] == "ObjectCreated:Put"
    assert created["s3"]["object"]["key"] == "a+picture.png"


def test_reserved_concurrency_holds_messages_back_and_uses_up_no_receives(place: Place) -> None:
    place.deploy({"app.py": SLOW})
    place.system.client.put_function_concurrency(FunctionName=place.name, ReservedConcurrentExecutions=1)
    for _ in range(8):
        place.sqs.send_message(QueueUrl=place.url, MessageBody="order")
    place.map(BatchSize=1)
    assert place.hears(8) == ["1"] * 8
    eventually("the queue is empty", place.is_empty)


def test_a_disabled_mapping_rests_until_it_is_enabled(place: Place) -> None:
    place.deploy({"app.py": ECHO})
    mapping_id = place.map(Enabled=False)
    place.sqs.send_message(QueueUrl=place.url, MessageBody="waiting")
    client = place.system.client
    assert client.get_event_source_mapping(UUID=mapping_id)["State"] == "Disabled"
    assert not place.is_empty()
    client.update_event_source_mapping(UUID=mapping_id, Enabled=True)
    assert place.hears(1) == ["waiting"]


def test_a_deleted_mapping_no_longer_runs_the_function(place: Place) -> None:
    place.deploy({"app.py": ECHO})
    mapping_id = place.map()
    place.sqs.send_message(QueueUrl=place.url, MessageBody="before")
    place.hears(1)
    client: Callable[..., Any] = place.system.client.delete_event_source_mapping
    client(UUID=mapping_id)
    listed = place.system.client.list_event_source_mappings(FunctionName=place.name)
    assert listed["EventSourceMappings"] == []


@pytest.mark.parametrize("call", ["send", "send_batch", "publish", "put"])
def test_a_function_that_causes_its_own_messages_is_stopped_and_reported(place: Place, call: str) -> None:
    dead, dead_arn = place.queue(f"{place.name}-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    place.sqs.set_queue_attributes(QueueUrl=place.url, Attributes={"RedrivePolicy": redrive})
    target = {"publish": place.topic, "put": place.bucket}.get(call, lambda: place.url)()
    place.deploy({"app.py": LOOPING}, CALL=call, PLACE=target)
    place.map()
    if call != "put":  # a bucket's test message begins by itself
        place.sqs.send_message(QueueUrl=place.url, MessageBody="begin")
    eventually("the message that was stopped", lambda: place.holds(dead, 1))
    assert place.hears(MOST_RUNS) == ["ran"] * MOST_RUNS
    counted = signed_get(place.system, "/lightswitch/v1/metrics")["RecursiveInvocationsDropped"]
    assert counted[place.name] == 1
