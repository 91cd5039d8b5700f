"""A batch on its way into the environment: one HTTP request, or lines over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from worker.telemetry.subscription import Subscription

Connect = Callable[[int], Awaitable[socket.socket]]
"""A connection to a port of the environment's loopback. Raises OSError."""

MOST_ANSWER_BYTES = 65_536
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


class NotDelivered(Exception):
    """The extension did not take the batch."""


class Sender(Protocol):
    """Takes batches to one subscriber."""

    async def send(self, events: Sequence[bytes]) -> None:
        """Returns when the extension has them, as far as its protocol tells. Raises NotDelivered."""

    def close(self) -> None:
        """Hang up. Idempotent."""


def sender_for(subscription: Subscription, connect: Connect) -> Sender:
    """The sender that the subscription asks for."""
    if subscription.protocol == "HTTP":
        return HttpSender(subscription, connect)
    return TcpSender(subscription, connect)


class HttpSender:
    """A JSON array in a request of its own, on a connection of its own: any server can take that."""

    def __init__(self, subscription: Subscription, connect: Connect) -> None:
        self._subscription = subscription
        self._connect = connect

    async def send(self, events: Sequence[bytes]) -> None:
        body = b"[" + b",".join(events) + b"]"
        head = (
            f"{self._subscription.method} {self._subscription.path} HTTP/1.1\r\n"
            f"Host: sandbox.localdomain:{self._subscription.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            status = await self._exchange(head.encode() + body)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise NotDelivered(str(error)) from error
        if not 200 <= status < 300:
            raise NotDelivered(f"the listener answered {status}")

    async def _exchange(self, request: bytes) -> int:
        connection = await self._connect(self._subscription.port)
        reader, writer = await asyncio.open_connection(sock=connection, limit=MOST_ANSWER_BYTES)
        try:
            writer.write(request)
            await writer.drain()
            first = STATUS_LINE.match(await reader.readuntil(b"\r\n"))
            if first is None:
                raise NotDelivered("the listener does not speak HTTP")
            await reader.read(MOST_ANSWER_BYTES)
            return int(first[1])
        finally:
            writer.close()

    def close(self) -> None:
        """No connection outlives its batch."""


class TcpSender:
    """Lines of JSON over one connection, made anew when it is lost."""

    def __init__(self, subscription: Subscription, connect: Connect) -> None:
        self._port = subscription.port
        self._connect = connect
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, events: Sequence[bytes]) -> None:
        try:
            if self._writer is None:
                connection = await self._connect(self._port)
                _, self._writer = await asyncio.open_connection(sock=connection)
            self._writer.write(b"".join(event + b"\n" for event in events))
            await self._writer.drain()
        except OSError as error:
            self.close()
            raise NotDelivered(str(error)) from error

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None
