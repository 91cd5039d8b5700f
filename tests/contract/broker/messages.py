"""What every file of the suite sends, and how it takes what comes."""

from __future__ import annotations

import asyncio

import msgspec

from broker.interface import Consumer, Delivery
from broker.invocation import (
    Invocation,
    Kind,
    Outcome,
    Sequel,
    Tell,
    new_request_id,
    now_ms,
)

WAIT_SECONDS = 5.0
RECOVERY_SECONDS = 10.0


def invocation(
    kind: Kind = "async", function: str = "f", payload: bytes = b"{}", reply_to: str = ""
) -> Invocation:
    now = now_ms()
    return Invocation(
        new_request_id(),
        kind,
        function,
        "$LATEST",
        1,
        f"arn:{function}",
        payload,
        now,
        now + 60_000,
        reply_to,
    )


def outcome_of(done: Invocation) -> Outcome:
    return Outcome(done.request_id, done.function_name, "$LATEST", "succeeded", 1, 1, now_ms())


def ended(done: Invocation) -> Invocation:
    """What is left of it once its function has run."""
    outcome = msgspec.structs.replace(outcome_of(done), finished_ms=done.accepted_ms)
    return msgspec.structs.replace(done, sequel=Sequel(outcome, "Success", (Tell("arn", "record"),)))


async def take(consumer: Consumer, count: int, within_seconds: float = WAIT_SECONDS) -> list[Delivery]:
    got: list[Delivery] = []
    async with asyncio.timeout(within_seconds):
        while len(got) < count:
            got += await consumer.receive(count - len(got), 1.0)
    return got


async def take_one(consumer: Consumer, within_seconds: float = WAIT_SECONDS) -> Delivery:
    return (await take(consumer, 1, within_seconds))[0]


async def nothing_comes(consumer: Consumer) -> bool:
    return list(await consumer.receive(1, 0.3)) == []
