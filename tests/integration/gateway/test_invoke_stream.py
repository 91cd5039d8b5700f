"""What a caller of InvokeWithResponseStream sees when the platform, not the function, fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.interface import Consumer, Delivery
from broker.invocation import Reply
from tests.integration.gateway.conftest import RunningGateway

WAIT_SECONDS = 10


@pytest.fixture
def worker(gateway: RunningGateway) -> Iterator[Consumer]:
    consumer: Consumer = gateway.run(gateway.broker.consumer(16))
    yield consumer
    gateway.run(consumer.close())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def take(gateway: RunningGateway, worker: Consumer) -> Delivery:
    """The next delivery, acknowledged."""

    async def receive() -> Delivery:
        (delivery,) = await worker.receive(1, WAIT_SECONDS)
        await delivery.ack()
        return delivery

    taken: Delivery = gateway.run(receive())
    return taken


def fail(gateway: RunningGateway, delivery: Delivery, *, after: bytes) -> None:
    """Answer as the platform does for a worker that was lost, after some bytes."""
    asked = delivery.invocation

    async def answer() -> None:
        if after:
            gateway.broker.stream(asked.reply_to, asked.request_id).write(after)
        await gateway.broker.reply(asked.reply_to, Reply(asked.request_id, b"It was lost.", "Platform"))

    # The chunk leaves in the tick after its write; the reply queued later follows it on the connection.
    gateway.run(answer())


def test_a_worker_lost_before_the_first_byte_is_a_server_error(
    gateway: RunningGateway,
    worker: Consumer,
    client: Any,
    create: Callable[..., Any],
    name: str,
    pool: ThreadPoolExecutor,
) -> None:
    create()
    call = pool.submit(client.invoke_with_response_stream, FunctionName=name, Payload=b"{}")
    fail(gateway, take(gateway, worker), after=b"")
    with pytest.raises(ClientError, match="It was lost") as refusal:
        call.result(WAIT_SECONDS)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_worker_lost_in_the_middle_ends_the_stream_with_an_error(
    gateway: RunningGateway,
    worker: Consumer,
    client: Any,
    create: Callable[..., Any],
    name: str,
    pool: ThreadPoolExecutor,
) -> None:
    create()
    call = pool.submit(client.invoke_with_response_stream, FunctionName=name, Payload=b"{}")
    delivery = take(gateway, worker)
    fail(gateway, delivery, after=b"begun")
    events = list(call.result(WAIT_SECONDS)["EventStream"])
    assert events == [
        {"PayloadChunk": {"Payload": b"begun"}},
        {"InvokeComplete": {"ErrorCode": "ServiceException", "ErrorDetails": "It was lost."}},
    ]


def test_an_event_cannot_be_streamed(client: Any, create: Callable[..., Any], name: str) -> None:
    create()
    with pytest.raises(ClientError, match="enum value set"):
        client.invoke_with_response_stream(FunctionName=name, InvocationType="Event", Payload=b"{}")
