"""The worker's end of the line to what runs an environment's extensions (`inside/extension_host`)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
from typing import Protocol

import msgspec

MESSAGE_BYTES = 4096


class LineListener(Protocol):
    """What can be heard over the line."""

    def extension_not_started(self, name: str, error: str) -> None:
        """A program could not be executed."""

    def extension_exited(self, name: str, code: int) -> None:
        """An extension's process has ended: its exit status, or the negative signal number."""


class _Event(msgspec.Struct):
    event: str
    name: str = ""
    error: str = ""
    code: int = 0
    number: int = 0


class CannotConnect(OSError):
    """Nobody listens at a port of the environment's network."""


class ExtensionLine:
    """Speaks with one host, which lives as long as its environment."""

    def __init__(self, listener: LineListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._line, self.far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._loop.add_reader(self._line, self._receive)
        self._numbers = itertools.count(1)
        self._connecting: dict[int, asyncio.Future[socket.socket]] = {}

    def process_started(self) -> None:
        """The sandbox has its own copy of `far_end`."""
        self.far_end.close()

    def let_runtime_start(self) -> None:
        """Every extension has registered."""
        self._ask(request="go")

    async def connect(self, port: int) -> socket.socket:
        """A connection to what listens at `port` of the environment's loopback. Raises CannotConnect."""
        number = next(self._numbers)
        connected: asyncio.Future[socket.socket] = self._loop.create_future()
        self._connecting[number] = connected
        try:
            self._ask(request="connect", port=port, number=number)
            return await connected
        finally:
            self._connecting.pop(number, None)

    def close(self) -> None:
        """Hang up. Idempotent."""
        self.far_end.close()
        if self._line.fileno() >= 0:
            self._loop.remove_reader(self._line)
            self._line.close()
        for connected in self._connecting.values():
            if not connected.done():
                connected.set_exception(CannotConnect("the environment ends"))

    def _ask(self, **request: object) -> None:
        try:
            self._line.send(json.dumps(request).encode())
        except OSError as error:
            # The host is gone, or does not read: its environment is ending, or has done so to itself.
            for connected in self._connecting.values():
                if not connected.done():
                    connected.set_exception(CannotConnect(str(error)))

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._line, MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.close()
            return
        connection = _socket_of(descriptors[0]) if descriptors else None
        try:
            event = msgspec.json.decode(data, type=_Event)
        except msgspec.MsgspecError:
            event = _Event("")
        if not self._hear(event, connection) and connection is not None:
            connection.close()

    def _hear(self, event: _Event, connection: socket.socket | None) -> bool:
        """True where the connection is taken. The sandbox is not trusted: nonsense is passed over."""
        waiting = self._connecting.get(event.number)
        if event.event == "failed":
            self._listener.extension_not_started(event.name, event.error)
        elif event.event == "exited":
            self._listener.extension_exited(event.name, event.code)
        elif waiting is None or waiting.done():
            return False
        elif connection is not None:
            waiting.set_result(connection)
            return True
        else:
            waiting.set_exception(CannotConnect(event.error))
        return False


def _socket_of(descriptor: int) -> socket.socket | None:
    """None where it is something else."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
