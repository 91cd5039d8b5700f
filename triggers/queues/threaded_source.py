"""A queue for the event loop: one owned thread does all that blocks, and is woken for what is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from triggers.queues.arrivals import Arrivals
from triggers.queues.message import NotPlaced, QueueMessage, SourceUnavailable

_Asked = tuple[Callable[[], None], asyncio.Future[None]]


class Link(Protocol):
    """The blocking side; used by one thread. As `QueueSource`, all raise SourceUnavailable."""

    def open(self) -> None:
        """Connect and consume."""

    def read(self, wake_fd: int) -> Sequence[QueueMessage]:
        """Wait for messages, some seconds at most, less if `wake_fd` gets readable; those that came."""

    def ack(self, messages: Sequence[QueueMessage]) -> None: ...

    def retry(self, message: QueueMessage) -> None: ...

    def dead_letter(self, message: QueueMessage, reason: str) -> None: ...

    def close(self) -> None:
        """Give back what is not settled. Never raises."""


class ThreadedSource:
    """A `QueueSource`; made by `open`. Messages are pushed by the server as they arrive."""

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._arrivals = Arrivals()
        self._asked: deque[_Asked] = deque()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name=f"queue-{name}", daemon=True)

    @classmethod
    async def open(cls, link: Link, name: str) -> Self:
        """Connect and consume; `name` is the thread's. Raises SourceUnavailable."""
        source = cls(link, name)
        source._thread.start()
        try:
            await source._opened
        except BaseException:
            await source.close()
            raise
        return source

    async def receive(self, most: int, wait_seconds: float | None) -> Sequence[QueueMessage]:
        return await self._arrivals.take(most, wait_seconds)

    async def ack(self, messages: Sequence[QueueMessage]) -> None:
        await self._ask(lambda: self._link.ack(messages))

    async def retry(self, message: QueueMessage) -> None:
        await self._ask(lambda: self._link.retry(message))

    async def dead_letter(self, message: QueueMessage, reason: str) -> None:
        await self._ask(lambda: self._link.dead_letter(message, reason))

    async def close(self) -> None:
        self._closing = True
        if not self._ended.is_set():
            os.eventfd_write(self._wake_fd, 1)
        await self._ended.wait()

    async def _ask(self, step: Callable[[], None]) -> None:
        self._arrivals.check()
        done: asyncio.Future[None] = self._loop.create_future()
        self._asked.append((step, done))
        os.eventfd_write(self._wake_fd, 1)
        await done

    def _serve(self) -> None:
        """The thread's whole life."""
        reason = "the connection was closed"
        try:
            self._link.open()
            self._tell(_succeed, self._opened)
            while not self._closing:
                arrived = self._link.read(self._wake_fd)
                if arrived:
                    self._tell(self._arrivals.add, arrived)
                self._do_what_was_asked()
            self._do_what_was_asked()
        except SourceUnavailable as error:
            reason = str(error)
        except Exception as error:  # the thread's end must be told, whatever ended it
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._link.close()
            self._tell(self._end, reason)

    def _do_what_was_asked(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        while self._asked:
            step, done = self._asked.popleft()
            try:
                step()
            except NotPlaced as error:
                self._tell(_fail, done, error)
            except BaseException:
                self._asked.appendleft((step, done))
                raise
            else:
                self._tell(_succeed, done)

    def _tell(self, callback: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _end(self, reason: str) -> None:
        self._arrivals.fail(reason)
        for done in (self._opened, *(done for _, done in self._asked)):
            _fail(done, SourceUnavailable(reason))
        self._asked.clear()
        os.close(self._wake_fd)
        self._ended.set()


def _succeed(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _fail(done: asyncio.Future[None], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
