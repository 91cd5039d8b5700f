"""A queue trigger through a transport of kombu's that is neither AMQP nor Redis: SQS, served by moto."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3
import pytest

from broker.caller import Trace
from broker.invocation import Reply
from tests.integration.triggers.test_queues import serving
from tests.s3_server import S3Server
from tests.waiting import until
from triggers.queues.kombu_link import KombuLink
from triggers.queues.message import SourceUnavailable
from triggers.queues.settings import QueueSettings
from triggers.queues.threaded_source import ThreadedSource


@pytest.fixture
def queue() -> str:
    return f"orders-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def sqs(s3_server: S3Server) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=s3_server.url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="hunter2",
    )


def settings(server: S3Server, queue: str, **members: Any) -> QueueSettings:
    return QueueSettings(
        url=server.url.replace("http://", "sqs://key:hunter2@"),
        queue=queue,
        transport_options={"is_secure": False, "region": "us-east-1", "wait_time_seconds": 1},
        retry_delay_seconds=0.05,
        **members,
    )


def waiting(sqs: Any, queue: str) -> int:
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


async def test_plain_messages_run_and_a_poison_one_is_set_aside(
    s3_server: S3Server, sqs: Any, queue: str
) -> None:
    bodies: list[str] = []

    async def function(payload: bytes, trace: Trace) -> Reply:
        ((_, messages),) = json.loads(payload)["messagesByQueue"].items()
        bodies.extend(message["body"] for message in messages)
        return Reply("id", b"{}", "Unhandled" if "poison" in bodies[-1] else "")

    chosen = settings(s3_server, queue, max_receives=2)
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    for body in ("a plain text", "poison!", '{"n": 1}'):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    async with serving(chosen, function):
        await until(lambda: waiting(sqs, f"{queue}-dead-letter") == 1, 20)
        await until(lambda: waiting(sqs, queue) == 0, 20)
    assert bodies.count("poison!") == 2
    assert sorted(set(bodies)) == ["a plain text", "poison!", '{"n": 1}']


async def test_what_is_in_hand_at_the_end_comes_again(s3_server: S3Server, sqs: Any, queue: str) -> None:
    url = sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    first = await ThreadedSource.open(KombuLink(settings(s3_server, queue)), queue)
    assert [message.body for message in await first.receive(1, 10)] == [b"kept"]
    await first.close()
    second = await ThreadedSource.open(KombuLink(settings(s3_server, queue)), queue)
    messages = await second.receive(1, 15)
    assert [message.body for message in messages] == [b"kept"]
    await second.ack(messages)
    await second.close()


async def test_a_server_that_is_away_is_named_without_its_password(queue: str) -> None:
    away = QueueSettings(
        url="sqs://key:hunter2@127.0.0.1:1",
        queue=queue,
        transport_options={"is_secure": False, "region": "us-east-1"},
    )
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1") as caught:
        await ThreadedSource.open(KombuLink(away), queue)
    assert "hunter2" not in str(caught.value)
