"""The blocking side of a queue on any other transport of kombu, used by the one thread that owns it.

Written by kombu, messages come in its envelope, and it opens them. Whether what it puts back or dead-letters
is safe before the original is acknowledged is the transport's promise: it is where publishing waits for the
server, as on SQS.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer, Producer

from triggers.queues.message import (
    FAILURES_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    QueueMessage,
    SourceUnavailable,
)
from triggers.queues.settings import MASK, QueueSettings, masked_url

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 1.0
_READ_WHILE_BUSY_SECONDS = 0.1
"""Nothing wakes a thread that waits in a transport, so it looks up more often while something is in hand."""

_DEFAULT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # Long polls, but short enough that acknowledgements and the end need not wait for long.
    "sqs": {"wait_time_seconds": 2, "polling_interval": 0},
    # A lock lasts a minute, runs may last longer.
    "azureservicebus": {"wait_time_seconds": 2, "use_lock_renewal": True},
}
_TRANSPORTS_OWN = ("delivery_info", "delivery_tag", "body_encoding", "delivery_mode", "priority")


class KombuLink:
    """Open, then `read` and settle, then close. All raise SourceUnavailable for any failure."""

    def __init__(self, settings: QueueSettings) -> None:
        self._settings = settings
        self._numbers = itertools.count(1)
        self._arrived: list[QueueMessage] = []
        self._in_hand = 0
        self._connection: Any = None
        self._producer: Any = None

    def open(self) -> None:
        """Connect, make what does not exist yet, consume."""
        settings = self._settings
        options = {**_DEFAULT_OPTIONS.get(settings.scheme, {}), **settings.transport_options}
        with self._translated():
            self._connection = Connection(
                settings.url, transport_options=options, connect_timeout=_CONNECT_SECONDS
            )
            channel = self._connection.channel()
            exchange = Exchange(settings.exchange, settings.exchange_type if settings.exchange else "direct")
            queue = Queue(settings.queue, exchange, routing_key=settings.routing_key or settings.queue)
            Queue(settings.dead_letters, Exchange(""), routing_key=settings.dead_letters)(channel).declare()
            consumer = Consumer(channel, [queue], on_message=self._on_message, prefetch_count=settings.window)
            consumer.consume()
            self._producer = Producer(channel)

    def read(self, wake_fd: int) -> Sequence[QueueMessage]:
        """Wait a moment for messages; those that came. `wake_fd` is not looked at."""
        with self._translated(), contextlib.suppress(TimeoutError):
            self._connection.drain_events(
                timeout=_READ_WHILE_BUSY_SECONDS if self._in_hand else _READ_SECONDS
            )
        arrived, self._arrived = self._arrived, []
        self._in_hand += len(arrived)
        return arrived

    def ack(self, messages: Sequence[QueueMessage]) -> None:
        """Forget them at the server."""
        with self._translated():
            for message in messages:
                message.token.ack()
        self._in_hand -= len(messages)

    def retry(self, message: QueueMessage) -> None:
        """A copy with one more failure at the end of the queue, then forget this one."""
        self._publish(self._settings.queue, message, {FAILURES_HEADER: message.failures + 1})

    def dead_letter(self, message: QueueMessage, reason: str) -> None:
        """A copy in the dead-letter queue, then forget this one."""
        more = {
            FAILURES_HEADER: message.failures + 1,
            REASON_HEADER: reason[:1000],
            QUEUE_HEADER: self._settings.queue,
        }
        self._publish(self._settings.dead_letters, message, more)

    def close(self) -> None:
        """Never raises. What is in hand comes again: at once, or after the transport's visibility timeout."""
        if self._connection is not None:
            with contextlib.suppress(Exception):  # a broken connection may fail in any way; it is done with
                self._connection.close()

    def _publish(self, queue: str, message: QueueMessage, more: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in message.properties.items() if name not in _TRANSPORTS_OWN}
        with self._translated():
            self._producer.publish(
                message.body,
                routing_key=queue,
                headers={**message.headers, **more},
                content_type=kept.pop("content_type", None) or "application/octet-stream",
                content_encoding=kept.pop("content_encoding", None) or "binary",
                **kept,
            )
        self.ack([message])

    def _on_message(self, message: Any) -> None:
        headers = dict(message.headers or {})
        failures = headers.pop(FAILURES_HEADER, 0)
        properties = {
            name: value for name, value in (message.properties or {}).items() if name not in _TRANSPORTS_OWN
        }
        kinds = {"content_type": message.content_type, "content_encoding": message.content_encoding}
        body = message.body
        self._arrived.append(
            QueueMessage(
                body=body.encode() if isinstance(body, str) else bytes(body or b""),
                item_identifier=str(next(self._numbers)),
                token=message,
                headers=headers,
                properties={**properties, **kinds},
                redelivered=bool((message.delivery_info or {}).get("redelivered")),
                failures=failures if isinstance(failures, int) and failures > 0 else 0,
            )
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise
        except Exception as error:  # each transport has errors of its own driver
            place = masked_url(self._settings.url)
            raise SourceUnavailable(f"{place}: {type(error).__name__}: {self._redacted(error)}") from error

    def _redacted(self, error: Exception) -> str:
        text = str(error).replace(self._settings.url, masked_url(self._settings.url))
        password = urlsplit(self._settings.url).password
        return text.replace(password, MASK).replace(unquote(password), MASK) if password else text
