"""RabbitMQ messages as Amazon MQ's event source shows them."""

from __future__ import annotations

import base64
from typing import Any

from aws_lambda_powertools.utilities.data_classes.rabbit_mq_event import RabbitMQEvent

from triggers.events.queue_messages import queue_event
from triggers.events.rabbitmq import rabbitmq_event
from triggers.queues.message import QueueMessage


def shown(**members: Any) -> Any:
    message = QueueMessage(**{"body": b"hi", "item_identifier": "7", "token": 1, **members})
    event = rabbitmq_event([message], "orders", "/", "arn:aws:mq:us-east-1:1:broker:b:b-1")
    assert event["eventSource"] == "aws:rmq"
    return event["rmqMessagesByQueue"]["orders::/"][0]


def test_bodies_are_base64_and_sized() -> None:
    message = shown(body=b"\xff\x00")
    assert base64.b64decode(message["data"]) == b"\xff\x00"
    assert message["basicProperties"]["bodySize"] == 2


def test_strings_in_headers_are_lists_of_bytes_and_numbers_are_numbers() -> None:
    headers = shown(headers={"name": "hé", "count": 10, "list": ["a"]})["basicProperties"]["headers"]
    assert headers == {"name": {"bytes": list("hé".encode())}, "count": 10, "list": [{"bytes": [97]}]}


def test_properties_have_amqps_names_in_camel_case_and_null_where_unset() -> None:
    properties = shown(properties={"content_type": "text/plain", "delivery_mode": 2})["basicProperties"]
    assert properties["contentType"] == "text/plain"
    assert properties["deliveryMode"] == 2
    assert properties["correlationId"] is None


def test_times_read_as_in_amazon_mqs_example() -> None:
    properties = shown(properties={"timestamp": 33 * 60 + 41})["basicProperties"]
    assert properties["timestamp"] == "Jan 1, 1970, 12:33:41 AM"


def test_other_transports_flag_what_is_no_text() -> None:
    messages = [QueueMessage(b"text", "1", 0), QueueMessage(b"\xff", "2", 0, failures=2)]
    first, second = queue_event(messages, "orders", "redis")["messagesByQueue"]["orders"]
    assert (first["body"], first["isBase64Encoded"], first["receiveCount"]) == ("text", False, 1)
    assert (second["body"], second["isBase64Encoded"], second["receiveCount"]) == ("/w==", True, 3)


def test_powertools_reads_the_event() -> None:
    messages = [QueueMessage(b'{"order": 1}', "1", 0, headers={"tenant": "t"}, redelivered=True)]
    document = rabbitmq_event(messages, "orders", "/", "arn:aws:mq:us-east-1:1:broker:b:b-1")
    event = RabbitMQEvent(document)
    (message,) = event.rmq_messages_by_queue["orders::/"]
    assert event.event_source_arn == "arn:aws:mq:us-east-1:1:broker:b:b-1"
    assert message.json_data == {"order": 1}
    assert message.redelivered
    assert message.basic_properties.headers == {"tenant": {"bytes": [116]}}
