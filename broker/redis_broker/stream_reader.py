"""The asking end of a streamed reply over Redis."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from broker.interface import STREAM_WINDOW_BYTES
from broker.invocation import Reply
from broker.redis_broker.stream_frames import Chunk, Progress

_REPORT_BYTES = STREAM_WINDOW_BYTES // 4

Report = Callable[[str, Progress], None]
"""Sends progress to a writer's channel."""


class RedisIncomingStream:
    """Implements `broker.interface.IncomingStream`. `forget` takes it out of its inbox."""

    def __init__(self, request_id: str, report: Report, forget: Callable[[str], None]) -> None:
        self._request_id = request_id
        self._report = report
        self._forget = forget
        self._arrived: deque[bytes] = deque()
        self._reply: Reply | None = None
        self._changed: asyncio.Future[None] | None = None
        self._writer = ""
        self._handed_bytes = 0
        """What `read` has returned, the last piece included."""
        self._reported_bytes = 0
        self._received_bytes = 0
        self._closed = False
        self.content_type = ""
        self.heard_in = ""
        """Run id of the server over which the last chunk came."""

    async def read(self) -> bytes | Reply:
        self._report_progress()
        while not self._arrived:
            if self._reply is not None and self._reply.streamed_bytes <= self._received_bytes:
                self.close()
                return self._reply
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        chunk = self._arrived.popleft()
        self._handed_bytes += len(chunk)
        return chunk

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._forget(self._request_id)
        self._arrived.clear()
        if self._writer:
            self._tell(closed=True)

    def take(self, chunk: Chunk, run_id: str) -> None:
        """A chunk came: the next one, one that came before, or one after a gap."""
        self._writer, self.content_type, self.heard_in = chunk.writer, chunk.content_type, run_id
        if chunk.offset == self._received_bytes:
            self._arrived.append(chunk.data)
            self._received_bytes += len(chunk.data)
            self._notify()
        elif chunk.offset > self._received_bytes:
            self._tell(again=True)
        else:
            self._tell()  # the writer has not heard how far we are

    def end(self, reply: Reply) -> None:
        """The last word came; bytes that it follows may still be missing."""
        self._reply = reply
        if reply.streamed_bytes > self._received_bytes and self._writer:
            self._tell(again=True)
        self._notify()

    def reconnected(self) -> None:
        """What was sent meanwhile was lost."""
        if self._writer:
            self._tell(again=True)

    def _report_progress(self) -> None:
        if self._handed_bytes - self._reported_bytes >= _REPORT_BYTES:
            self._tell()

    def _tell(self, *, again: bool = False, closed: bool = False) -> None:
        self._reported_bytes = self._handed_bytes
        progress = Progress(self._request_id, self._handed_bytes, self._received_bytes, again, closed)
        self._report(self._writer, progress)

    def _notify(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
