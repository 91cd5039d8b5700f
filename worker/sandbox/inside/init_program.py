"""The first process of a pid namespace: adopts orphans, lets the kernel bury them, dies with its zygote.

Without it the function would be process 1, which cannot kill itself and must bury orphans. A forked Python
would cost every environment some 400 KB; this program is a few instructions, assembled here.
"""

from __future__ import annotations

import os
import platform
import struct

ADDRESS = 0x400000
HEADER_BYTES = 64 + 56

SIGNAL_ACTION = struct.pack("<QQQQ", 1, 0, 0, 0)
"""Handler SIG_IGN: dead children are buried by the kernel."""


def _x86_64(dies_with_parent: bool) -> bytes:
    """prctl(PR_SET_PDEATHSIG, SIGKILL); rt_sigaction(SIGCHLD, action, 0, 8); for ever: pause()."""
    death = (
        b"\xb8\x9d\x00\x00\x00"  # mov eax, 157 (prctl)
        b"\xbf\x01\x00\x00\x00"  # mov edi, 1
        b"\xbe\x09\x00\x00\x00"  # mov esi, 9
        b"\x0f\x05"  # syscall
    )
    code = (
        b"\xb8\x0d\x00\x00\x00"  # mov eax, 13 (rt_sigaction)
        b"\xbf\x11\x00\x00\x00"  # mov edi, 17
        b"\x48\x8d\x35\x14\x00\x00\x00"  # lea rsi, [rip + 20] (the action)
        b"\x31\xd2"  # xor edx, edx
        b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8
        b"\x0f\x05"  # syscall
        b"\xb8\x22\x00\x00\x00"  # mov eax, 34 (pause)
        b"\x0f\x05"  # syscall
        b"\xeb\xf7"  # back to pause
        b"\x90"  # (align)
    )
    return (death if dies_with_parent else b"") + code + SIGNAL_ACTION


def _aarch64(dies_with_parent: bool) -> bytes:
    """The same; this machine has ppoll(0, 0, 0, 0, 8) instead of pause()."""

    def move(register: int, value: int) -> int:
        return 0xD280_0000 | value << 5 | register

    call = 0xD400_0001
    words = [
        *((move(8, 167), move(0, 1), move(1, 9), call) if dies_with_parent else ()),  # prctl
        *(move(8, 134), move(0, 17)),  # rt_sigaction
        0x1000_0000 | 1 | (11 << 5),  # adr x1, 11 words ahead (the action)
        *(move(2, 0), move(3, 8), call),
        *(move(0, 0), move(1, 0), move(2, 0), move(3, 0)),
        move(8, 73),  # ppoll
        call,
        0x1400_0000 | (-6 & 0x03FF_FFFF),  # back six words
    ]
    return struct.pack(f"<{len(words)}I", *words) + SIGNAL_ACTION


MACHINES = {"x86_64": (62, _x86_64), "aarch64": (183, _aarch64)}


def program(machine: str, *, dies_with_parent: bool = True) -> bytes:
    """The whole ELF file for a machine (`x86_64`, `aarch64`)."""
    number, assemble = MACHINES[machine]
    code = assemble(dies_with_parent)
    size = HEADER_BYTES + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, ADDRESS + HEADER_BYTES, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, ADDRESS, ADDRESS, size, size, 0x1000)
    return header + segment + code


class InitProgram:
    """The program of this machine, in memory. Raises OSError where the machine is not known.

    One that does not die with its parent needs a pid namespace around it that ends."""

    def __init__(self, *, dies_with_parent: bool = True) -> None:
        if platform.machine() not in MACHINES:
            raise OSError(38, "no init program for " + platform.machine())
        descriptor = os.memfd_create("init", os.MFD_CLOEXEC)
        os.write(descriptor, program(platform.machine(), dies_with_parent=dies_with_parent))
        # Reopened for reading: a file that is open for writing cannot be executed.
        self.descriptor = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        os.close(descriptor)
        self._path = f"/proc/self/fd/{self.descriptor}"

    def spawn(self) -> int:
        """Start it as a child of this process; its pid. Raises OSError."""
        return os.posix_spawn(self._path, ["init"], {})
