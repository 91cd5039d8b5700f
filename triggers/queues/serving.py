"""A queue served for as long as its trigger is ours: connected, and connected again with back-off."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from broker.settings import Settings
from triggers.events.kafka import kafka_event
from triggers.events.queue_messages import queue_event
from triggers.events.rabbitmq import rabbitmq_event
from triggers.queues.amqp_link import AmqpLink
from triggers.queues.consumer import QueueConsumer
from triggers.queues.kafka.address import KAFKA_SCHEMES, bootstrap_servers
from triggers.queues.kombu_link import KombuLink
from triggers.queues.message import QueueMessage, QueueSource, SourceUnavailable
from triggers.queues.redis_source import RedisSource
from triggers.queues.runs import Admits, BatchRuns, Invoke, MakeEvent
from triggers.queues.settings import AMQP_SCHEMES, PUBSUB_SCHEMES, REDIS_SCHEMES, QueueSettings
from triggers.queues.threaded_source import ThreadedSource

_FIRST_DELAY_SECONDS = 0.5
_LAST_DELAY_SECONDS = 30.0


async def serve_queue(
    queue: QueueSettings,
    trigger_id: str,
    installation: Settings,
    invoke: Invoke,
    report: Callable[[str], None],
) -> None:
    """Until cancelled. While the server is away it reports why and tries again, at most 30 seconds apart.

    `invoke` runs the function with an event and the trace that it carries on; raises RecursiveLoop, and any
    other BrokerError for what is not the messages' fault.
    """
    if queue.scheme in KAFKA_SCHEMES:
        await serve_topic(queue, queue.consumer_group or f"lightswitch-{trigger_id}", invoke, report)
    else:
        await _again_and_again(lambda: _serve_once(queue, trigger_id, installation, invoke, report), report)


async def serve_topic(
    queue: QueueSettings,
    group: str,
    invoke: Invoke,
    report: Callable[[str], None],
    *,
    admits: Admits | None = None,
    set_aside: bool = True,
) -> None:
    """As `serve_queue`, of Kafka: offsets are committed for `group`, records that `admits` refuses are passed
    over. Without `set_aside` a record that fails is run until it succeeds."""

    def make_event(messages: Sequence[QueueMessage]) -> object:
        return kafka_event([message.token for message in messages], servers)

    servers = bootstrap_servers(queue.url)
    runs = BatchRuns(queue, make_event, invoke, report, in_order=True, admits=admits)
    await _again_and_again(lambda: _serve_topic_once(queue, group, runs, report, set_aside), report)


async def _again_and_again(serve: Callable[[], Awaitable[None]], report: Callable[[str], None]) -> None:
    delay_seconds = _FIRST_DELAY_SECONDS
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            await serve()
        except SourceUnavailable as error:
            report(f"PROBLEM: {error}")
        if loop.time() - started > _LAST_DELAY_SECONDS:
            delay_seconds = _FIRST_DELAY_SECONDS
        await asyncio.sleep(delay_seconds * random.uniform(0.5, 1.0))
        delay_seconds = min(_LAST_DELAY_SECONDS, delay_seconds * 2)


async def _serve_once(
    queue: QueueSettings,
    trigger_id: str,
    installation: Settings,
    invoke: Invoke,
    report: Callable[[str], None],
) -> None:
    source = await open_source(queue, trigger_id)
    report("OK: reading the queue")
    try:
        await QueueConsumer(source, queue, _event_of(queue, installation), invoke, report).run()
    finally:
        await asyncio.shield(source.close())


async def _serve_topic_once(
    queue: QueueSettings, group: str, runs: BatchRuns, report: Callable[[str], None], set_aside: bool
) -> None:
    with _needing("kafka"):
        from triggers.queues.kafka.consumer import TopicConsumer
    consumer = await TopicConsumer.open(queue, group, runs, report, set_aside=set_aside)
    report("OK: reading the topic")
    try:
        await consumer.run()
    finally:
        await asyncio.shield(consumer.close())


async def open_source(queue: QueueSettings, trigger_id: str) -> QueueSource:
    """Connect in the way that suits the URL. Raises SourceUnavailable."""
    if queue.scheme in AMQP_SCHEMES:
        return await ThreadedSource.open(AmqpLink(queue), queue.queue)
    if queue.scheme in REDIS_SCHEMES:
        return await RedisSource.open(queue, trigger_id)
    if queue.scheme in PUBSUB_SCHEMES:
        with _needing("pubsub"):
            from triggers.queues.pubsub_source import PubSubSource
        return await PubSubSource.open(queue)
    return await ThreadedSource.open(KombuLink(queue), queue.queue)


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    """Imports what an extra brings. Raises SourceUnavailable where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise SourceUnavailable(
            f"this takes Lightswitch's extra {extra!r}: pip install --editable '.[{extra}]' ({error})"
        ) from error


def _event_of(queue: QueueSettings, installation: Settings) -> MakeEvent:
    """AWS's shape for AMQP, ours for all others (Kafka's is AWS's, too)."""
    arn = _broker_arn(queue, installation)

    def make_event(messages: Sequence[QueueMessage]) -> object:
        if queue.scheme in AMQP_SCHEMES:
            return rabbitmq_event(messages, queue.queue, queue.virtual_host, arn)
        transport = "redis" if queue.scheme in REDIS_SCHEMES else queue.scheme
        return queue_event(messages, queue.queue, transport)

    return make_event


def _broker_arn(queue: QueueSettings, installation: Settings) -> str:
    """Shaped like Amazon MQ's: named after the host, with an id that stays the same for it."""
    host = urlsplit(queue.url).hostname or "localhost"
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, host)
    return f"arn:aws:mq:{installation.region}:{installation.account_id}:broker:{host}:b-{identity}"
