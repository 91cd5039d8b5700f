"""Programs of the kernel (BPF) that are asked about addresses: how they are written, and attached to a group.

They run when a process of a control group (version 2) binds or connects a socket or sends a datagram, and may
refuse that or change the address.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping

from .kernel import Kernel

LOAD_PROGRAM, ATTACH_PROGRAM = 5, 8
CGROUP_SOCK_ADDR = 18
HOOKS = {"bind4": 8, "bind6": 9, "connect4": 10, "connect6": 11, "sendmsg4": 14, "sendmsg6": 15}

IPV4_AT, IPV6_AT, PORT_AT, TYPE_AT = 4, 8, 24, 32
"""Offsets in what the program is given."""
SOURCE_AT = 24
"""Offset in a socket that was looked up: the IPv4 address it is bound to, in the network's byte order."""

GET_UID, LOOK_UP_TCP, LOOK_UP_UDP, RELEASE_SOCKET = 15, 84, 85, 86

MOVE, MOVE_32, AND_32, ADD_32, LOAD_32, TO_BIG_ENDIAN = 0xBF, 0xBC, 0x54, 0x04, 0x61, 0xDC
SET, SET_32, ADD, IF_NULL = 0xB7, 0xB4, 0x07, 0x15
IF_SAME, IF_DIFFERENT, IF_EQUAL, IF_NOT_EQUAL = 0x1E, 0x5E, 0x16, 0x56
STORE_32, STORE_16, CLEAR_32, CLEAR_16 = 0x63, 0x6B, 0x62, 0x6A
GO, CALL, EXIT = 0x05, 0x85, 0x95

CONTEXT = 6
"""The register that keeps the address of what the program is given."""


def attach(kernel: Kernel, group: str, programs: Mapping[str, bytes]) -> None:
    """Have the processes of `group` (a directory) and of groups below it ask these programs, by hook, instead
    of those that were there. Raises OSError."""
    directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for hook, steps in programs.items():
            program = _load(kernel, steps, HOOKS[hook])
            attribute = struct.pack("=IIII", directory, program, HOOKS[hook], 0)
            kernel.call("bpf", ATTACH_PROGRAM, attribute, len(attribute))
            os.close(program)
    finally:
        os.close(directory)


def _load(kernel: Kernel, steps: bytes, hook: int) -> int:
    program, license_name = (
        ctypes.create_string_buffer(steps, len(steps)),
        ctypes.create_string_buffer(b"GPL"),
    )
    addresses = ctypes.addressof(program), ctypes.addressof(license_name)
    head = struct.pack("=IIQQIIQII", CGROUP_SOCK_ADDR, len(steps) // 8, *addresses, 0, 0, 0, 0, 0)
    attribute = head + bytes(16) + struct.pack("=II", 0, hook)
    return kernel.call("bpf", LOAD_PROGRAM, attribute, len(attribute))


def step(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhI", code, to | source << 4, offset, value & 0xFFFF_FFFF)


class AddressProgram:
    """Steps with jumps to labels; `allow` and `refuse` are the two ends."""

    def __init__(self) -> None:
        self._steps: list[tuple[bytes, str]] = []
        self._labels: dict[str, int] = {}

    def add(
        self, code: int, to: int = 0, source: int = 0, value: int = 0, offset: int = 0, goal: str = ""
    ) -> None:
        self._steps.append((step(code, to, source, offset, value), goal))

    def begin(self) -> None:
        """Keep what the program is given: calls overwrite the register it comes in."""
        self.add(MOVE, CONTEXT, 1)

    def label(self, name: str) -> None:
        """The next step is where jumps to `name` go."""
        self._labels[name] = len(self._steps)

    def load(self, register: int, offset: int) -> None:
        """Four bytes of the address, in the machine's byte order."""
        self.add(LOAD_32, register, CONTEXT, offset=offset)
        self.add(TO_BIG_ENDIAN, register, value=32)

    def assemble(self) -> bytes:
        last = len(self._steps)
        goals = {**self._labels, "allow": last, "refuse": last + 2}
        body = b""
        for place, (each, goal) in enumerate(self._steps):
            body += each[:2] + struct.pack("=h", goals[goal] - place - 1) + each[4:] if goal else each
        allowing, refusing = step(SET_32, value=1) + step(EXIT), step(SET_32, value=0) + step(EXIT)
        # The kernel takes no steps that nothing leads to.
        refuses = any(goal == "refuse" for _, goal in self._steps)
        return body + allowing + (refusing if refuses else b"")
