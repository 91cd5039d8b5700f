"""One connection to Redis that sends all commands of an event-loop tick in one write.

The hot path of the broker. redis-py hands out one connection per command in flight; here everybody's
commands share one, so that a tick with 64 commands costs one system call each way. RESP3: published
messages arrive on the same connection, in order with the replies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import hiredis

from broker.errors import BrokerUnavailable

Argument = bytes | str | int | float
OnReply = Callable[[object], None]
OnPush = Callable[[bytes, bytes], None]
"""Channel and body of a published message."""


class CommandFailed(BrokerUnavailable):
    """Redis answered a command with an error: it has no memory or no disk left, most likely."""


class Wire(asyncio.Protocol):
    """One life of a connection; `broker.redis_broker.link` makes the next one when it is lost."""

    def __init__(self, on_push: OnPush, on_lost: Callable[[], None]) -> None:
        self._on_push = on_push
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[OnReply] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def send(self, arguments: tuple[Argument, ...], on_reply: OnReply) -> None:
        """Queue a command for this tick's write; `on_reply` gets its answer and must not raise."""
        if not self._outgoing:
            self._loop.call_soon(self.flush)
        self._outgoing.append(hiredis.pack_command(arguments))  # type: ignore[arg-type]
        self._waiting.append(on_reply)

    def flush(self) -> None:
        """Write what is queued now, before the tick ends."""
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None:
            self._transport.write(b"".join(outgoing))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        read, waiting = self._reader.gets, self._waiting
        while (answer := read()) is not False:
            if isinstance(answer, hiredis.PushNotification):
                if answer[0] == b"message":
                    self._on_push(answer[1], answer[2])
                elif answer[0] == b"subscribe":
                    waiting.popleft()(answer)
            else:
                waiting.popleft()(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        gone = BrokerUnavailable("the connection to Redis was lost; whether the command ran is unknown")
        waiting, self._waiting = self._waiting, deque()
        for on_reply in waiting:
            on_reply(gone)
        self._on_lost()

    def abort(self) -> None:
        """Drop the connection now; every waiting command gets BrokerUnavailable."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what is queued, then hang up."""
        if self._transport is not None:
            self.flush()
            self._transport.close()
