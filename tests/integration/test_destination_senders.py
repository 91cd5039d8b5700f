"""Records sent to real servers of SQS, SNS, S3 and EventBridge, and what becomes of those that cannot be."""

from __future__ import annotations

import json
import re
import socket
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from broker.destination_requests import Notice
from broker.destination_senders import DestinationSenders
from broker.errors import DestinationRefused, DestinationUnavailable
from broker.settings import Settings
from tests.s3_server import S3Server

ACCOUNT = "123456789012"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f:$LATEST"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:1"
NOTICE = Notice(
    body=b'{"version":"1.0"}',
    time_ms=1_573_755_365_568,
    object_prefix="aws/lambda/async/f",
    detail_type="Lambda Function Invocation Result - Failure",
    resources=(FUNCTION,),
    short_body=b'{"short":true}',
    attributes={"RequestID": "id-1", "ErrorCode": 200, "ErrorMessage": ""},
    trace_header=TRACE,
)


def settings(url: str) -> Settings:
    return Settings(
        "unix:///nowhere", Path("/nowhere"), "file:///nowhere", endpoint_urls={"AWS_ENDPOINT_URL": url}
    )


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
async def senders(s3_server: S3Server) -> AsyncIterator[DestinationSenders]:
    made = DestinationSenders(settings(s3_server.url))
    yield made
    await made.close()


class Aws:
    """The servers, seen from the other side."""

    def __init__(self, url: str) -> None:
        self._url = url

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self._url, region_name="us-east-1")

    def queue(self) -> tuple[str, str]:
        """ARN and URL of a fresh queue."""
        name = f"q-{uuid.uuid4().hex[:8]}"
        url = self.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}", url

    def received(self, queue_url: str) -> dict[str, Any]:
        answer = self.client("sqs").receive_message(
            QueueUrl=queue_url,
            AttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=5,
        )
        (message,) = answer["Messages"]
        return dict(message)


@pytest.fixture
def aws(s3_server: S3Server) -> Aws:
    return Aws(s3_server.url)


async def test_a_queue_gets_the_body_its_attributes_and_the_lineage(
    aws: Aws, senders: DestinationSenders
) -> None:
    arn, url = aws.queue()
    await senders.send(arn, NOTICE)
    message = aws.received(url)
    assert message["Body"] == '{"version":"1.0"}'
    assert message["Attributes"]["AWSTraceHeader"] == TRACE
    shown = {name: (a["DataType"], a["StringValue"]) for name, a in message["MessageAttributes"].items()}
    assert shown == {"RequestID": ("String", "id-1"), "ErrorCode": ("Number", "200")}


async def test_a_topic_passes_it_on(aws: Aws, senders: DestinationSenders) -> None:
    queue_arn, url = aws.queue()
    topic = aws.client("sns").create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    await senders.send(topic, NOTICE)
    assert json.loads(aws.received(url)["Body"])["Message"] == '{"version":"1.0"}'


async def test_a_bucket_gets_an_object_named_by_function_and_time(
    aws: Aws, senders: DestinationSenders
) -> None:
    bucket = f"b-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket)
    await senders.send(f"arn:aws:s3:::{bucket}", NOTICE)
    (found,) = aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert re.fullmatch(r"aws/lambda/async/f/2019/11/14/2019-11-14T18\.16\.05-[0-9a-f-]{36}", found["Key"])
    stored = aws.client("s3").get_object(Bucket=bucket, Key=found["Key"])
    assert stored["Body"].read() == NOTICE.body


async def test_an_event_bus_gets_an_event_of_the_function(aws: Aws, senders: DestinationSenders) -> None:
    events, bus = aws.client("events"), f"bus-{uuid.uuid4().hex[:8]}"
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    queue_arn, url = aws.queue()
    pattern = json.dumps({"source": ["lambda"], "detail-type": [NOTICE.detail_type]})
    events.put_rule(Name="r", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="r", EventBusName=bus, Targets=[{"Id": "1", "Arn": queue_arn}])
    await senders.send(bus_arn, NOTICE)
    event = json.loads(aws.received(url)["Body"])
    assert (event["source"], event["detail-type"]) == ("lambda", NOTICE.detail_type)
    assert event["resources"] == [bus_arn, FUNCTION]
    assert event["detail"] == {"version": "1.0"}


async def test_what_is_too_large_for_its_destination_goes_without_payloads(
    aws: Aws, senders: DestinationSenders
) -> None:
    topic = aws.client("sns").create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"]
    queue_arn, url = aws.queue()
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    large = Notice(b'"' + b"x" * 300_000 + b'"', 0, "p", "d", (), short_body=b'{"short":true}')
    await senders.send(topic, large)
    assert json.loads(aws.received(url)["Body"])["Message"] == '{"short":true}'


async def test_what_is_not_there_refuses(senders: DestinationSenders) -> None:
    for arn in (f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing", "arn:aws:s3:::missing-bucket", FUNCTION):
        with pytest.raises(DestinationRefused):
            await senders.send(arn, NOTICE)


async def test_a_server_that_is_away_is_unavailable_and_then_left_alone() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        senders = DestinationSenders(settings(f"http://127.0.0.1:{reserved.getsockname()[1]}"))
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
        with pytest.raises(DestinationUnavailable, match="Could not connect"):
            await senders.send(arn, NOTICE)
        with pytest.raises(DestinationUnavailable, match="moments ago"):
            await senders.send(arn, NOTICE)
        await senders.close()
