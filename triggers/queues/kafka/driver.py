"""Kafka's driver: how clients are made, what its errors say, records as we hand them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from triggers.events.kafka import KafkaRecord
from triggers.queues.kafka.address import SECRET_OPTIONS, connection_properties, credentials
from triggers.queues.message import QueueMessage, SourceUnavailable
from triggers.queues.settings import MASK, QueueSettings, masked_url

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
_MOST_QUEUED_KB = 16_384
_FETCH_MS = 500
"""How long the broker waits for something new. A partition that was held back goes on only after that."""
_MOST_MESSAGE_BYTES = 100_000_000
"""The broker's own limit decides."""

OnError = Callable[[KafkaError], None]
OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]


def make_consumer(settings: QueueSettings, group: str, on_error: OnError, on_commit: OnCommit) -> Consumer:
    """Commits nothing by itself. A position that the topic has no more goes on with the oldest record: what
    lies between was deleted by the topic's own retention. Raises SourceUnavailable for properties that are
    not good."""
    properties = {
        "fetch.wait.max.ms": _FETCH_MS,
        "queued.max.messages.kbytes": _MOST_QUEUED_KB,
        "queued.min.messages": 500,
        **connection_properties(settings.url, settings.transport_options),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "error_cb": on_error,
        "on_commit": on_commit,
    }
    with translated(settings):
        return Consumer(properties)


def make_producer(settings: QueueSettings) -> Producer:
    """What it says is written is on all replicas that are in sync."""
    return Producer(
        {
            **_without_consuming(settings),
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.max.bytes": _MOST_MESSAGE_BYTES,
            "message.timeout.ms": int(ANSWER_SECONDS * 1000),
        }
    )


def make_topic(settings: QueueSettings, topic: str) -> None:
    """With the cluster's defaults for partitions and replicas, unless it exists. Raises SourceUnavailable."""
    client = AdminClient(_without_consuming(settings))
    with translated(settings):
        if client.list_topics(topic, CONNECT_SECONDS).topics[topic].error is None:
            return
    try:
        client.create_topics([NewTopic(topic, num_partitions=-1, replication_factor=-1)])[topic].result(
            ANSWER_SECONDS
        )
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        if reason.code() != KafkaError.TOPIC_ALREADY_EXISTS:
            why = described(settings, reason)
            raise SourceUnavailable(f"topic {topic} is not there and cannot be made; {why}") from error


def message_of(settings: QueueSettings, received: Message) -> QueueMessage:
    """As the producer wrote it; its token is the KafkaRecord."""
    kind, timestamp_ms = received.timestamp()
    headers: Any = received.headers() or ()  # pairs of a name and bytes
    record = KafkaRecord(
        topic=received.topic() or settings.queue,
        partition=received.partition() or 0,
        offset=received.offset() or 0,
        key=received.key(),
        value=received.value(),
        headers=tuple(headers),
        timestamp_ms=-1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        timestamp_type="CREATE_TIME" if kind == TIMESTAMP_CREATE_TIME else "LOG_APPEND_TIME",
    )
    return QueueMessage(
        body=record.value or b"",
        item_identifier=record.item_identifier,
        token=record,
        headers=dict(headers),
    )


@contextmanager
def translated(settings: QueueSettings) -> Iterator[None]:
    """Raises SourceUnavailable for the driver's errors."""
    try:
        yield
    except KafkaException as error:
        raise SourceUnavailable(described(settings, error.args[0])) from error


def described(settings: QueueSettings, error: KafkaError) -> str:
    """Where it happened, and what it was, without secrets."""
    said = f"{error.name()}: {error.str()}"
    _, password = credentials(settings.url)
    for secret in (password, *(settings.transport_options.get(name) for name in SECRET_OPTIONS)):
        said = said.replace(str(secret), MASK) if secret else said
    return f"{masked_url(settings.url)}: {said}"


def _without_consuming(settings: QueueSettings) -> dict[str, Any]:
    """Properties that producers know, too; the driver warns of others."""
    consuming = ("fetch.", "check.crcs", "isolation.", "max.partition.", "queued.", "client.rack")
    properties = connection_properties(settings.url, settings.transport_options)
    return {name: value for name, value in properties.items() if not name.startswith(consuming)}
