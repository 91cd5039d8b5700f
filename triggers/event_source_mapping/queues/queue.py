"""One SQS queue: what a mapping asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from triggers.aws_calls.client import CALL_SECONDS, Clients, JsonClient
from triggers.aws_calls.errors import ServiceUnavailable
from triggers.event_source_mapping.settings import MappingSettings

BATCH_ENTRIES = 10
"""Most messages of one SQS request."""
MOST_HIDDEN_SECONDS = 12 * 3600
"""Longest time that SQS keeps a message hidden, counted from its receive."""


class QueueFacts(msgspec.Struct, frozen=True):
    """What a queue says of itself."""

    visibility_timeout_seconds: int


class Queue:
    """Every method raises ServiceRefused, ServiceUnavailable, NoCredentials (`triggers.aws_calls.errors`)."""

    def __init__(self, client: JsonClient, url: str, facts: QueueFacts) -> None:
        self._client = client
        self._url = url
        self.facts = facts

    @classmethod
    async def find(cls, clients: Clients, settings: MappingSettings, account_id: str) -> Self:
        """The queue of a mapping; `account_id` is our own, in which other queues are not looked for."""
        client = await clients.client("sqs", settings.source_region)
        asked: dict[str, Any] = {"QueueName": settings.queue_name}
        if settings.source_account != account_id:
            asked["QueueOwnerAWSAccountId"] = settings.source_account
        url = (await client.call("GetQueueUrl", asked)).get("QueueUrl", "")
        return cls(client, url, await _facts(client, url))

    async def refresh(self) -> None:
        """Ask again what the queue says of itself."""
        self.facts = await _facts(self._client, self._url)

    async def receive(
        self, most: int, wait_seconds: int, hide_seconds: int | None
    ) -> Sequence[Mapping[str, Any]]:
        """Up to `most` messages as SQS's JSON has them; `hide_seconds` replaces the queue's own timeout."""
        asked: dict[str, Any] = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": min(most, BATCH_ENTRIES),
            "WaitTimeSeconds": wait_seconds,
            "AttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if hide_seconds is not None:
            asked["VisibilityTimeout"] = hide_seconds
        answer = await self._client.call("ReceiveMessage", asked, wait_seconds + CALL_SECONDS)
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages") or ()
        return messages

    async def delete(self, receipt_handles: Sequence[str]) -> frozenset[str]:
        """Delete up to ten messages; the handles of those that may be deleted by another try."""
        return await self._batch("DeleteMessageBatch", receipt_handles, {})

    async def hide(self, receipt_handles: Sequence[str], seconds: int) -> frozenset[str]:
        """Hide up to ten messages for `seconds` from now (0: show them); as `delete`."""
        return await self._batch(
            "ChangeMessageVisibilityBatch", receipt_handles, {"VisibilityTimeout": seconds}
        )

    async def _batch(
        self, operation: str, receipt_handles: Sequence[str], members: Mapping[str, Any]
    ) -> frozenset[str]:
        entries = [
            {"Id": str(number), "ReceiptHandle": handle, **members}
            for number, handle in enumerate(receipt_handles)
        ]
        answer = await self._client.call(operation, {"QueueUrl": self._url, "Entries": entries})
        failed = answer.get("Failed") or ()
        # A sender's fault (the handle has expired, the message is gone) does not mend.
        return frozenset(receipt_handles[int(each["Id"])] for each in failed if not each.get("SenderFault"))


async def _facts(client: JsonClient, url: str) -> QueueFacts:
    answer = await client.call(
        "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}
    )
    return QueueFacts(int((answer.get("Attributes") or {}).get("VisibilityTimeout", 30)))


async def in_batches(messages: Sequence[str], call: Any) -> frozenset[str]:
    """What is left of `messages` after a batch call of each ten, side by side."""
    parts = [messages[start : start + BATCH_ENTRIES] for start in range(0, len(messages), BATCH_ENTRIES)]

    async def one(part: Sequence[str]) -> frozenset[str]:
        try:
            left: frozenset[str] = await call(part)
        except ServiceUnavailable:
            return frozenset(part)
        return left

    return frozenset().union(*await asyncio.gather(*(one(part) for part in parts)))
