"""uvicorn's HTTP protocol with a short cut for Invoke and for buffered function URLs.

ASGI costs a request a scope, an event, two messages each way and their checks: half of what the gateway
spends on a warm invocation. Here such a request goes from the parser to `Invoke.answer` (or that of
`FunctionUrls`), and its answer in one write to the socket. Everything else, and whatever is unusual about a
call (pipelined behind another request, HTTP/1.0, `Expect: 100-continue`), takes uvicorn's way through ASGI.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.function_urls.address import Address, read_address
from gateway.function_urls.function_urls import FunctionUrls
from gateway.function_urls.requests import UrlRequest
from gateway.http_body import CallerGone
from gateway.invoke import Invoke, InvokeAnswer, InvokeCall
from gateway.invoke_request import BODY_LIMIT_BYTES, is_invoke_path


class InvokeProtocol(HttpToolsProtocol):
    """One connection. uvicorn passes its keyword arguments; `invoke` and `urls` answer the short cut."""

    def __init__(self, invoke: Invoke, urls: FunctionUrls, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._invoke = invoke
        self._urls = urls
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
        cycle = self._short_cut_for(raw_path, query_string) if self._may_take_short_cut() else None
        if cycle is not None:
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
            await cycle.answer()
            if self.transport.is_closing():
                return
            self._next = self.loop.create_future()
            cycle = await self._next

    def _begin_scope(self) -> None:
        url, headers, expects_100_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects_100_continue
        self.headers += headers  # in place: the scope has this list

    def _short_cut_for(self, raw_path: bytes, query_string: bytes) -> InvokeCycle | None:
        method = self.parser.get_method()
        keep_alive = self.parser.should_keep_alive()
        if method == b"POST" and is_invoke_path(raw_path):
            return InvokeCycle(self, raw_path, query_string, keep_alive, self._invoke)
        address = read_address(raw_path, self.headers)
        if address is None or not self._urls.is_buffered(address):
            return None
        return UrlCycle(self, raw_path, query_string, keep_alive, self._urls, method.decode(), address)

    def _may_take_short_cut(self) -> bool:
        return (
            (self.cycle is None or self.cycle.response_complete)
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
        "_invoke",
        "_protocol",
        "_query_string",
        "_raw_path",
        "_transport",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    def __init__(
        self,
        protocol: InvokeProtocol,
        raw_path: bytes,
        query_string: bytes,
        keep_alive: bool,
        invoke: Invoke | None,
    ) -> None:
        self._invoke = invoke
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

    async def answer(self) -> None:
        """Answer the request, or nothing where the caller has hung up."""
        try:
            self._write(await self._ask())
        except CallerGone:
            return

    async def _ask(self) -> InvokeAnswer:
        call = InvokeCall(
            "POST", self._raw_path, self._query_string, self._headers, bytes(self._body), self._gone
        )
        assert self._invoke is not None
        return await self._invoke.answer(call)

    async def _gone(self) -> None:
        self._hung_up = asyncio.Event()
        if self.disconnected:
            return
        await self._hung_up.wait()

    def _body_of(self, answer: InvokeAnswer) -> bytes:
        return answer.body

    def _write(self, answer: InvokeAnswer) -> None:
        self.response_complete = True
        if self.disconnected or self._transport.is_closing():
            return
        lines = [STATUS_LINE[answer.status]]
        lines += [b"%b: %b\r\n" % header for header in answer.headers]
        if answer.status not in (204, 304):
            lines.append(b"content-length: %d\r\n" % len(answer.body))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", self._body_of(answer))
        self._transport.write(b"".join(lines))
        if not self.keep_alive:
            self._transport.close()
        self._protocol.end_short_cut()


class UrlCycle(InvokeCycle):
    """One request at a buffered function URL."""

    __slots__ = ("_address", "_method", "_urls")

    def __init__(
        self,
        protocol: InvokeProtocol,
        raw_path: bytes,
        query_string: bytes,
        keep_alive: bool,
        urls: FunctionUrls,
        method: str,
        address: Address,
    ) -> None:
        super().__init__(protocol, raw_path, query_string, keep_alive, None)
        self._urls = urls
        self._method = method
        self._address = address

    async def _ask(self) -> InvokeAnswer:
        client, scheme = self._protocol.client, self._protocol.scheme or "http"
        request = UrlRequest(
            self._method,
            self._raw_path,
            self._query_string,
            self._headers,
            bytes(self._body),
            client[0] if client else "",
            scheme,
            "1.1",
            self._address,
        )
        return await self._urls.answer(request, self._gone)

    def _body_of(self, answer: InvokeAnswer) -> bytes:
        return b"" if self._method == "HEAD" or answer.status in (204, 304) else answer.body
