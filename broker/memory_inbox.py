"""Replies in one process's memory: the inbox of `broker.memory`, and replies that arrive bit by bit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from broker.interface import STREAM_WINDOW_BYTES
from broker.invocation import Reply


class MemoryInbox:
    """Implements `broker.interface.ReplyInbox`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._deliver: dict[str, Callable[[Reply], None]] = {}
        self._streams: dict[str, MemoryIncomingStream] = {}

    @property
    def address(self) -> str:
        return self._address

    def expect(self, request_id: str, deliver: Callable[[Reply], None]) -> None:
        self._deliver[request_id] = deliver

    def expect_stream(self, request_id: str) -> MemoryIncomingStream:
        stream = self._streams[request_id] = MemoryIncomingStream(self, request_id)
        self.expect(request_id, stream.end)
        return stream

    def forget(self, request_id: str) -> None:
        self._deliver.pop(request_id, None)
        self._streams.pop(request_id, None)

    def deliver(self, reply: Reply) -> None:
        """Hand a reply to whoever waits for it."""
        if (deliver := self._deliver.pop(reply.request_id, None)) is not None:
            deliver(reply)

    def stream_of(self, request_id: str) -> MemoryIncomingStream | None:
        """Where a streamed reply goes; None once nobody waits for it."""
        return self._streams.get(request_id)


class MemoryIncomingStream:
    """Implements `broker.interface.IncomingStream`."""

    def __init__(self, inbox: MemoryInbox, request_id: str) -> None:
        self._inbox = inbox
        self._request_id = request_id
        self._arrived: deque[bytes] = deque()
        self._reply: Reply | None = None
        self._changed = asyncio.Event()
        self._resume: list[Callable[[], None]] = []
        self.content_type = ""
        self.unread_bytes = 0

    async def read(self) -> bytes | Reply:
        while not self._arrived:
            if self._reply is not None:
                self.close()
                return self._reply
            self._changed.clear()
            await self._changed.wait()
        chunk = self._arrived.popleft()
        self.unread_bytes -= len(chunk)
        if self.unread_bytes < STREAM_WINDOW_BYTES:
            self._make_room()
        return chunk

    def close(self) -> None:
        self._inbox.forget(self._request_id)
        self._make_room()

    def take(self, chunk: bytes, content_type: str) -> None:
        """The next bytes came."""
        self.content_type = content_type
        self._arrived.append(chunk)
        self.unread_bytes += len(chunk)
        self._changed.set()

    def end(self, reply: Reply) -> None:
        """The last word came."""
        self._reply = reply
        self._changed.set()

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call once what was read leaves room."""
        self._resume.append(resume)

    def _make_room(self) -> None:
        waiting, self._resume = self._resume, []
        for resume in waiting:
            resume()


class MemoryReplyStream:
    """Implements `broker.interface.ReplyStream`."""

    def __init__(self, inbox: MemoryInbox | None, request_id: str, content_type: str) -> None:
        self._inbox = inbox
        self._request_id = request_id
        self._content_type = content_type
        self._written_bytes = 0

    @property
    def has_room(self) -> bool:
        stream = self._stream
        return stream is None or stream.unread_bytes < STREAM_WINDOW_BYTES

    def when_room(self, resume: Callable[[], None]) -> None:
        if (stream := self._stream) is not None and not self.has_room:
            stream.when_room(resume)
        else:
            asyncio.get_running_loop().call_soon(resume)

    def write(self, chunk: bytes) -> None:
        self._written_bytes += len(chunk)
        if chunk and (stream := self._stream) is not None:
            stream.take(chunk, self._content_type)

    def end(self, reply: Reply) -> None:
        if self._inbox is not None:
            self._inbox.deliver(replace(reply, streamed_bytes=self._written_bytes))

    @property
    def _stream(self) -> MemoryIncomingStream | None:
        return self._inbox.stream_of(self._request_id) if self._inbox is not None else None
