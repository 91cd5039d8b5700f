"""One HTTP/1.1 connection that is kept alive: a request at a time, whole responses."""

from __future__ import annotations

import asyncio
from ssl import SSLContext
from typing import Self, cast

import httptools

from triggers.aws_calls.errors import ConnectionClosed, ServiceUnavailable

CONNECT_SECONDS = 5.0


class Response:
    """Status and body of an answer."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Connection(asyncio.Protocol):
    """From `open` until `close`, or until the server closes it; then `usable` is False."""

    def __init__(self) -> None:
        self.usable = True
        self.used = False
        """An answer has come over it: the server may since have closed it for idleness."""
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._reset()

    @classmethod
    async def open(cls, host: str, port: int, tls: SSLContext | None) -> Self:
        """Raises ServiceUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(cls, host, port, ssl=tls)
        except TimeoutError:
            raise ServiceUnavailable(f"{host}:{port} does not take connections") from None
        except OSError as error:
            raise ServiceUnavailable(f"{host}:{port} cannot be reached: {error.strerror or error}") from error
        return connection

    async def exchange(self, request: bytes, timeout_seconds: float) -> Response:
        """Send one request and wait for its answer.

        Raises ServiceUnavailable, after which (as after cancelling) the connection is closed.
        """
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await self._waiting
        except TimeoutError:
            self.close()
            raise ServiceUnavailable(f"no answer within {timeout_seconds:g} seconds") from None
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None
        self.used = True
        return response

    def close(self) -> None:
        """Idempotent."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ServiceUnavailable(f"what was answered is no HTTP: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        self._fail(ConnectionClosed(f"the connection was closed{f': {error}' if error else ''}"))

    # the parser's calls

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the real one follows
            return
        response = Response(status, b"".join(self._body))
        if not self._parser.should_keep_alive():
            self.close()
        self._reset()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(response)

    def _reset(self) -> None:
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def _fail(self, error: ServiceUnavailable) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
