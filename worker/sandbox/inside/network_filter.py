"""Which addresses functions may send to: a filter of the kernel (BPF) on all environments' control group.

It is asked at every connect and at every datagram to an address, so that neither this machine's own services
nor its neighbours can be reached; each environment reaches the address of its own Runtime API, by its uid.
Needs root and a mounted control group hierarchy of version 2, whether or not that one has any controllers.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import struct
from collections.abc import Sequence

from .kernel import Kernel

REFUSED_IPV4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
"""Loopback, link-local (the metadata of clouds), private, shared, multicast, reserved."""

REFUSED_IPV6 = ("::/96", "64:ff9b::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")

API_NETWORK = 0x7F40_0000
API_MASK = 0x003F_FFFF
DNS_PORT = 53

LOAD_PROGRAM, ATTACH_PROGRAM = 5, 8
CGROUP_SOCK_ADDR = 18
HOOKS = {"connect4": 10, "connect6": 11, "sendmsg4": 14, "sendmsg6": 15}

IPV4_AT, IPV6_AT, PORT_AT = 4, 8, 24
GET_UID = 15

MOVE, MOVE_32, AND_32, ADD_32, LOAD_32, TO_BIG_ENDIAN = 0xBF, 0xBC, 0x54, 0x04, 0x61, 0xDC
SET_32, IF_SAME, IF_EQUAL, IF_NOT_EQUAL, GO, CALL, EXIT = 0xB4, 0x1E, 0x16, 0x56, 0x05, 0x85, 0x95


def api_address(uid: int) -> str:
    """Where the Runtime API of the environment with this uid listens: an address of its own."""
    return str(ipaddress.IPv4Address(API_NETWORK + (uid & API_MASK)))


def attach(kernel: Kernel, group: str, allowed: Sequence[str]) -> None:
    """Filter what the processes of `group` (a directory of version 2) and of groups below it send, instead of
    what was filtered before. Networks in `allowed` can be reached all the same. Raises OSError."""
    directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, hook in HOOKS.items():
            steps = ipv6_program(allowed) if name.endswith("6") else ipv4_program(allowed, name_servers())
            program = _load(kernel, steps, hook)
            attribute = struct.pack("=IIII", directory, program, hook, 0)
            kernel.call("bpf", ATTACH_PROGRAM, attribute, len(attribute))
            os.close(program)
    finally:
        os.close(directory)


def name_servers() -> list[str]:
    """IPv4 addresses that this machine asks for names: functions may ask them for names, too."""
    try:
        with open("/etc/resolv.conf") as file:
            words = [line.split() for line in file]
    except OSError:
        return []
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver" and ":" not in each[1]]


def _load(kernel: Kernel, steps: bytes, hook: int) -> int:
    program, license_name = (
        ctypes.create_string_buffer(steps, len(steps)),
        ctypes.create_string_buffer(b"GPL"),
    )
    addresses = ctypes.addressof(program), ctypes.addressof(license_name)
    head = struct.pack("=IIQQIIQII", CGROUP_SOCK_ADDR, len(steps) // 8, *addresses, 0, 0, 0, 0, 0)
    attribute = head + bytes(16) + struct.pack("=II", 0, hook)
    return kernel.call("bpf", LOAD_PROGRAM, attribute, len(attribute))


def _step(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhI", code, to | source << 4, offset, value & 0xFFFF_FFFF)


class _Program:
    """Steps with jumps to labels; `allow` and `refuse` are the two ends."""

    def __init__(self) -> None:
        self._steps: list[tuple[bytes, str]] = []
        self._labels: dict[str, int] = {}

    def add(
        self, code: int, to: int = 0, source: int = 0, value: int = 0, offset: int = 0, goal: str = ""
    ) -> None:
        self._steps.append((_step(code, to, source, offset, value), goal))

    def label(self, name: str) -> None:
        """The next step is where jumps to `name` go."""
        self._labels[name] = len(self._steps)

    def load(self, register: int, offset: int) -> None:
        """Four bytes of the address, in the machine's byte order."""
        self.add(LOAD_32, register, 6, offset=offset)
        self.add(TO_BIG_ENDIAN, register, value=32)

    def judge_ipv4(self, allowed: Sequence[str]) -> None:
        """The verdict on the address in register 2."""
        for networks, goal in ((allowed, "allow"), (REFUSED_IPV4, "refuse")):
            for network in networks:
                if ":" not in network:
                    parsed = ipaddress.IPv4Network(network)
                    self.add(MOVE_32, 3, 2)
                    self.add(AND_32, 3, value=int(parsed.netmask))
                    self.add(IF_EQUAL, 3, value=int(parsed.network_address), goal=goal)
        self.add(GO, goal="allow")

    def judge_ipv6(self, allowed: Sequence[str]) -> None:
        """The verdict on the address at IPV6_AT."""
        for networks, goal in ((allowed, "allow"), (REFUSED_IPV6, "refuse")):
            for network in networks:
                if ":" in network:
                    self._check_ipv6(ipaddress.IPv6Network(network), goal)
        self.add(GO, goal="allow")

    def _check_ipv6(self, network: ipaddress.IPv6Network, goal: str) -> None:
        other = f"not {network}"
        masks = struct.unpack(">4I", network.netmask.packed)
        for place, word in enumerate(struct.unpack(">4I", network.network_address.packed)):
            if masks[place]:
                self.load(3, IPV6_AT + 4 * place)
                self.add(AND_32, 3, value=masks[place])
                self.add(IF_NOT_EQUAL, 3, value=word, goal=other)
        self.add(GO, goal=goal)
        self.label(other)

    def assemble(self) -> bytes:
        last = len(self._steps)
        goals = {**self._labels, "allow": last, "refuse": last + 2}
        body = b""
        for place, (step, goal) in enumerate(self._steps):
            body += step[:2] + struct.pack("=h", goals[goal] - place - 1) + step[4:] if goal else step
        return body + _step(SET_32, value=1) + _step(EXIT) + _step(SET_32, value=0) + _step(EXIT)


def ipv4_program(allowed: Sequence[str], resolvers: Sequence[str]) -> bytes:
    """For the hooks of IPv4."""
    program = _Program()
    program.add(MOVE, 6, 1)
    program.add(CALL, value=GET_UID)
    program.add(AND_32, 0, value=API_MASK)
    program.add(ADD_32, 0, value=API_NETWORK)
    program.load(2, IPV4_AT)
    program.add(IF_SAME, 2, 0, goal="allow")
    program.load(4, PORT_AT)
    program.add(IF_NOT_EQUAL, 4, value=DNS_PORT << 16, goal="no question")
    for address in resolvers:
        program.add(IF_EQUAL, 2, value=int(ipaddress.IPv4Address(address)), goal="allow")
    program.label("no question")
    program.judge_ipv4(allowed)
    return program.assemble()


def ipv6_program(allowed: Sequence[str]) -> bytes:
    """For the hooks of IPv6, which also see IPv4 addresses that are written as IPv6 ones."""
    program = _Program()
    program.add(MOVE, 6, 1)
    for place, expected in enumerate((0, 0, 0xFFFF)):
        program.load(2, IPV6_AT + 4 * place)
        program.add(IF_NOT_EQUAL, 2, value=expected, goal="plain")
    program.load(2, IPV6_AT + 12)
    program.judge_ipv4(allowed)
    program.label("plain")
    program.judge_ipv6(allowed)
    return program.assemble()
