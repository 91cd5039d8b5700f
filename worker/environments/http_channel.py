"""The Lambda Runtime API over HTTP: the channel of every runtime that brings its own client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from worker.environments.channel import ChannelListener
from worker.environments.interface import Work
from worker.runtime_api.listener import RuntimeApiListener
from worker.runtime_api.session import Session


class HttpChannel:
    """One environment's Runtime API: on a loopback port of this machine, or `inside`, where the sandbox binds
    it and passes the listening socket on."""

    def __init__(self, listener: ChannelListener, *, inside: bool = False) -> None:
        self._session = Session(listener)
        self._api = RuntimeApiListener(self._session)
        self._inside = inside
        self._line: socket.socket | None = None
        self._far_line: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def function_end(self) -> None:
        """Nothing is inherited: the runtime connects."""

    @property
    def api_line(self) -> socket.socket | None:
        return self._far_line

    async def open(self) -> Mapping[str, str]:
        if not self._inside:
            return {"AWS_LAMBDA_RUNTIME_API": await self._api.open()}
        self._line, self._far_line = socket.socketpair()
        self._line.setblocking(False)
        asyncio.get_running_loop().add_reader(self._line, self._take_listener)
        return {}

    def process_started(self) -> None:
        if self._far_line is not None:
            self._far_line.close()

    def send(self, work: Work) -> None:
        self._session.offer(work)

    def withdraw(self) -> bool:
        return self._session.withdraw()

    def drain(self) -> None:
        """A runtime that exits after an answer has waited for our 202, so nothing is under way."""

    def close(self) -> None:
        self._session.close()
        self._api.close()
        self._close_line()
        if self._far_line is not None:
            self._far_line.close()
        if self._serving is not None:
            self._serving.cancel()

    def _take_listener(self) -> None:
        assert self._line is not None
        try:
            descriptors = socket.recv_fds(self._line, 1, 1)[1]
        except BlockingIOError:
            return
        except ConnectionError:
            descriptors = []  # the process died; its end is reported elsewhere
        self._close_line()
        for descriptor in descriptors:
            listening = self._api.serve(socket.socket(fileno=descriptor))
            self._serving = asyncio.create_task(listening, name="serve runtime api")

    def _close_line(self) -> None:
        if self._line is not None:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()
            self._line = None
