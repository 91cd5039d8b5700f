"""A response on its way to the caller while the function still writes it."""

from __future__ import annotations

from collections.abc import Callable

from broker.interface import Broker, ReplyStream
from broker.invocation import Invocation, Reply


class StreamedResponse:
    """A `ResponseSink` of one invocation whose caller reads bit by bit; opened when its runtime streams."""

    def __init__(self, broker: Broker, invocation: Invocation) -> None:
        self._broker = broker
        self._invocation = invocation
        self._stream: ReplyStream | None = None

    @property
    def begun(self) -> bool:
        """The runtime streams: the reply must go this way too."""
        return self._stream is not None

    def begin(self, content_type: str) -> None:
        self._stream = self._broker.stream(
            self._invocation.reply_to, self._invocation.request_id, content_type
        )

    def write(self, chunk: bytes) -> None:
        self._opened.write(chunk)

    @property
    def has_room(self) -> bool:
        return self._opened.has_room

    def when_room(self, resume: Callable[[], None]) -> None:
        self._opened.when_room(resume)

    def end(self, reply: Reply) -> None:
        """The last word, after all that was streamed."""
        self._opened.end(reply)

    @property
    def _opened(self) -> ReplyStream:
        assert self._stream is not None
        return self._stream
