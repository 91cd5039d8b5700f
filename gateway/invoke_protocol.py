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
from gateway.invoke_request import BODY_LIMIT_BYTES, is_invoke_path


class InvokeProtocol(HttpToolsProtocol):
    """One connection. uvicorn passes its keyword arguments; `invoke` answers the short cut."""

    def __init__(self, invoke: Invoke, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._invoke = invoke
        self._short_cut: InvokeCycle | None = None
        self._next: asyncio.Future[InvokeCycle | None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None

    def on_message_begin(self) -> None:
        # uvicorn fills an ASGI scope here; only who goes that way needs one.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        raw_path, _, query_string = self.url.partition(b"?")
        if self._takes_short_cut(raw_path):
            cycle = InvokeCycle(self, raw_path, query_string, self.parser.should_keep_alive())
            self._short_cut = self.cycle = cycle  # type: ignore[assignment]
        else:
            self._short_cut = None
            self._begin_scope()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._short_cut is not None:
            self._short_cut.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._short_cut is not None:
            self._answer(self._short_cut)
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def end_short_cut(self) -> None:
        """An answer of the short cut was written: go on with what is pipelined, or idle."""
        if self.pipeline or self.transport.is_closing():
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None
        super()._unset_keepalive_if_required()

    def _close_if_idle(self) -> None:
        """One timer for many short pauses: it looks at the latest only, where uvicorn has one for each."""
        self._idle_timer = None
        if self._idle_since is None:
            return  # busy; the next answer sets a timer again
        left_seconds = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_seconds > 0:
            self._idle_timer = self.loop.call_later(left_seconds, self._close_if_idle)
        else:
            self.timeout_keep_alive_handler()

    def _answer(self, cycle: InvokeCycle) -> None:
        if self._next is not None:
            self._next.set_result(cycle)
            return
        task = self.loop.create_task(self._answer_all(cycle), name="invoke-connection")
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _answer_all(self, cycle: InvokeCycle | None) -> None:
        """One task for all Invokes of a connection: a task costs half as much as a signature."""
        while cycle is not None:
            await cycle.answer(self._invoke)
            if self.transport.is_closing():
                return
            self._next = self.loop.create_future()
            cycle = await self._next

    def _begin_scope(self) -> None:
        url, headers, expects_100_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects_100_continue
        self.headers += headers  # in place: the scope has this list

    def _takes_short_cut(self, raw_path: bytes) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and is_invoke_path(raw_path)
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and self.parser.get_http_version() == "1.1"
        )


class InvokeCycle:
    """One Invoke request, in the place of uvicorn's RequestResponseCycle, whose attributes it has."""

    __slots__ = (
        "_body",
        "_headers",
        "_hung_up",
        "_protocol",
        "_query_string",
        "_raw_path",
        "_transport",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    def __init__(
        self, protocol: InvokeProtocol, raw_path: bytes, query_string: bytes, keep_alive: bool
    ) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self._protocol = protocol
        self._transport = protocol.transport
        self._headers = protocol.headers
        self._raw_path = raw_path
        self._query_string = query_string
        self._body: bytes | bytearray = b""
        self._hung_up: asyncio.Event | None = None

    @property
    def message_event(self) -> InvokeCycle:
        """What `connection_lost` sets; no attribute, as each cycle would be garbage that only gc finds."""
        return self

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

    async def answer(self, invoke: Invoke) -> None:
        """Answer the request, or nothing where the caller has hung up."""
        call = InvokeCall(
            "POST", self._raw_path, self._query_string, self._headers, bytes(self._body), self._gone
        )
        try:
            self._write(await invoke.answer(call))
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
        lines += [b"%b: %b\r\n" % header for header in answer.headers]
        if answer.status != 204:
            lines.append(b"content-length: %d\r\n" % len(answer.body))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", answer.body)
        self._transport.write(b"".join(lines))
        if not self.keep_alive:
            self._transport.close()
        self._protocol.end_short_cut()
