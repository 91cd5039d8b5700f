"""What each kind of destination is asked for when a record is sent to it: pure, from an ARN to a request.

Source: AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Service = Literal["sqs", "sns", "s3", "events"]
_SERVICES: dict[str, Service] = {"sqs": "sqs", "sns": "sns", "s3": "s3", "events": "events"}


class Notice(msgspec.Struct, frozen=True):
    """Something to tell a destination: `body` is the message, a JSON document.

    `short_body` is sent where `body` is too large for the service; empty: then it is refused. `attributes`
    become message attributes of a queue or topic, numbers as numbers. `object_prefix` begins the key in a
    bucket: `aws/lambda/async/FUNCTION`, or for streams `aws/lambda/MAPPING_UUID/SHARD_ID`. `detail_type` and
    `resources` (the function's ARN) are for an event bus. `time_ms` (epoch) names the object and dates the
    event.
    """

    body: bytes
    time_ms: int
    object_prefix: str
    detail_type: str
    resources: tuple[str, ...]
    short_body: bytes = b""
    attributes: Mapping[str, str | int] = {}
    trace_header: str = ""


class Request(msgspec.Struct, frozen=True):
    """One call of a service's API, in boto3's words. A `queue` is still to be turned into its URL."""

    service: Service
    region: str
    operation: str
    members: dict[str, Any]
    queue: tuple[str, str] | None = None
    """Name and account."""


def service_of(arn: str) -> Service | None:
    """Which of the services that records are sent to an ARN belongs to."""
    parts = arn.split(":", 5)
    return _SERVICES.get(parts[2]) if len(parts) == 6 and parts[0] == "arn" and parts[5] else None


def is_fifo(arn: str) -> bool:
    """Whether an ARN names a FIFO queue or topic."""
    return arn.endswith(".fifo")


def request(arn: str, notice: Notice) -> Request:
    """The call that tells the destination `arn`. Raises ValueError: nobody of ours."""
    service, (_, _, _, region, account, name) = service_of(arn), arn.split(":", 5)
    body = notice.body.decode()
    match service:
        case "sqs":
            members = _given(
                MessageBody=body,
                MessageAttributes=_attributes(notice),
                # Servers other than AWS's do not keep the header of the same name.
                MessageSystemAttributes=_trace(notice),
            )
            return Request(service, region, "send_message", members, (name, account))
        case "sns":
            members = _given(TopicArn=arn, Message=body, MessageAttributes=_attributes(notice))
            return Request(service, region, "publish", members)
        case "s3":
            key = object_key(notice.object_prefix, notice.time_ms)
            members = {"Bucket": name, "Key": key, "Body": notice.body, "ContentType": "application/json"}
            return Request(service, region, "put_object", members)
        case "events":
            entry = {
                "Source": "lambda",
                "DetailType": notice.detail_type,
                "Detail": body,
                "EventBusName": arn,
                "Resources": [arn, *notice.resources],
                "Time": _at(notice.time_ms),
            }
            return Request(service, region, "put_events", {"Entries": [entry]})
        case None:
            raise ValueError(f"{arn} is no queue, topic, bucket or event bus")


def object_key(prefix: str, time_ms: int) -> str:
    """`PREFIX/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID`, in UTC."""
    return f"{prefix}/{_at(time_ms):%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"


def _attributes(notice: Notice) -> dict[str, dict[str, str]]:
    return {
        name: {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
        for name, value in notice.attributes.items()
        if value != ""  # SQS refuses empty ones
    }


def _trace(notice: Notice) -> dict[str, dict[str, str]]:
    if not notice.trace_header:
        return {}
    return {"AWSTraceHeader": {"DataType": "String", "StringValue": notice.trace_header}}


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _at(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
