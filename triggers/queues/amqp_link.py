"""The blocking side of an AMQP queue: one connection, used by the one thread that owns it.

A second channel, with publisher confirms, carries what is put back or dead-lettered: the server has such a
copy on its books before the original is acknowledged.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import amqp
from amqp.exceptions import AMQPError, MessageNacked, NotFound
from kombu.connection import Connection
from kombu.exceptions import KombuError

from triggers.queues.message import (
    FAILURES_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    NotPlaced,
    QueueMessage,
    SourceUnavailable,
)
from triggers.queues.settings import QueueSettings, masked_url

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_HEARTBEAT_SECONDS = 20
_TICK_SECONDS = 5.0
_MOST_FRAMES = 300
"""Frames that are read before what was asked of the thread meanwhile is done."""

_NOT_REPUBLISHED = ("application_headers", "user_id")
"""RabbitMQ closes the channel of who publishes another user's id."""


class AmqpLink:
    """Open, then `read` and settle, then close. All raise SourceUnavailable when the connection is lost."""

    def __init__(self, settings: QueueSettings) -> None:
        self._settings = settings
        self._numbers = itertools.count(1)
        self._arrived: list[QueueMessage] = []
        self._returned: list[str] = []
        self._ticked_at = 0.0
        self._kombu: Any = None
        self._connection: Any = None
        self._channel: Any = None
        self._publisher: Any = None

    def open(self) -> None:
        """Connect, make what does not exist yet (queue, exchange, binding, dead-letter queue), consume."""
        with self._translated():
            self._kombu = Connection(
                self._settings.url, heartbeat=_HEARTBEAT_SECONDS, connect_timeout=_CONNECT_SECONDS
            )
            self._kombu.connect()
            self._connection = self._kombu.connection
            self._declare()
            self._publisher = self._connection.channel()
            self._publisher.events["basic_return"].add(self._on_return)
            self._channel = self._connection.channel()
            self._channel.auto_decode = False
            # For each consumer: quorum queues know no limit for a whole channel.
            self._channel.basic_qos(0, self._settings.window, False)
            self._channel.basic_consume(
                self._settings.queue, callback=self._on_message, on_cancel=self._on_cancel
            )

    def read(self, wake_fd: int, seconds: float = _TICK_SECONDS) -> Sequence[QueueMessage]:
        """Wait until something arrives or `wake_fd` is readable; the messages that came."""
        with self._translated():
            self._tick()
            # Messages also come in while a publish waits for its confirm: those are handed on at once.
            if self._readable(wake_fd, 0 if self._arrived else seconds):
                for _ in range(_MOST_FRAMES):
                    self._connection.blocking_read(_ANSWER_SECONDS)
                    if not self._readable(None, 0):
                        break
        arrived, self._arrived = self._arrived, []
        return arrived

    def ack(self, messages: Sequence[QueueMessage]) -> None:
        """Forget them at the server."""
        with self._translated():
            for message in messages:
                self._channel.basic_ack(message.token)

    def retry(self, message: QueueMessage) -> None:
        """A copy with one more failure at the end of the queue, then forget this one. Raises NotPlaced."""
        headers = {**message.headers, FAILURES_HEADER: message.failures + 1}
        self._publish(self._settings.queue, message, headers, dict(message.properties))
        self.ack([message])

    def dead_letter(self, message: QueueMessage, reason: str) -> None:
        """A copy in the dead-letter queue, then forget this one. Raises NotPlaced."""
        headers = {
            **message.headers,
            FAILURES_HEADER: message.failures + 1,
            REASON_HEADER: reason[:1000],
            QUEUE_HEADER: self._settings.queue,
        }
        properties = {key: value for key, value in message.properties.items() if key != "expiration"}
        self._publish(self._settings.dead_letters, message, headers, properties)
        self.ack([message])

    def close(self) -> None:
        """The server gives what is not acknowledged to others. Never raises."""
        if self._kombu is not None:
            with contextlib.suppress(Exception):  # a broken connection may fail in any way; it is done with
                self._kombu.close()

    def _publish(
        self, queue: str, message: QueueMessage, headers: Mapping[str, Any], properties: dict[str, Any]
    ) -> None:
        kept = {key: value for key, value in properties.items() if key not in _NOT_REPUBLISHED}
        kept["delivery_mode"] = 2
        copy = amqp.Message(message.body, application_headers=dict(headers), **kept)
        self._returned.clear()
        with self._translated():
            try:
                self._publisher.basic_publish_confirm(
                    copy, "", queue, mandatory=True, confirm_timeout=_ANSWER_SECONDS
                )
            except MessageNacked as error:
                raise NotPlaced(f"queue {queue} takes no more messages; make room there") from error
        if self._returned:
            raise NotPlaced(f"there is no queue {queue} to put a message into: {self._returned[0]}")

    def _declare(self) -> None:
        settings = self._settings
        self._declare_queue(settings.queue)
        self._declare_queue(settings.dead_letters)
        if settings.exchange:
            if self._missing(lambda channel: channel.exchange_declare(settings.exchange, "", passive=True)):
                with self._connection.channel() as channel:
                    channel.exchange_declare(
                        settings.exchange, settings.exchange_type, durable=True, auto_delete=False
                    )
            with self._connection.channel() as channel:
                channel.queue_bind(settings.queue, settings.exchange, settings.routing_key)

    def _declare_queue(self, name: str) -> None:
        """Make it, durable, unless it exists with whatever arguments."""
        if self._missing(lambda channel: channel.queue_declare(name, passive=True)):
            with self._connection.channel() as channel:
                channel.queue_declare(name, durable=True, auto_delete=False)

    def _missing(self, look: Callable[[Any], object]) -> bool:
        """The server closes the channel of who looks for what does not exist."""
        channel = self._connection.channel()
        try:
            look(channel)
        except NotFound:
            return True
        channel.close()
        return False

    def _on_message(self, message: Any) -> None:
        properties = dict(message.properties)
        headers = properties.pop("application_headers", None) or {}
        body = message.body
        self._arrived.append(
            QueueMessage(
                body=body.encode() if isinstance(body, str) else bytes(body),
                item_identifier=str(next(self._numbers)),
                token=message.delivery_info["delivery_tag"],
                headers={name: value for name, value in headers.items() if name != FAILURES_HEADER},
                properties=properties,
                redelivered=bool(message.delivery_info["redelivered"]),
                failures=_count(headers.get(FAILURES_HEADER)),
            )
        )

    def _on_cancel(self, _consumer_tag: str) -> None:
        raise SourceUnavailable(
            f"the server ended our reading of queue {self._settings.queue}: was it deleted?"
        )

    def _on_return(self, error: Exception, *_: object) -> None:
        self._returned.append(str(error))

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._ticked_at >= _TICK_SECONDS:
            self._ticked_at = now
            self._connection.heartbeat_tick()

    def _readable(self, wake_fd: int | None, seconds: float) -> bool:
        """Whether the connection has something; false also when only `wake_fd` has."""
        sock = self._connection.sock
        if sock is None:
            raise SourceUnavailable(f"{masked_url(self._settings.url)} closed the connection")
        if hasattr(sock, "pending") and sock.pending():
            return True
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        if wake_fd is not None:
            poller.register(wake_fd, select.POLLIN)
        return any(fd != wake_fd for fd, _ in poller.poll(seconds * 1000))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (AMQPError, OSError, KombuError, AttributeError) as error:
            # AttributeError: the driver's own, when a connection goes away under it.
            place = masked_url(self._settings.url)
            raise SourceUnavailable(f"{place}: {type(error).__name__}: {error}") from error


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
