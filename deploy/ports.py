"""Ports that the gateway could listen on."""

from __future__ import annotations

import errno
import socket

from deploy.errors import DeployError


def free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0. Raises DeployError where it cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            reason = error.strerror or str(error)
            wrong = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
            raise DeployError(f"cannot listen on {host}:{port}: {reason}; choose another {wrong}") from error
        return int(probe.getsockname()[1])
