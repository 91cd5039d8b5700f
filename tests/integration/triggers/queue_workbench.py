"""A mapping of a real queue server, served in the test's process, with a function made of Python."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import boto3
import msgspec

from broker.caller import Trace
from broker.errors import FunctionNotFound
from broker.invocation import Reply, new_request_id
from broker.registry.memory_registry import MemoryRegistry
from broker.registry.model import FunctionConfig, FunctionRecord
from broker.settings import Settings
from broker.trigger_store.memory_store import MemoryTriggerStore
from broker.trigger_store.model import TriggerRecord
from tests.waiting import until
from triggers.event_source_mapping.adapter import KIND, EventSourceMappings
from triggers.event_source_mapping.settings import MappingSettings
from triggers.interface import RunningTrigger

FUNCTION = "orders"

Function = Callable[[list[dict[str, Any]]], Any]
"""Takes an event's records; gives the answer, plain or awaitable; an exception is a function error."""


@dataclass(slots=True)
class Served:
    """What a mapping has done so far."""

    registry: MemoryRegistry
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    @property
    def bodies(self) -> list[str]:
        """Of all records that the function was called with, in order."""
        return [record["body"] for batch in self.batches for record in batch]

    @property
    def receipts(self) -> list[str]:
        """Receipt handles of the same: one for each delivery of a message."""
        return [record["receiptHandle"] for batch in self.batches for record in batch]

    async def until_called(self, messages: int, within_seconds: float = 15) -> None:
        await until(lambda: len(self.bodies) >= messages, within_seconds)

    async def until_reported(self, words: str, within_seconds: float = 15) -> None:
        await until(lambda: bool(self.reports) and words in self.reports[-1], within_seconds)


class QueueServer:
    """Queues of one SQS server, as boto3 sees them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqs = boto3.client(
            "sqs",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def create(self, name: str, **attributes: str) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        if name.endswith(".fifo"):
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        url: str = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        asked = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, asked["Attributes"]["QueueArn"]

    def send(self, url: str, bodies: list[str], group: str = "", **more: Any) -> None:
        for start in range(0, len(bodies), 10):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": body,
                    **({"MessageGroupId": group} if group else {}),
                    **more,
                }
                for number, body in enumerate(bodies[start : start + 10])
            ]
            self.sqs.send_message_batch(QueueUrl=url, Entries=entries)

    def left(self, url: str) -> int:
        """Messages that are in the queue, visible or not."""
        return sum(self._counts(url))

    def hidden(self, url: str) -> int:
        """Messages that somebody has received."""
        return self._counts(url)[1]

    def _counts(self, url: str) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(asked[names[0]]), int(asked[names[1]])

    async def until_empty(self, url: str, within_seconds: float = 15) -> None:
        async with asyncio.timeout(within_seconds):
            while await asyncio.to_thread(self.left, url):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(server_url: str, arn: str, function: Function, **parameters: Any) -> AsyncIterator[Served]:
    """A mapping in service until the block is left."""
    registry = MemoryRegistry()
    await registry.create(function_record())
    served = Served(registry)
    settings = MappingSettings(event_source_arn=arn, **parameters)
    trigger = RunningTrigger(
        record=TriggerRecord("mapping", KIND, FUNCTION, msgspec.Raw(msgspec.json.encode(settings))),
        owner="test",
        caller=cast(Any, _Caller(function, served)),
        registry=registry,
        store=MemoryTriggerStore(),
        settings=Settings(
            "unix:///nowhere", Path("/nowhere"), "", endpoint_urls={"AWS_ENDPOINT_URL_SQS": server_url}
        ),
        report=served.reports.append,
    )
    adapter = EventSourceMappings()
    task = asyncio.create_task(adapter.run(trigger))
    try:
        yield served
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        adapter.close()
        await asyncio.sleep(0)  # connections close in the loop's next round


def function_record() -> FunctionRecord:
    config = FunctionConfig("$LATEST", "python3.11", "app.handler", "role", "", 0, "", "1")
    return FunctionRecord(FUNCTION, 1, config)


class _Caller:
    """Calls the test's function as `broker.caller.Caller` would call a deployed one."""

    def __init__(self, function: Function, served: Served) -> None:
        self._function = function
        self._served = served

    async def call(self, target: object, payload: bytes, *, trace: Trace) -> Reply:
        if self._served.registry.cached(FUNCTION) is None:
            raise FunctionNotFound(FUNCTION)
        records = json.loads(payload)["Records"]
        self._served.batches.append(records)
        self._served.headers.append(trace.header)
        try:
            answer = self._function(records)
            if inspect.isawaitable(answer):
                answer = await answer
        except FunctionError as error:
            return Reply(new_request_id(), json.dumps({"errorMessage": str(error)}).encode(), "Unhandled")
        return Reply(new_request_id(), json.dumps(answer).encode())


class FunctionError(Exception):
    """What a handler raised."""
