"""A door in front of a server: TCP goes through while it is open, and nothing answers while it is shut."""

from __future__ import annotations

import asyncio
import contextlib
import socket


class Door:
    """Forwards `url` to a server on loopback. Shut at first; the port stays the same."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._listener: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._forward, "127.0.0.1", self._port)

    async def shut(self) -> None:
        """Refuse connections and break those that are there. Idempotent."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for stream in list(self._streams):
            stream.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._streams |= {writer, inner_writer}
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        self._streams -= {writer, inner_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
