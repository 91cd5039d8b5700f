"""What functions write: kept for a while, bounded, and readable from any process.

`append` is called several times per invocation and only remembers; a task stores what has gathered, ten
times a second. A log that cannot be stored never holds up a function: it is dropped, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from typing import Protocol, cast

import msgspec

from broker.cancellation import end
from broker.errors import BrokerError, BrokerUnavailable
from broker.log_buffer import Backlog, LogBuffer, entries
from broker.redis_client import redis_client, translated

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
FLUSH_BYTES = 262_144
"""A flush has a fixed cost; at ten thousand invocations a second a quarter of this doubled the whole."""
MOST_ENTRY_BYTES = 65_536
MOST_KEPT_BYTES = 1_048_576
"""Per function, in Redis and in the buffer."""
MOST_BUFFERED_BYTES = 16 * 1_048_576
KEPT_SECONDS = 14 * 24 * 3600
"""After a function last wrote."""
_RETRY_SECONDS = 1.0
_LAST_FLUSH_SECONDS = 3.0
_LONGEST_WAIT_SECONDS = 5.0
_Row = tuple[bytes, dict[bytes, bytes]]
"""An entry's id and fields."""
_CURSOR = re.compile(r"\d+-\d+")

_STORE = """
-- KEYS: the function's stream, its size. ARGV: most bytes, seconds to keep, then log stream and text of each
local size, most = tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(ARGV[1])
for i = 3, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'stream', ARGV[i], 'text', ARGV[i + 1])
  size = size + #ARGV[i + 1] + 64
end
while size > most do
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if not oldest then size = 0 break end
  redis.call('XDEL', KEYS[1], oldest[1])
  size = size - #oldest[2][4] - 64
end
redis.call('SET', KEYS[2], size, 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


class LogEvent(msgspec.Struct, frozen=True):
    """Some text that one environment wrote, one or more lines."""

    cursor: str
    """Pass it as `after` to read what follows."""
    time_ms: int
    log_stream: str
    message: str
    """What is no UTF-8 is replaced."""


class LogPage(msgspec.Struct, frozen=True):
    """Events, oldest first, and the cursor behind the last of them."""

    events: tuple[LogEvent, ...]
    next: str


class FunctionLogs(Protocol):
    """Where functions' output is kept. Nothing but `read` and `delete` ever waits or raises."""

    def append(self, function_name: str, log_stream: str, text: bytes) -> None:
        """Keep what was written; readable within moments, dropped when it cannot be stored for long."""

    async def read(
        self, function_name: str, after: str = "", limit: int = 100, wait_seconds: float = 0
    ) -> LogPage:
        """At most `limit` events behind the cursor `after` ("": from the oldest kept).

        Where there is none, waits up to `wait_seconds` (5 at most) for one; an empty page repeats `after`.
        Raises ValueError for what is no cursor, and BrokerUnavailable.
        """

    async def delete(self, function_name: str) -> None:
        """Forget a function's log. What its environments still write begins a new one."""


class RedisFunctionLogs:
    """`FunctionLogs` in Redis: one stream per function, its size counted beside it."""

    def __init__(
        self,
        url: str,
        namespace: str = "lightswitch",
        kept_bytes: int = MOST_KEPT_BYTES,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._client = redis_client(url)
        self._prefix = f"{namespace}:logs"
        self._kept_bytes = kept_bytes
        self._flush_seconds = flush_seconds
        self._buffer = LogBuffer(kept_bytes, MOST_BUFFERED_BYTES)
        self._store = self._client.register_script(_STORE)
        self._written = asyncio.Event()
        self._enough = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to store what is appended."""
        self._flusher = asyncio.create_task(self._flush_always(), name="function-logs")

    async def close(self) -> None:
        """Store what is left, if Redis answers within moments, and disconnect. Idempotent."""
        if self._flusher is not None:
            await end(self._flusher)
            self._flusher = None
            try:
                async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                    await self._flush()
            except (BrokerError, TimeoutError):
                log.warning("function_log_lost", extra={"bytes": self._buffer.size_bytes})
        await self._client.aclose()

    def append(self, function_name: str, log_stream: str, text: bytes) -> None:
        buffer = self._buffer
        if not buffer.size_bytes:
            self._written.set()
        buffer.append(function_name, log_stream, text)
        if buffer.size_bytes > FLUSH_BYTES:
            self._enough.set()

    async def read(
        self, function_name: str, after: str = "", limit: int = 100, wait_seconds: float = 0
    ) -> LogPage:
        if after and not _CURSOR.fullmatch(after):
            raise ValueError(f"{after!r} is no cursor of a log; take one from an earlier page")
        with translated(f"read the log of function {function_name}"):
            rows = await self._rows(function_name, after, limit)
            if not rows and wait_seconds > 0:
                await self._wait(function_name, after, min(wait_seconds, _LONGEST_WAIT_SECONDS))
                rows = await self._rows(function_name, after, limit)
        events = tuple(_event(*row) for row in rows)
        return LogPage(events, next=events[-1].cursor if events else after)

    async def delete(self, function_name: str) -> None:
        self._buffer.forget(function_name)
        with translated(f"delete the log of function {function_name}"):
            await self._client.delete(*self._keys(function_name))

    async def _flush_always(self) -> None:
        while True:
            await self._written.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._flush_seconds)
            try:
                await self._flush()
            except BrokerError as error:
                log.warning("function_log_not_stored", extra={"reason": str(error)})
                await asyncio.sleep(_RETRY_SECONDS)

    async def _flush(self) -> None:
        """Store what there is. Raises BrokerError; nothing is lost where trying again may help."""
        self._written.clear()
        self._enough.clear()
        taken = self._buffer.take()
        try:
            await self._store_all(taken)
        except (BrokerUnavailable, asyncio.CancelledError):
            self._buffer.put_back(taken)
            self._written.set()
            raise

    async def _store_all(self, taken: Mapping[str, Backlog]) -> None:
        if not taken:
            return
        with translated("store functions' logs"):
            async with self._client.pipeline(transaction=False) as pipeline:
                for function_name, backlog in taken.items():
                    made = entries(backlog, MOST_ENTRY_BYTES)
                    arguments = [field for entry in made for field in entry]
                    await self._store(
                        keys=self._keys(function_name),
                        args=[self._kept_bytes, KEPT_SECONDS, *arguments],
                        client=pipeline,
                    )
                await pipeline.execute()

    async def _rows(self, function_name: str, after: str, limit: int) -> list[_Row]:
        stream, _ = self._keys(function_name)
        start = f"({after}" if after else "-"
        return cast("list[_Row]", await self._client.xrange(stream, start, "+", limit))

    async def _wait(self, function_name: str, after: str, wait_seconds: float) -> None:
        stream, _ = self._keys(function_name)
        await self._client.xread({stream: after or "0"}, count=1, block=max(1, int(wait_seconds * 1000)))

    def _keys(self, function_name: str) -> list[str]:
        return [f"{self._prefix}:of:{function_name}", f"{self._prefix}:size:{function_name}"]


def _event(cursor: bytes, fields: dict[bytes, bytes]) -> LogEvent:
    return LogEvent(
        cursor=cursor.decode(),
        time_ms=int(cursor.partition(b"-")[0]),
        log_stream=fields[b"stream"].decode(),
        message=fields[b"text"].decode("utf-8", "replace"),
    )
