"""A function that stands in for a deployed one, and what it was given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from broker.caller import Target
from broker.invocation import Reply

Handler = Callable[[dict[str, Any]], Any]
"""What the function makes of an event; what it raises fails the run, a BrokerError the platform."""


class Function:
    """In the place of `broker.caller.Caller`: runs `handler` and remembers the events."""

    def __init__(self, handler: Handler = lambda event: None) -> None:
        self.events: list[dict[str, Any]] = []
        self.sent: list[tuple[Target, dict[str, Any]]] = []
        self.handler = handler
        self.seconds = 0.0
        """How long each run takes."""

    async def call(self, target: Target, payload: bytes) -> Reply:
        event = json.loads(payload)
        self.events.append(event)
        await asyncio.sleep(self.seconds)
        request_id = f"request-{len(self.events)}"
        try:
            answer = self.handler(event)
        except ValueError as error:
            return Reply(request_id, json.dumps({"errorMessage": str(error)}).encode(), "Unhandled")
        return Reply(request_id, json.dumps(answer).encode())

    async def send(self, target: Target, payload: bytes) -> str:
        self.sent.append((target, json.loads(payload)))
        return "request"

    @property
    def batches(self) -> list[list[str]]:
        """Ids of the items of each event."""
        return [ids(event) for event in self.events]

    @property
    def items(self) -> list[str]:
        """Ids of all items, in the order in which they came."""
        return [item for batch in self.batches for item in batch]


def ids(event: dict[str, Any]) -> list[str]:
    """Ids of the items whose changes an event carries."""
    return [record["dynamodb"]["Keys"]["id"]["S"] for record in event["Records"]]
