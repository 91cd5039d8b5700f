"""The event of messages from queues that AWS has no event for.

    {"eventSource": "lightswitch:redis",
     "messagesByQueue": {"orders": [{"itemIdentifier", "body", "isBase64Encoded", "headers", "properties",
                                     "receiveCount"}]}}

`body` is text where the bytes are UTF-8, else base64, which `isBase64Encoded` says. `receiveCount` is 1 the
first time.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from triggers.queues.message import QueueMessage


def queue_event(messages: Sequence[QueueMessage], queue: str, transport: str) -> dict[str, Any]:
    """One batch of one queue."""
    return {
        "eventSource": f"lightswitch:{transport}",
        "messagesByQueue": {queue: [_message(message) for message in messages]},
    }


def _message(message: QueueMessage) -> dict[str, Any]:
    body, encoded = _text(message.body)
    return {
        "itemIdentifier": message.item_identifier,
        "body": body,
        "isBase64Encoded": encoded,
        "headers": dict(message.headers),
        "properties": dict(message.properties),
        "receiveCount": message.failures + 1,
    }


def _text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode("utf-8"), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True
