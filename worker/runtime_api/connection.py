"""One connection of a runtime or an extension: HTTP/1.1, with keep-alive, pipelining, chunked bodies."""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import cast

import httptools

from worker.environments.interface import ResponseSink, Work
from worker.runtime_api import routes
from worker.runtime_api.extension_session import Refused
from worker.runtime_api.extensions import EVENT_NEXT_PATH, forbidden, identifier_of
from worker.runtime_api.messages import PAYLOAD_LIMIT_BYTES, Request, invalid_transition, refusal
from worker.runtime_api.next import next_answer
from worker.runtime_api.response import MODE_HEADER, TRUNCATED, respond

HEADER_LIMIT_BYTES = 4 << 20
"""The X-Ray cause of an error alone may take 1 MiB."""

BREAK_OFF_SECONDS = 0.5
"""How long the end of a process may come after that of its connection."""

OVERTAKEN_SECONDS = 0.5
"""How long what was said on one connection may come after a later call on another."""

PIPELINE_LIMIT = 64
"""Calls that may wait behind an unanswered `next`."""

BAD_REQUEST = refusal(HTTPStatus.BAD_REQUEST, "BadRequest", "This is not HTTP/1.1")


class RuntimeConnection(asyncio.Protocol):
    """Parses requests and answers them in their order."""

    def __init__(self, api: routes.Api, connections: set[RuntimeConnection]) -> None:
        self._api = api
        self._session = api.runtime
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request(b"", b"")
        self._chunks: list[bytes] = []
        self._header_bytes = 0
        self._complete = True
        self._paused = False
        self._waiting: deque[Request] = deque()
        self._asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        if not self._api.admits(transport.get_extra_info("socket")):
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        self._session.hang_up(self._deliver)
        if self._asked:
            self._api.extensions.hang_up(self._deliver_event)
        if not self._complete and routes.is_response(self._session, self._request):
            # Where the process has died, its exit says more.
            self._session.break_off(TRUNCATED)
            give_up = self._session.give_up
            asyncio.get_running_loop().call_later(BREAK_OFF_SECONDS, give_up, self._session.request_id)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def on_message_begin(self) -> None:
        self._request = Request(b"", b"")
        self._chunks = []
        self._header_bytes = 0
        self._complete = False

    def on_url(self, url: bytes) -> None:
        self._request.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_LIMIT_BYTES:
            self._refuse()
        else:
            self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._request.headers.get(b"expect", b"").lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if MODE_HEADER in self._request.headers and not self._asked:
            self._request.sink = routes.sink_of(self._session, self._request)

    def on_body(self, body: bytes) -> None:
        self._request.body_bytes += len(body)
        if self._request.sink is not None:
            self._pass_on(body, self._request.sink)
        elif self._request.body_bytes <= PAYLOAD_LIMIT_BYTES:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        request, self._complete = self._request, True
        if request.sink is not None and request.too_large:
            return  # refused already
        request.method = self._parser.get_method()
        request.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        if not self._asked:
            self._answer(request)
        elif len(self._waiting) < PIPELINE_LIMIT:
            self._waiting.append(request)
        else:
            self._refuse()

    def _pass_on(self, body: bytes, sink: ResponseSink) -> None:
        """Hand on a piece of a streamed response; read no more while its reader is behind."""
        if self._request.too_large:
            if not self._complete:
                self._complete = True
                self._write(respond(self._session, self._request))
                self._hang_up()
            return
        sink.write(body)
        if not self._paused and not sink.has_room and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
            sink.when_room(self._go_on)

    def _go_on(self) -> None:
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _answer(self, request: Request) -> None:
        if request.path == routes.NEXT_PATH and request.method == b"GET":
            self._asked = True
            if not self._session.next(self._deliver):
                self._asked = False
                self._write(invalid_transition(self._session.state.value, "next"))
            elif self._session.is_early(self._deliver):
                asyncio.get_running_loop().call_later(OVERTAKEN_SECONDS, self._refuse_early)
        elif request.path == EVENT_NEXT_PATH and request.method == b"GET":
            self._await_event(request)
        else:
            self._write(routes.answer(self._api, request))
        if request.headers.get(b"connection", b"").lower() == b"close" and not self._asked:
            self._hang_up()

    def _await_event(self, request: Request) -> None:
        self._asked = True
        try:
            self._api.extensions.next(identifier_of(request), self._deliver_event)
        except Refused as refused:
            self._asked = False
            self._write(forbidden(refused))

    def _deliver(self, work: Work) -> None:
        self._deliver_event(next_answer(work))

    def _deliver_event(self, answer: bytes) -> None:
        self._asked = False
        self._write(answer)
        self._answer_waiting()

    def _refuse_early(self) -> None:
        if self._session.refuse(self._deliver):
            self._asked = False
            self._write(invalid_transition(self._session.state.value, "next"))
            self._answer_waiting()

    def _answer_waiting(self) -> None:
        while self._waiting and not self._asked:
            self._answer(self._waiting.popleft())

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _refuse(self) -> None:
        self._write(BAD_REQUEST)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
