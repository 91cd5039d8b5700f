"""Whose process is at the other end of a connection over this machine's loopback."""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
ANY_STATE = 0xFFFF_FFFF
NO_COOKIE = 0xFFFF_FFFF
TIME_WAIT = "06"
UID_AT = 64
"""Of the owner, in the kernel's answer: after its header and the socket's description."""

Address = tuple[str, int]


def is_from(uid: int, connection: socket.socket) -> bool:
    """Whether a process of this user is at the other end, and has not gone yet."""
    try:
        return peer_uid(connection) == uid
    except OSError:
        return False


def peer_uid(connection: socket.socket) -> int:
    """The user id that made the other end of an IPv4 connection, as the kernel knows it.

    Raises OSError, where it is gone for one."""
    there, here = connection.getpeername(), connection.getsockname()
    try:
        return diagnosed_uid(there, here)
    except OSError:
        # Gone, or the kernel's module for such questions is missing and cannot be loaded.
        return listed_uid(there, here)


def diagnosed_uid(there: Address, here: Address) -> int:
    """Asks the kernel for this one socket. Raises OSError."""
    ends = struct.pack("!HH4s12x4s12x", there[1], here[1], _packed(there[0]), _packed(here[0]))
    wanted = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, ANY_STATE)
    body = wanted + ends + struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    header = struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + body)
        answer = kernel.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] == NLMSG_ERROR:
        number = -struct.unpack_from("=i", answer, 16)[0]
        raise OSError(number or errno.ENOENT, "the other end is not known")
    uid: int = struct.unpack_from("=I", answer, 16 + UID_AT)[0]
    return uid


def listed_uid(there: Address, here: Address) -> int:
    """Looks for it among all sockets: slower the more there are. Raises OSError."""
    wanted = [_listed(there), _listed(here)]
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1:3] == wanted and fields[3] != TIME_WAIT:
            return int(fields[7])
    raise OSError(errno.ENOENT, "the other end is not listed")


def _listed(address: Address) -> str:
    return f"{struct.unpack('=I', _packed(address[0]))[0]:08X}:{address[1]:04X}"


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)
