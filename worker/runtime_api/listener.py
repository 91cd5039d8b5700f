"""Where a runtime finds its Runtime API: a loopback port of its own."""

from __future__ import annotations

import asyncio
import socket

from worker.runtime_api.connection import RuntimeConnection
from worker.runtime_api.session import Session

LOOPBACK = "127.0.0.1"


class RuntimeApiListener:
    """Serves one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connections: set[RuntimeConnection] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """Listen; returns `host:port` for AWS_LAMBDA_RUNTIME_API."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: RuntimeConnection(self._session, self._connections), LOOPBACK, 0
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def serve(self, listening: socket.socket) -> None:
        """Serve on a socket that listens already; it is ours from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: RuntimeConnection(self._session, self._connections), sock=listening
        )

    def close(self) -> None:
        """Hang up on everybody. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.close()
