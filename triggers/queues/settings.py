"""What a queue trigger is told: which queue, how much at a time, what follows a failure."""

from __future__ import annotations

from copy import copy
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import force_setattr

from triggers.interface import TriggerSettings
from triggers.queues.kafka.address import KAFKA_SCHEMES, bootstrap_servers, refuse_unknown

AMQP_SCHEMES = ("amqp", "amqps")
REDIS_SCHEMES = ("redis", "rediss", "unix")
PUBSUB_SCHEMES = ("gcpubsub",)
KOMBU_SCHEMES = ("sqs", "azureservicebus")
"""Reached by kombu's transports; azureservicebus needs packages of its own, which kombu's extra names."""
_LOSING_SCHEMES = ("azurestoragequeues",)
"""Not read: kombu's transport deletes a message before it hands it over (`Channel._get`)."""
MASK = "****"

_MOST_BATCH_SIZE = 10_000
_MOST_WINDOW_SECONDS = 300.0


class QueueSettings(TriggerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` holds credentials: show only `masked()`. Raises ValueError for what cannot work.

    `prefetch` 0 is twice what can run at a time, at least 20: a message waits in hand for one other run, so
    that both end before RabbitMQ's consumer_timeout of 30 minutes. `dead_letter_queue` "" is
    `QUEUE.dead-letter`.
    """

    url: str
    queue: str
    batch_size: int = 1
    batching_window_seconds: float = 0.0
    exchange: str = ""
    exchange_type: Literal["topic", "fanout", "direct"] = "topic"
    routing_key: str = ""
    prefetch: int = 0
    max_concurrency: int = 10
    max_receives: int = 5
    retry_delay_seconds: float = 1.0
    dead_letter_queue: str = ""
    report_batch_item_failures: bool = False
    transport_options: dict[str, Any] = msgspec.field(default_factory=dict)
    """kombu's, e.g. `region` and `is_secure` for SQS; for Kafka librdkafka's, e.g. `sasl.mechanism`. They may
    hold secrets, so their values are masked."""
    consumer_group: str = ""
    """Kafka: under which name offsets are committed; "" is one of the trigger's own."""
    starting_position: Literal["TRIM_HORIZON", "LATEST"] = "TRIM_HORIZON"
    """Kafka: where to begin in partitions of which nothing is committed: with the oldest record, or with what
    comes after the topic was first reached."""

    def __post_init__(self) -> None:
        if self.scheme in _LOSING_SCHEMES:
            raise ValueError(
                f"url has the scheme {self.scheme!r}, which queue triggers do not read: kombu's transport"
                " deletes what it has read, and so would lose messages"
            )
        schemes = (*AMQP_SCHEMES, *REDIS_SCHEMES, *KAFKA_SCHEMES, *PUBSUB_SCHEMES, *KOMBU_SCHEMES)
        if self.scheme not in schemes:
            known = ", ".join(schemes)
            raise ValueError(f"url has the scheme {self.scheme!r}; queue triggers read from: {known}")
        if f"://{MASK}@" in self.url:
            raise ValueError(f"url is {self.url!r}, which is masked; give it with its credentials")
        if not self.queue:
            raise ValueError("queue is empty; name the queue to read from")
        if self.dead_letter_queue == self.queue:
            raise ValueError(f"dead_letter_queue is {self.queue!r}, the queue itself; name another one")
        if self.exchange and self.scheme in REDIS_SCHEMES:
            raise ValueError("exchange is for AMQP; Redis lists have no exchanges")
        configurable = (*KAFKA_SCHEMES, *KOMBU_SCHEMES)
        if self.transport_options and self.scheme not in configurable:
            raise ValueError(f"transport_options are for {', '.join(configurable)}; not for {self.scheme}")
        if MASK in self.transport_options.values():
            raise ValueError("transport_options are masked; give them with their values")
        if self.scheme in PUBSUB_SCHEMES and not self.project:
            raise ValueError(f"url is {self.url!r}; name the project: gcpubsub://projects/NAME")
        self._check_kafka()
        self._check_numbers()

    def _check_kafka(self) -> None:
        if self.scheme in KAFKA_SCHEMES:
            bootstrap_servers(self.url)
            refuse_unknown(self.transport_options)
            if self.exchange:
                raise ValueError("exchange is for AMQP; a topic of Kafka is named by queue")
        elif self.consumer_group or self.starting_position != "TRIM_HORIZON":
            raise ValueError(f"consumer_group and starting_position are for Kafka; not for {self.scheme}")

    def _check_numbers(self) -> None:
        _between("batch_size", self.batch_size, 1, _MOST_BATCH_SIZE)
        _between("batching_window_seconds", self.batching_window_seconds, 0, _MOST_WINDOW_SECONDS)
        _between("prefetch", self.prefetch, 0, 65_535)
        _between("max_concurrency", self.max_concurrency, 1, 1000)
        _between("max_receives", self.max_receives, 1, 1000)
        _between("retry_delay_seconds", self.retry_delay_seconds, 0.01, 60)
        if 0 < self.prefetch < self.batch_size:
            raise ValueError(
                f"prefetch {self.prefetch} is below batch_size {self.batch_size}: no batch fills"
            )

    @property
    def scheme(self) -> str:
        """Of the URL, which names the technology."""
        return self.url.partition("://")[0].lower()

    @property
    def exclusive_key(self) -> str:
        """Offsets that two triggers commit under one name would make either skip what the other has done."""
        if not self.consumer_group:
            return ""
        return f"{bootstrap_servers(self.url)}/{self.queue}/{self.consumer_group}"

    @property
    def virtual_host(self) -> str:
        """Of an AMQP URL; `/` where none is given."""
        return unquote(urlsplit(self.url).path.removeprefix("/")) or "/"

    @property
    def project(self) -> str:
        """Of a Pub/Sub URL, `gcpubsub://projects/NAME`."""
        return self.url.partition("://")[2].removeprefix("projects/").strip("/")

    @property
    def window(self) -> int:
        """How many messages may be in hand at once; on Kafka, of each partition."""
        if self.scheme in KAFKA_SCHEMES:
            return self.prefetch or max(2000, 4 * self.batch_size)  # to read on takes a while
        return self.prefetch or min(65_535, max(20, 2 * self.batch_size * self.max_concurrency))

    @property
    def dead_letters(self) -> str:
        """Name of the dead-letter queue."""
        return self.dead_letter_queue or f"{self.queue}.dead-letter"

    def masked(self) -> Self:
        """Without the URL's credentials and query, and the values of transport options."""
        shown = copy(self)  # `replace` would check it, and refuse the mask
        force_setattr(shown, "url", masked_url(self.url))
        force_setattr(shown, "transport_options", dict.fromkeys(self.transport_options, MASK))
        return shown


def masked_url(url: str) -> str:
    """The URL with a mask for user and password, without query and fragment."""
    scheme, _, rest = url.partition("://")
    rest = rest.partition("?")[0].partition("#")[0]
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{MASK}@{place}" if at and credentials else f"{scheme}://{place}"


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value:g}; it must be between {least:g} and {most:g}")
