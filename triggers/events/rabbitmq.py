"""The event of RabbitMQ messages, as Amazon MQ's event source sends it (Lambda's guide, "Amazon MQ").

Bodies are base64, strings in headers are lists of bytes, and queues are keyed `queue::virtual-host`.
`itemIdentifier` is ours: what a partial result names, because AMQP messages need not have ids.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from triggers.queues.message import QueueMessage

_PROPERTIES = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "deliveryMode": "delivery_mode",
    "priority": "priority",
    "correlationId": "correlation_id",
    "replyTo": "reply_to",
    "expiration": "expiration",
    "messageId": "message_id",
    "type": "type",
    "userId": "user_id",
    "appId": "app_id",
    "clusterId": "cluster_id",
}


def rabbitmq_event(
    messages: Sequence[QueueMessage], queue: str, virtual_host: str, source_arn: str
) -> dict[str, Any]:
    """One batch of one queue; raises nothing for any header that AMQP can carry."""
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": source_arn,
        "rmqMessagesByQueue": {f"{queue}::{virtual_host}": [_message(message) for message in messages]},
    }


def _message(message: QueueMessage) -> dict[str, Any]:
    return {
        "basicProperties": _basic_properties(message),
        "redelivered": message.redelivered,
        "data": base64.b64encode(message.body).decode(),
        "itemIdentifier": message.item_identifier,
    }


def _basic_properties(message: QueueMessage) -> dict[str, Any]:
    properties = {name: _plain(message.properties.get(key)) for name, key in _PROPERTIES.items()}
    properties["headers"] = {name: _header(value) for name, value in message.headers.items()}
    properties["timestamp"] = _timestamp(message.properties.get("timestamp"))
    properties["bodySize"] = len(message.body)
    return properties


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | None) else str(value)


def _header(value: object) -> object:
    if isinstance(value, str):
        return {"bytes": list(value.encode())}
    if isinstance(value, bytes | bytearray):
        return {"bytes": list(value)}
    if isinstance(value, dict):
        return {str(name): _header(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_header(inner) for inner in value]
    if isinstance(value, datetime):
        return _timestamp(value)
    return value if isinstance(value, bool | int | float | None) else str(value)


def _timestamp(value: object) -> str | None:
    """As Java writes it: `Jan 1, 1970, 12:33:41 AM`, in UTC. The driver reads times as naive UTC."""
    if isinstance(value, int):
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return None
    hour = value.hour % 12 or 12
    return f"{value:%b} {value.day}, {value.year}, {hour}:{value:%M:%S %p}"
