"""A link to Redis that outlives connections: it reconnects, reloads scripts and subscribes again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote, urlsplit

import hiredis

from broker.errors import BrokerUnavailable
from broker.redis_broker.scripts.catalogue import SCRIPTS
from broker.redis_broker.wire import Argument, CommandFailed, Wire

log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 0.02
_LAST_RETRY_SECONDS = 1.0
_CONNECT_TIMEOUT_SECONDS = 5.0

OnMessage = Callable[[bytes], None]
Answer = asyncio.Future[object]


class Link:
    """Commands, scripts and subscriptions over one multiplexed connection.

    `call` and `run` raise BrokerUnavailable while there is no connection; `connected` waits for one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire: Wire | None = None
        self._loop = asyncio.get_running_loop()
        self._up = asyncio.Event()
        self._closed = False
        self._shas: Mapping[str, bytes] = {}
        self._run_id = ""
        self._channels: dict[bytes, OnMessage] = {}
        self._on_connected: list[Callable[[], Awaitable[None]]] = []
        self._reconnecting: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect for the first time. Raises BrokerUnavailable."""
        await self._connect()

    async def close(self) -> None:
        """Send what is queued and disconnect. Idempotent."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reconnecting
        if self._wire is not None:
            self._wire.close()

    @property
    def is_connected(self) -> bool:
        """Whether commands can be sent now."""
        return self._up.is_set()

    async def connected(self, timeout_seconds: float) -> None:
        """Return at once while connected; else wait. Raises BrokerUnavailable after the timeout."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._up.wait()
        except TimeoutError:
            raise BrokerUnavailable(
                f"no connection to Redis at {_printable(self._url)} for {timeout_seconds:g} s"
            ) from None

    def call(self, *arguments: Argument) -> Answer:
        """Send a command; the future has its answer, CommandFailed or BrokerUnavailable."""
        answer: Answer = self._loop.create_future()

        def settle(value: object) -> None:
            if answer.done():
                return
            if isinstance(value, hiredis.ReplyError):
                answer.set_exception(self._failure(value))
            elif isinstance(value, BrokerUnavailable):
                answer.set_exception(value)
            else:
                answer.set_result(value)

        if self._wire is None:
            settle(BrokerUnavailable(f"not connected to Redis at {_printable(self._url)}"))
        else:
            self._wire.send(arguments, settle)
        return answer

    def flush(self) -> None:
        """Send now what would be sent when the tick ends."""
        if self._wire is not None:
            self._wire.flush()

    @property
    def run_id(self) -> str:
        """Names the server process that we are connected to; another one after each of its restarts."""
        return self._run_id

    def run(self, script: str, prefix: str, *arguments: Argument) -> Answer:
        """Run one of our scripts."""
        sha, volatile = self._shas.get(script, b""), volatile_prefix(prefix, self._run_id)
        return self.call("EVALSHA", sha, 2, prefix, volatile, *arguments)

    async def subscribe(self, channel: str, on_message: OnMessage) -> None:
        """Call `on_message` with each message of the channel, also after reconnecting."""
        self._channels[channel.encode()] = on_message
        await self.call("SUBSCRIBE", channel)

    def subscribe_soon(self, channel: str, on_message: OnMessage) -> None:
        """As `subscribe`, at the latest with the next connection."""
        self._channels[channel.encode()] = on_message
        if self._wire is not None:
            self._wire.send(("SUBSCRIBE", channel), lambda answer: None)

    def on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await `callback` after each reconnect, before `connected` returns."""
        self._on_connected.append(callback)

    def _failure(self, error: hiredis.ReplyError) -> Exception:
        text = str(error)
        if text.startswith(("NOSCRIPT", "LOADING", "READONLY", "MASTERDOWN")):
            # A fresh connection loads the scripts and finds out when the server is ready.
            if self._wire is not None:
                self._wire.abort()
            return BrokerUnavailable(f"Redis is not ready: {text}")
        return CommandFailed(text)

    def _push(self, channel: bytes, body: bytes) -> None:
        if (on_message := self._channels.get(channel)) is not None:
            on_message(body)

    def _lost(self) -> None:
        self._wire = None
        if self._up.is_set():
            self._up.clear()
            if not self._closed:
                log.warning("redis_connection_lost", extra={"url": _printable(self._url)})
                self._reconnecting = self._loop.create_task(self._reconnect(), name="redis-reconnect")

    async def _reconnect(self) -> None:
        delay_seconds = _FIRST_RETRY_SECONDS
        while True:
            try:
                await self._connect()
            except BrokerUnavailable:
                await asyncio.sleep(delay_seconds * random.uniform(0.5, 1.0))
                delay_seconds = min(_LAST_RETRY_SECONDS, delay_seconds * 2)
            else:
                log.info("redis_reconnected", extra={"url": _printable(self._url)})
                return

    async def _connect(self) -> None:
        wire = await _dial(self._url, self._push, self._lost)
        self._wire = wire
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                await self._introduce()
                for callback in self._on_connected:
                    await callback()
        except (TimeoutError, BrokerUnavailable) as error:
            wire.abort()
            self._wire = None
            raise BrokerUnavailable(f"Redis at {_printable(self._url)} does not serve: {error}") from error
        self._up.set()

    async def _introduce(self) -> None:
        parts = urlsplit(self._url)
        hello: list[Argument] = ["HELLO", 3]
        if parts.password:
            hello += ["AUTH", unquote(parts.username or "default"), unquote(parts.password)]
        await self.call(*hello)
        if (database := _database(self._url)) != "0":
            await self.call("SELECT", database)
        self._run_id = _run_id(await self.call("INFO", "server"))
        loaded = await asyncio.gather(*(self.call("SCRIPT", "LOAD", text) for text in SCRIPTS.values()))
        self._shas = {name: sha for name, sha in zip(SCRIPTS, loaded, strict=True) if isinstance(sha, bytes)}
        for channel in self._channels:
            await self.call("SUBSCRIBE", channel)


async def _dial(url: str, on_push: Callable[[bytes, bytes], None], on_lost: Callable[[], None]) -> Wire:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()

    def wire() -> Wire:
        return Wire(on_push, on_lost)

    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
            if parts.scheme == "unix":
                return (await loop.create_unix_connection(wire, unquote(parts.path)))[1]
            host, port = parts.hostname or "127.0.0.1", parts.port or 6379
            tls = True if parts.scheme == "rediss" else None
            return (await loop.create_connection(wire, host, port, ssl=tls))[1]
    except (OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"cannot connect to Redis at {_printable(url)}: {error}") from error


def volatile_prefix(prefix: str, run_id: str) -> str:
    """Where keys live that must not outlive the server process."""
    return f"{prefix}:run:{run_id}"


def _run_id(info: object) -> str:
    text = info.decode() if isinstance(info, bytes) else str(info)
    return next(line[7:] for line in text.splitlines() if line.startswith("run_id:"))


def _database(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return next((v for k, _, v in (q.partition("=") for q in parts.query.split("&")) if k == "db"), "0")
    return parts.path.strip("/") or "0"


def _printable(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url
