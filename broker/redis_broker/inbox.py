"""Replies over Redis: one channel for each asking process, coalesced on the answering side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from broker.errors import BrokerUnavailable
from broker.invocation import Reply
from broker.redis_broker.batch import FULL_WITH
from broker.redis_broker.link import Link
from broker.redis_broker.stream_frames import CHUNK_PREFIX, Progress, decode_chunk, encode_progress
from broker.redis_broker.stream_reader import RedisIncomingStream

log = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Reply]).decode
_decode_one = msgspec.msgpack.Decoder(Reply).decode

INLINE_BYTES = 256 * 1024
"""A larger reply is stored and fetched: Redis drops subscribers that lag by some tens of megabytes."""
_STORED_PREFIX = b"stored:"
_SPECIAL = (CHUNK_PREFIX, _STORED_PREFIX)
_STORED_TTL_MS = 60_000
_RESEND_SECONDS = 0.2
_RESENDS = 25
_GRACE_SECONDS = 5.0
_LOST = b"The broker restarted while the function was called; it may have run."


class RedisInbox:
    """The asking side: implements `broker.interface.ReplyInbox`."""

    def __init__(self, link: Link, address: str) -> None:
        self._link = link
        self._address = address
        self._waiting: dict[str, Callable[[Reply], None]] = {}
        self._streams: dict[str, RedisIncomingStream] = {}
        self._run_id = ""

    async def open(self) -> None:
        """Listen for replies."""
        await self._link.subscribe(self._address, self._arrived)
        self._run_id = self._link.run_id
        self._link.on_connected(self._reconnected)

    async def _reconnected(self) -> None:
        """A server that restarted has forgotten all sync invocations. Those that a worker has are answered
        soon; the callers of the others are told. Streams go on where they were."""
        for stream in list(self._streams.values()):
            stream.reconnected()
        if self._link.run_id != self._run_id:
            self._run_id = self._link.run_id
            asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._give_up, list(self._waiting))

    def _give_up(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            stream = self._streams.get(request_id)
            if stream is None or stream.heard_in != self._run_id:
                self._deliver(Reply(request_id, _LOST, "Platform"))

    @property
    def address(self) -> str:
        return self._address

    def expect(self, request_id: str, deliver: Callable[[Reply], None]) -> None:
        self._waiting[request_id] = deliver

    def expect_stream(self, request_id: str) -> RedisIncomingStream:
        stream = self._streams[request_id] = RedisIncomingStream(request_id, self._report, self.forget)
        self.expect(request_id, stream.end)
        return stream

    def forget(self, request_id: str) -> None:
        self._waiting.pop(request_id, None)
        self._streams.pop(request_id, None)

    def _arrived(self, body: bytes) -> None:
        if body.startswith(_SPECIAL):
            if body.startswith(CHUNK_PREFIX):
                self._take_chunk(body[len(CHUNK_PREFIX) :])
            else:
                self._fetch(body[len(_STORED_PREFIX) :])
            return
        try:
            replies = _decode(body)
        except msgspec.MsgspecError:
            log.error("reply_undecodable", extra={"reply_bytes": len(body)})
            return
        for reply in replies:
            self._deliver(reply)

    def _deliver(self, reply: Reply) -> None:
        deliver = self._waiting.pop(reply.request_id, None)
        if deliver is not None:
            deliver(reply)

    def _take_chunk(self, body: bytes) -> None:
        try:
            chunk = decode_chunk(body)
        except msgspec.MsgspecError:
            log.error("chunk_undecodable", extra={"chunk_bytes": len(body)})
            return
        if (stream := self._streams.get(chunk.request_id)) is not None:
            stream.take(chunk, self._run_id)
        else:
            self._report(chunk.writer, Progress(chunk.request_id, 0, 0, closed=True))

    def _report(self, writer: str, progress: Progress) -> None:
        self._link.call("PUBLISH", writer, encode_progress(progress)).add_done_callback(_ignore)

    def _fetch(self, key: bytes) -> None:
        def fetched(answer: asyncio.Future[object]) -> None:
            if answer.cancelled() or answer.exception() is not None:
                return  # the caller's deadline answers it
            value = answer.result()
            if isinstance(value, bytes):
                self._deliver(_decode_one(value))

        self._link.call("GETDEL", key).add_done_callback(fetched)


class RedisReplies:
    """The answering side: replies of a loop tick to one address travel together, as few messages."""

    def __init__(self, link: Link, namespace: str) -> None:
        self._link = link
        self._namespace = namespace
        self._outgoing: dict[str, list[Reply]] = {}
        self._loop = asyncio.get_running_loop()

    def send(self, reply_to: str, reply: Reply) -> None:
        """Queue a reply for this tick's message."""
        if len(reply.payload) > INLINE_BYTES:
            self._store(reply_to, reply)
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        replies = self._outgoing.setdefault(reply_to, [])
        replies.append(reply)
        if len(replies) >= FULL_WITH:
            self._flush()
            self._link.flush()

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for reply_to, replies in outgoing.items():
            self._publish(reply_to, _encode(replies), _RESENDS)

    def _store(self, reply_to: str, reply: Reply) -> None:
        key = f"{self._namespace}:reply:{reply.request_id}"
        self._link.call("SET", key, _encode(reply), "PX", _STORED_TTL_MS).add_done_callback(_observe)
        self._publish(reply_to, _STORED_PREFIX + key.encode(), _RESENDS)

    def _publish(self, reply_to: str, body: bytes, resends: int) -> None:
        """Publish; while nobody listens (the asker reconnects, or is gone) try again for some seconds."""

        def published(answer: asyncio.Future[object]) -> None:
            if answer.cancelled():
                return
            if answer.exception() is None and answer.result() != 0:
                return
            if resends > 0:
                self._loop.call_later(_RESEND_SECONDS, self._publish, reply_to, body, resends - 1)
            else:
                log.info("reply_unclaimed", extra={"reply_to": reply_to})

        self._link.call("PUBLISH", reply_to, body).add_done_callback(published)


def _observe(answer: asyncio.Future[object]) -> None:
    if not answer.cancelled() and isinstance(error := answer.exception(), BrokerUnavailable):
        log.warning("reply_not_stored", extra={"reason": str(error)})


def _ignore(answer: asyncio.Future[object]) -> None:
    """A report that was lost with the connection is made again: the writer asks by sending once more."""
    if not answer.cancelled():
        answer.exception()
