from __future__ import annotations

import socket

import pytest

from deploy.errors import DeployError
from deploy.ports import free_port


def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            DeployError, match=f"127.0.0.1:{port}: Address already in use; choose another --port"
        ):
            free_port("127.0.0.1", port)


def test_an_address_that_is_not_this_machines_is_refused_with_what_to_do() -> None:
    # 192.0.2.0/24 is kept for documentation: no machine has an address of it.
    with pytest.raises(DeployError, match=r"192\.0\.2\.1:0: .*; choose another --host"):
        free_port("192.0.2.1", 0)
