"""A network namespace's insides: its loopback interface, and the Runtime API's listener bound there."""

from __future__ import annotations

import fcntl
import socket
import struct

LOOPBACK = "127.0.0.1"
API_PORT = 9001
"""Where a runtime whose Runtime API the sandbox binds finds it; the port is AWS's."""

SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def raise_loopback() -> None:
    """Bring `lo` up. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def pass_listener_on(channel: int, address: str) -> None:
    """Listen at `address`, port API_PORT, and hand the socket over. Raises OSError."""
    with socket.socket() as listener, socket.socket(fileno=channel) as line:
        # The last environment at this address may have left connections that wait for their end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, API_PORT))
        listener.listen(64)
        socket.send_fds(line, [b"L"], [listener.fileno()])
