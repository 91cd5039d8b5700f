"""One keep-alive HTTP connection that always has one request under way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Protocol, cast

import httptools
import msgspec

from tests.benchmarks.load.calls import Call


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """One answer, kept where a scenario looks at answers itself. Times are `time.time()`."""

    sent_at: float
    done_at: float
    status: int
    request_id: str
    body: bytes


class Sink(Protocol):
    """Where a connection gets its calls and leaves what came of them."""

    def next_call(self) -> Call | None:
        """The next request to send; None when there is none left."""

    def done(self, sent_at: float, right: bool) -> None:
        """An answer came (`sent_at` by `time.perf_counter()`)."""

    def broken(self, reason: str) -> None:
        """The connection ended with a request under way."""

    keeping: bool
    """Whether `keep` wants the answers."""

    def keep(self, answer: Answered) -> None: ...


class Connection(asyncio.Protocol):
    """Sends, checks the answer, sends the next."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._call: Call | None = None
        self._sent_at = 0.0
        self._body = bytearray()
        self._request_id = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def start(self) -> None:
        """Send the first request."""
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._call = self._sink.next_call()
        if self._call is None:
            self._transport.close()
            return
        self._body.clear()
        self._sent_at = time.perf_counter()
        self._transport.write(self._call.request)

    def data_received(self, data: bytes) -> None:
        if self._is_right(data):
            self._answered(right=True)
        else:
            self._parser.feed_data(data)

    def _is_right(self, data: bytes) -> bool:
        """Whether this is the whole right answer, for a third of what parsing costs; if not, the parser says
        what it is."""
        call = self._call
        if call is None or call.expected is None or self._sink.keeping:
            return False
        head, end, body = data.partition(b"\r\n\r\n")
        return (
            bool(end)
            and body == call.expected
            and head.startswith(b"HTTP/1.1 %d " % call.status)
            and b"\r\ncontent-length: %d\r\n" % len(body) in head + b"\r\n"
        )

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._sink.keeping and name.lower() == b"x-amzn-requestid":
            self._request_id = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        assert self._call is not None
        status = self._parser.get_status_code()
        if self._sink.keeping:
            now = time.time()
            sent_at = now - (time.perf_counter() - self._sent_at)
            self._sink.keep(Answered(sent_at, now, status, self._request_id, bytes(self._body)))
        self._answered(right=status == self._call.status and is_echo(self._body, self._call.expected))

    def _answered(self, *, right: bool) -> None:
        self._sink.done(self._sent_at, right)
        self._call = None
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self._call is not None:
            self._sink.broken(str(error or "closed by the server"))
        if not self.ended.done():
            self.ended.set_result(None)


def is_echo(body: bytes | bytearray, expected: bytes | None) -> bool:
    """Whether an answer is what was sent, byte for byte or as JSON."""
    if expected is None or body == expected:
        return True
    try:
        return bool(json.loads(body) == json.loads(expected))
    except ValueError:
        return False


def cycle(calls: list[Call], limit: int | None) -> Iterator[Call]:
    """Calls in order, over and over, `limit` in all."""
    sent = 0
    while limit is None or sent < limit:
        yield calls[sent % len(calls)]
        sent += 1
