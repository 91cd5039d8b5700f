"""A queue's message as an SQS record, and records as the event that a function gets.

Shapes: "Using Lambda with Amazon SQS" in the Lambda developer guide, and recorded events. Records are encoded
one by one, so that a batch's size is known to the byte before it is put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

encode_record = msgspec.json.Encoder().encode

_EVENT_START, _EVENT_END = b'{"Records":[', b"]}"


def record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """The record of a message as ReceiveMessage's JSON has it, with all its attributes."""
    attributes: Mapping[str, Mapping[str, Any]] = message.get("MessageAttributes") or {}
    made = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes") or {},
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
    }
    if message.get("MD5OfMessageAttributes"):
        made["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return made | {
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def event(encoded_records: Sequence[bytes]) -> bytes:
    """The event of records that `encode_record` gave."""
    return _EVENT_START + b",".join(encoded_records) + _EVENT_END


def event_bytes(encoded_records: Sequence[bytes]) -> int:
    """Size of the event."""
    frame = len(_EVENT_START) + len(_EVENT_END) + max(0, len(encoded_records) - 1)
    return frame + sum(len(each) for each in encoded_records)


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """Binary values are base64 in the service's JSON and stay so in the event."""
    made: dict[str, Any] = {}
    if value.get("StringValue") is not None:
        made["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        made["binaryValue"] = value["BinaryValue"]
    return made | {
        "stringListValues": value.get("StringListValues") or [],
        "binaryListValues": value.get("BinaryListValues") or [],
        "dataType": value["DataType"],
    }
