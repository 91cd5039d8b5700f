"""uvicorn's HTTP protocol with a short cut for Invoke.

ASGI costs a request a scope, an event, two messages each way and their checks: half of what the gateway
spends on a warm invocation. Here an Invoke request goes from the parser to `Invoke.answer`, and its answer
in one write to the socket. Everything else, and whatever is unusual about an Invoke (pipelined behind
another request, HTTP/1.0, `Expect: 100-continue`), takes uvicorn's way through ASGI.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.http_body import CallerGone
from gateway.invoke import Invoke, InvokeAnswer, InvokeCall
from gateway.invoke_request import BODY_LIMIT_BYTES, is_invoke


class InvokeProtocol(HttpToolsProtocol):
    """One connection. uvicorn passes its keyword arguments; `invoke` answers the short cut."""

    def __init__(self, invoke: Invoke, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._invoke = invoke
        self._short_cut: InvokeCycle | None = None

    def on_headers_complete(self) -> None:
        raw_path, _, query_string = self.url.partition(b"?")
        if self._takes_short_cut(raw_path):
            keep_alive = self.parser.should_keep_alive()
            cycle = InvokeCycle(self, self._invoke, raw_path, query_string, keep_alive)
            self._short_cut = self.cycle = cycle  # type: ignore[assignment]
        else:
            self._short_cut = None
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._short_cut is not None:
            self._short_cut.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._short_cut is not None:
            self._start_asgi_task(self.cycle, self.app)
        else:
            super().on_message_complete()

    def _takes_short_cut(self, raw_path: bytes) -> bool:
        return (
            is_invoke(self.parser.get_method().decode("latin-1"), raw_path)
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and self.parser.get_http_version() == "1.1"
        )


class InvokeCycle:
    """One Invoke request, in the place of uvicorn's RequestResponseCycle, whose attributes it has."""

    def __init__(
        self, protocol: InvokeProtocol, invoke: Invoke, raw_path: bytes, query_string: bytes, keep_alive: bool
    ) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.message_event = self  # connection_lost calls set()
        self._protocol = protocol
        self._transport = protocol.transport
        self._headers = protocol.headers
        self._invoke = invoke
        self._raw_path = raw_path
        self._query_string = query_string
        self._body: bytes | bytearray = b""
        self._hung_up: asyncio.Event | None = None

    def take(self, body: bytes) -> None:
        """A piece of the body arrived. What is too much is dropped: `Invoke` refuses what it gets."""
        if not self._body:
            self._body = body
        elif len(self._body) <= BODY_LIMIT_BYTES:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def set(self) -> None:
        """The connection is lost."""
        if self._hung_up is not None:
            self._hung_up.set()

    async def run_asgi(self, app: object) -> None:
        """Answer the request; named as the protocol's base class calls it."""
        call = InvokeCall(
            "POST", self._raw_path, self._query_string, self._headers, bytes(self._body), self._gone
        )
        try:
            self._write(await self._invoke.answer(call))
        except CallerGone:
            return

    async def _gone(self) -> None:
        self._hung_up = asyncio.Event()
        if self.disconnected:
            return
        await self._hung_up.wait()

    def _write(self, answer: InvokeAnswer) -> None:
        self.response_complete = True
        if self.disconnected or self._transport.is_closing():
            return
        lines = [STATUS_LINE[answer.status]]
        for name, value in answer.headers:
            lines += (name, b": ", value, b"\r\n")
        if answer.status != 204:
            lines.append(b"content-length: %d\r\n" % len(answer.body))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", answer.body)
        self._transport.write(b"".join(lines))
        if not self.keep_alive:
            self._transport.close()
        self._protocol.on_response_complete()
