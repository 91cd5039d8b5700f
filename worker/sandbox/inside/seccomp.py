"""System calls that no function needs and that reach deep into the kernel: refused by a filter.

A deny list, so that any program runs; the namespaces and the uid carry the isolation.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Collection

from .kernel import Kernel

SECCOMP_SET_MODE_FILTER = 1

REFUSED = {
    # name: (x86_64, aarch64); 0 where the machine has no such call
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, 0),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, 0),
    "iopl": (172, 0),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, 0),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}

ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
SOCKET = {"x86_64": 41, "aarch64": 198}
X32_BIT = 0x4000_0000
NEW_NAMESPACES = 0x7E02_0000 | 0x80
"""The flags of clone that make namespaces."""
SOCKET_FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink (which lists interfaces). Not: vsock, packets, the kernel's cryptography."""

LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
ALLOW, KILL, REFUSE = 0x7FFF_0000, 0x8000_0000, 0x0005_0000


def _step(code: int, operand: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, operand)


def program(machine: str, allowed: Collection[str] = ()) -> bytes:
    """The filter for a machine (`x86_64`, `aarch64`), in classic BPF; it lets `allowed` through."""
    refuse = _step(ANSWER, REFUSE | errno.EPERM)
    allow = _step(ANSWER, ALLOW)
    column = 0 if machine == "x86_64" else 1
    refused = [numbers[column] for name, numbers in REFUSED.items() if name not in allowed]
    numbers = sorted(number for number in refused if number)
    steps = [
        _step(LOAD, ARCHITECTURE_AT),
        _step(IF_EQUAL, ARCHITECTURES[machine], 1, 0),
        _step(ANSWER, KILL),
        _step(LOAD, NUMBER_AT),
        _step(IF_AT_LEAST, X32_BIT, 0, 1),
        refuse,
        # clone3 passes its flags by pointer, which no filter can follow; libc falls back to clone.
        _step(IF_EQUAL, CLONE3, 0, 1),
        _step(ANSWER, REFUSE | errno.ENOSYS),
        _step(IF_EQUAL, CLONE[machine], 0, 4),
        _step(LOAD, FIRST_ARGUMENT_AT),
        _step(IF_ANY_BIT, NEW_NAMESPACES, 0, 1),
        refuse,
        allow,
        _step(IF_EQUAL, SOCKET[machine], 0, len(SOCKET_FAMILIES) + 3),
        _step(LOAD, FIRST_ARGUMENT_AT),
    ]
    left = len(SOCKET_FAMILIES)
    steps += [_step(IF_EQUAL, family, left - place, 0) for place, family in enumerate(SOCKET_FAMILIES)]
    steps += [_step(ANSWER, REFUSE | errno.EAFNOSUPPORT), allow]
    left = len(numbers)
    steps += [_step(IF_EQUAL, number, left - place, 0) for place, number in enumerate(numbers)]
    return b"".join([*steps, allow, refuse])


class SeccompFilter:
    """The filter of this machine, ready to be applied. Raises OSError where the machine is not known."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        machine = platform.machine()
        if machine not in ARCHITECTURES:
            raise OSError(errno.ENOSYS, "seccomp: no list of system calls for " + machine)
        steps = program(machine, allowed)
        self._steps = ctypes.create_string_buffer(steps, len(steps))
        self._filter = struct.pack("HxxxxxxQ", len(steps) // 8, ctypes.addressof(self._steps))

    def apply(self, kernel: Kernel) -> None:
        """From now on for this process and all its descendants; needs no_new_privs. Raises OSError."""
        kernel.call("seccomp", SECCOMP_SET_MODE_FILTER, 0, self._filter)
