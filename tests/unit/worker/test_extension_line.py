"""What comes over the line of an environment's extensions is not trusted."""

from __future__ import annotations

import asyncio
import json
import os
import socket

import pytest

from tests.waiting import until
from worker.environments.extension_line import CannotConnect, ExtensionLine


class Deaf:
    """Hears nothing of extensions."""

    def extension_not_started(self, name: str, error: str) -> None:
        raise AssertionError(name, error)

    def extension_exited(self, name: str, code: int) -> None:
        raise AssertionError(name, code)


async def test_a_descriptor_that_is_no_socket_is_closed() -> None:
    line = ExtensionLine(Deaf())
    host = line.far_end.dup()
    readable, writable = os.pipe()
    connecting = asyncio.ensure_future(line.connect(8080))
    await until(lambda: connecting.done() or _has_data(host))
    request = json.loads(host.recv(4096))
    answer = json.dumps({"event": "connected", "number": request["number"]}).encode()

    socket.send_fds(host, [answer], [writable])
    os.close(writable)

    with pytest.raises(CannotConnect):
        await asyncio.wait_for(connecting, 10)
    assert os.read(readable, 1) == b""
    os.close(readable)
    host.close()
    line.close()


def _has_data(line: socket.socket) -> bool:
    try:
        return bool(line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False
