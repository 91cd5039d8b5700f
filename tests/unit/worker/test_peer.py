"""Whose process is at the other end of a connection: two ways to ask, one answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from worker.runtime_api.peer import Address, diagnosed_uid, is_from, listed_uid

ASK = [diagnosed_uid, listed_uid]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Of a connection: the caller's, and the one that wants to know."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as caller,
        server.accept()[0] as answerer,
    ):
        yield caller, answerer


@pytest.mark.parametrize("ask", ASK)
def test_the_owner_of_the_other_end_is_known(
    ask: Callable[[Address, Address], int], ends: tuple[socket.socket, socket.socket]
) -> None:
    _, answerer = ends

    assert ask(answerer.getpeername(), answerer.getsockname()) == os.getuid()
    assert is_from(os.getuid(), answerer)
    assert not is_from(os.getuid() + 1, answerer)


@pytest.mark.parametrize("ask", ASK)
def test_there_is_no_owner_where_nobody_is_connected(
    ask: Callable[[Address, Address], int], ends: tuple[socket.socket, socket.socket]
) -> None:
    _, answerer = ends

    with pytest.raises(FileNotFoundError):
        ask(("127.0.0.1", 1), answerer.getsockname())
