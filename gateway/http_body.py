"""Reading a request's body off ASGI, never more of it than is allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


_DROPPED_TIMES = 4


class BodyTooLarge(Exception):
    """The body has more bytes than allowed."""


class CallerGone(Exception):
    """The caller hung up before the body was complete."""


async def read_body(receive: Receive, headers: list[tuple[bytes, bytes]], limit_bytes: int) -> bytes:
    """The whole body. Raises BodyTooLarge, CallerGone.

    A body somewhat over the limit is read to its end and dropped: clients look for no answer while they
    send. One that is announced as, or grows to, four times the limit is refused at once.
    """
    if _announced(headers) > limit_bytes * _DROPPED_TIMES:
        raise BodyTooLarge
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= limit_bytes * _DROPPED_TIMES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            chunks.clear()
        else:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if size > limit_bytes:
        raise BodyTooLarge
    return b"".join(chunks)


def _announced(headers: list[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def send_response(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """A whole response at once; the content length is added."""
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})
