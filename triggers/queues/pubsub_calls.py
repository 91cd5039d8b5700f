"""What a queue trigger asks of Google Cloud Pub/Sub, from the loop. It takes the extra `pubsub`.

kombu's transport is not used: it reads only what kombu has written, acknowledges fan-out messages as it
receives them, and does not wait until what it publishes is accepted, so a dead letter could be lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

import google.auth
import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1.services.publisher import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from triggers.queues.message import SourceUnavailable
from triggers.queues.settings import QueueSettings

ACK_DEADLINE_SECONDS = 60
_ANSWER_SECONDS = 10.0
_PULL_SECONDS = 60.0
_MOST_IDS = 1000
_EMULATOR = "PUBSUB_EMULATOR_HOST"
"""Google's own name of it: where a Pub/Sub is that asks for no credentials."""


class PubSub:
    """One subscription of one project, with the credentials that Google's libraries find. Made by `connect`.
    All raise SourceUnavailable."""

    _subscriber: Any
    _publisher: Any

    def __init__(self, settings: QueueSettings) -> None:
        self._project = settings.project
        self._subscription = self._path("subscriptions", settings.queue)

    @classmethod
    async def connect(cls, settings: QueueSettings) -> Self:
        calls = cls(settings)
        with calls._translated():
            calls._subscriber, calls._publisher = await _clients()
        return calls

    async def make_ready(self, topic: str, dead_letters: str) -> None:
        """Make what is missing: the subscription, if its topic is named, and a place for dead letters, which
        is a topic and a subscription that keeps what is published there."""
        if topic:
            await self._make_subscription(self._subscription, self._path("topics", topic))
        place = self._path("topics", dead_letters)
        with self._translated(), suppress(exceptions.AlreadyExists):
            await self._publisher.create_topic(name=place, retry=None, timeout=_ANSWER_SECONDS)
        await self._make_subscription(self._path("subscriptions", dead_letters), place)

    async def pull(self, most: int) -> Sequence[Any]:
        """Messages as Pub/Sub gives them, as soon as there are some; none after a minute."""
        with self._translated():
            try:
                answer = await self._subscriber.pull(
                    subscription=self._subscription, max_messages=most, retry=None, timeout=_PULL_SECONDS
                )
            except exceptions.DeadlineExceeded:
                return []
        return list(answer.received_messages)

    async def acknowledge(self, ack_ids: Sequence[str]) -> None:
        with self._translated():
            for some in _portions(ack_ids):
                await self._subscriber.acknowledge(
                    subscription=self._subscription, ack_ids=some, retry=None, timeout=_ANSWER_SECONDS
                )

    async def keep(self, ack_ids: Sequence[str], seconds: int = ACK_DEADLINE_SECONDS) -> None:
        """Have them to ourselves for so long; 0 gives them back at once."""
        with self._translated():
            for some in _portions(ack_ids):
                await self._subscriber.modify_ack_deadline(
                    subscription=self._subscription,
                    ack_ids=some,
                    ack_deadline_seconds=seconds,
                    retry=None,
                    timeout=_ANSWER_SECONDS,
                )

    async def publish(self, topic: str, message: dict[str, Any]) -> None:
        """Return when Pub/Sub has accepted it."""
        with self._translated():
            await self._publisher.publish(
                topic=self._path("topics", topic), messages=[message], retry=None, timeout=_ANSWER_SECONDS
            )

    async def close(self) -> None:
        await self._subscriber.transport.close()
        await self._publisher.transport.close()

    async def _make_subscription(self, path: str, topic: str) -> None:
        request = {
            "name": path,
            "topic": topic,
            "ack_deadline_seconds": ACK_DEADLINE_SECONDS,
            "expiration_policy": {},  # it never expires
        }
        with self._translated(), suppress(exceptions.AlreadyExists):
            await self._subscriber.create_subscription(request, retry=None, timeout=_ANSWER_SECONDS)

    def _path(self, collection: str, name: str) -> str:
        return f"projects/{self._project}/{collection}/{name}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exceptions.GoogleAPIError, GoogleAuthError, grpc.RpcError) as error:
            raise SourceUnavailable(
                f"Pub/Sub, {self._subscription}: {type(error).__name__}: {error}"
            ) from error


def _portions(ack_ids: Sequence[str]) -> list[list[str]]:
    """A request may have half a megabyte."""
    return [list(ack_ids[start : start + _MOST_IDS]) for start in range(0, len(ack_ids), _MOST_IDS)]


async def _clients() -> tuple[Any, Any]:
    """A subscriber and a publisher."""
    if place := os.environ.get(_EMULATOR):
        subscriber = SubscriberGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(place))
        publisher = PublisherGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(place))
        return SubscriberAsyncClient(transport=subscriber), PublisherAsyncClient(transport=publisher)
    # On a machine that is none of Google's it asks the network for some ten seconds who it is.
    credentials, _ = await asyncio.to_thread(google.auth.default)
    return SubscriberAsyncClient(credentials=credentials), PublisherAsyncClient(credentials=credentials)
