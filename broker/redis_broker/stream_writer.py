"""The answering end of streamed replies over Redis: chunks out, the readers' progress in."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from broker.errors import BrokerUnavailable
from broker.interface import STREAM_WINDOW_BYTES
from broker.invocation import Reply
from broker.redis_broker.inbox import RedisReplies
from broker.redis_broker.link import Link
from broker.redis_broker.stream_frames import Chunk, Progress, decode_progress, encode_chunk

log = logging.getLogger(__name__)

PIECE_BYTES = 64 * 1024
_RETRY_SECONDS = 0.2
_UNHEARD_TIMES = 25
"""So often in a row nobody listens to a chunk before its reader counts as gone."""
_LAST_READ_SECONDS = 120.0
"""How long the end of a stream is kept for a reader who is slow."""


class RedisReplyStreams:
    """All streams that this process writes; their readers report to one channel."""

    def __init__(self, link: Link, replies: RedisReplies, namespace: str) -> None:
        self._link = link
        self._replies = replies
        self._channel = f"{namespace}:streams:{secrets.token_hex(8)}"
        self._subscribed = False
        self._streams: dict[str, RedisReplyStream] = {}

    def open(self, reply_to: str, request_id: str, content_type: str) -> RedisReplyStream:
        """Begin a streamed reply."""
        if not self._subscribed:
            # Sent ahead of the first chunk on the same connection, so no report of it is missed.
            self._subscribed = True
            self._link.subscribe_soon(self._channel, self._heard)
            self._link.on_connected(self._reconnected)
        head = Chunk(request_id, 0, self._channel, content_type, b"")
        stream = RedisReplyStream(self._link, self._replies, reply_to, head, self._forget)
        self._streams[request_id] = stream
        return stream

    def _heard(self, body: bytes) -> None:
        try:
            progress = decode_progress(body)
        except msgspec.MsgspecError:
            log.error("progress_undecodable", extra={"progress_bytes": len(body)})
            return
        if (stream := self._streams.get(progress.request_id)) is not None:
            stream.heard(progress)

    async def _reconnected(self) -> None:
        """What readers said meanwhile was lost: send all that they may lack; they say how far they are."""
        for stream in list(self._streams.values()):
            stream.send_unread()

    def _forget(self, request_id: str) -> None:
        self._streams.pop(request_id, None)


class RedisReplyStream:
    """Implements `broker.interface.ReplyStream`. `head` is a chunk without bytes, to be copied."""

    def __init__(
        self,
        link: Link,
        replies: RedisReplies,
        reply_to: str,
        head: Chunk,
        forget: Callable[[str], None],
    ) -> None:
        self._link = link
        self._replies = replies
        self._reply_to = reply_to
        self._head = head
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []
        self._kept: deque[Chunk] = deque()
        """Sent or to be sent, and not read yet."""
        self._written_bytes = 0
        self._read_bytes = 0
        self._sent_bytes = 0
        self._unheard = 0
        self._timer: asyncio.TimerHandle | None = None
        self._resume: list[Callable[[], None]] = []
        self._reply: Reply | None = None
        self._over = False

    @property
    def has_room(self) -> bool:
        return self._over or self._written_bytes - self._read_bytes < STREAM_WINDOW_BYTES

    def when_room(self, resume: Callable[[], None]) -> None:
        self._resume.append(resume)
        if self.has_room:
            self._loop.call_soon(self._make_room)

    def write(self, chunk: bytes) -> None:
        self._written_bytes += len(chunk)
        if self._over or not chunk:
            return
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(chunk)

    def end(self, reply: Reply) -> None:
        self._flush()
        self._reply = replace(reply, streamed_bytes=self._written_bytes)
        self._replies.send(self._reply_to, self._reply)
        if self._over:
            return
        if self._read_bytes == self._written_bytes:
            self._finish()
        else:
            self._loop.call_later(_LAST_READ_SECONDS, self._finish)

    def heard(self, progress: Progress) -> None:
        """The reader says how far it is."""
        if progress.closed:
            self._finish()
            return
        self._unheard = 0
        self._read_bytes = max(self._read_bytes, progress.read_bytes)
        while self._kept and _end(self._kept[0]) <= progress.read_bytes:
            self._kept.popleft()
        if progress.again:
            self._send_again(progress.received_bytes)
        self._make_room()

    def send_unread(self) -> None:
        """Send everything once more that the reader is not known to have."""
        self._send_again(self._read_bytes)

    def _flush(self) -> None:
        """Cut what was written in this tick into pieces and send them."""
        data, self._gathered = b"".join(self._gathered), []
        offset = self._written_bytes - len(data)
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            self._kept.append(
                Chunk(
                    self._head.request_id,
                    offset + start,
                    self._head.writer,
                    self._head.content_type,
                    piece,
                )
            )
        self._send()

    def _send(self) -> None:
        """Send what was not sent yet, unless something sent before must go first once more."""
        if self._timer is not None or self._over:
            return
        for chunk in self._kept:
            if chunk.offset >= self._sent_bytes:
                self._sent_bytes = _end(chunk)
                sending = self._link.call("PUBLISH", self._reply_to, encode_chunk(chunk))
                sending.add_done_callback(self._published)

    def _published(self, answer: asyncio.Future[object]) -> None:
        if answer.cancelled() or self._over:
            return
        error = answer.exception()
        if error is None and answer.result() != 0:
            self._unheard = 0
        elif self._timer is None:
            # A lost connection says nothing of the reader; that nobody listens does, if it lasts.
            self._unheard += not isinstance(error, BrokerUnavailable)
            if self._unheard > _UNHEARD_TIMES:
                log.info("stream_unclaimed", extra={"request_id": self._head.request_id})
                self._finish()
            else:
                self._timer = self._loop.call_later(_RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self.send_unread()

    def _send_again(self, from_bytes: int) -> None:
        self._sent_bytes = min(self._sent_bytes, from_bytes)
        self._send()
        if self._reply is not None:
            self._replies.send(self._reply_to, self._reply)

    def _make_room(self) -> None:
        if self.has_room:
            waiting, self._resume = self._resume, []
            for resume in waiting:
                resume()

    def _finish(self) -> None:
        """Nobody reads any more, or all was read: keep nothing."""
        self._over = True
        self._kept.clear()
        self._gathered.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._forget(self._head.request_id)
        self._make_room()


def _end(chunk: Chunk) -> int:
    return chunk.offset + len(chunk.data)
