"""Where the processes of one environment find its Runtime API: at a port of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from worker.runtime_api.connection import RuntimeConnection
from worker.runtime_api.routes import Api

LOOPBACK = "127.0.0.1"
BACKLOG = 64


class RuntimeApiListener:
    """Serves one environment: on a loopback port of this machine, or `inside`, where the sandbox binds it and
    passes the listening socket on. A server is made when somebody connects: most functions never do.

    Nobody is let in before `process_started`, as until then nobody can be told from strangers: the kernel
    has callers wait."""

    def __init__(self, api: Api, *, inside: bool = False) -> None:
        self._api = api
        self._inside = inside
        self._loop = asyncio.get_running_loop()
        self._connections: set[RuntimeConnection] = set()
        self._listening: socket.socket | None = None
        self._line: socket.socket | None = None
        self._far_line: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None

    @property
    def api_line(self) -> socket.socket | None:
        """Over which the sandbox is to pass a listener of the process's own network, if it is to."""
        return self._far_line

    def open(self) -> Mapping[str, str]:
        """Listen; returns the environment variables by which processes find it, if they are known here."""
        if self._inside:
            self._line, self._far_line = socket.socketpair()
            self._line.setblocking(False)
            return {}
        listening = socket.socket()
        listening.bind((LOOPBACK, 0))
        listening.listen(BACKLOG)
        listening.setblocking(False)
        self._listening = listening
        return {"AWS_LAMBDA_RUNTIME_API": f"{LOOPBACK}:{listening.getsockname()[1]}"}

    def process_started(self) -> None:
        """The sandbox has its own copy of `api_line`, and it is known whose process it is: let it in."""
        self._close_far_line()
        if self._line is not None:
            self._loop.add_reader(self._line, self._take_listener)
        if self._listening is not None:
            self._loop.add_reader(self._listening, self._begin_serving)

    def close(self) -> None:
        """Hang up on everybody. Idempotent."""
        self._close_line()
        self._close_far_line()
        if self._serving is not None:
            self._serving.cancel()
        self._stop_listening()
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.close()

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
            self._listening = socket.socket(fileno=descriptor)
            self._listening.setblocking(False)
            self._loop.add_reader(self._listening, self._begin_serving)

    def _begin_serving(self) -> None:
        assert self._listening is not None
        self._loop.remove_reader(self._listening)
        self._serving = asyncio.create_task(self._serve(self._listening), name="serve runtime api")

    async def _serve(self, listening: socket.socket) -> None:
        self._server = await self._loop.create_server(
            lambda: RuntimeConnection(self._api, self._connections), sock=listening
        )
        self._listening = None  # the server's from now on

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _close_far_line(self) -> None:
        if self._far_line is not None:
            self._far_line.close()

    def _close_line(self) -> None:
        if self._line is not None:
            self._loop.remove_reader(self._line)
            self._line.close()
            self._line = None
