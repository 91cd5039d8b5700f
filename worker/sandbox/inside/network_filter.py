"""Which addresses functions may send to: a filter of the kernel (BPF) on all environments' control group.

It is asked at every connect and at every datagram to an address, so that neither this machine's own services
nor its neighbours can be reached; each environment reaches the address of its own Runtime API, by its uid,
and its own loopback (`own_loopback`).
Needs root and a mounted control group hierarchy of version 2, whether or not that one has any controllers.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping, Sequence

from . import own_loopback
from .address_program import (
    AND_32,
    GO,
    IF_EQUAL,
    IF_NOT_EQUAL,
    IPV4_AT,
    IPV6_AT,
    MOVE_32,
    PORT_AT,
    AddressProgram,
    attach,
)
from .kernel import Kernel
from .own_loopback import prefer_own_ipv4, prefer_own_mapped

REFUSED_IPV4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
"""Loopback, link-local (the metadata of clouds), private, shared, multicast, reserved."""

REFUSED_IPV6 = ("::/96", "64:ff9b::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")

DNS_PORT = 53


def attach_filter(kernel: Kernel, group: str, allowed: Sequence[str]) -> None:
    """Filter what the processes of `group` (a directory of version 2) and of groups below it send, instead of
    what was filtered before. Networks in `allowed` can be reached all the same. Raises OSError."""
    attach(kernel, group, _programs(allowed))


def _programs(allowed: Sequence[str]) -> Mapping[str, bytes]:
    ipv4, ipv6 = ipv4_program(allowed, name_servers()), ipv6_program(allowed)
    binding = own_loopback.bind_programs(filtered=True)
    return {"connect4": ipv4, "connect6": ipv6, "sendmsg4": ipv4, "sendmsg6": ipv6, **binding}


def name_servers() -> list[str]:
    """IPv4 addresses that this machine asks for names: functions may ask them for names, too."""
    try:
        with open("/etc/resolv.conf") as file:
            words = [line.split() for line in file]
    except OSError:
        return []
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver" and ":" not in each[1]]


class FilterProgram(AddressProgram):
    """With the verdict on an address."""

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


def ipv4_program(allowed: Sequence[str], resolvers: Sequence[str]) -> bytes:
    """For the hooks of IPv4."""
    program = FilterProgram()
    program.begin()
    prefer_own_ipv4(program)
    program.load(2, IPV4_AT)
    program.load(4, PORT_AT)
    program.add(IF_NOT_EQUAL, 4, value=DNS_PORT << 16, goal="no question")
    for address in resolvers:
        program.add(IF_EQUAL, 2, value=int(ipaddress.IPv4Address(address)), goal="allow")
    program.label("no question")
    program.judge_ipv4(allowed)
    return program.assemble()


def ipv6_program(allowed: Sequence[str]) -> bytes:
    """For the hooks of IPv6, which also see IPv4 addresses that are written as IPv6 ones."""
    program = FilterProgram()
    program.begin()
    prefer_own_mapped(program)
    for place, expected in enumerate((0, 0, 0xFFFF)):
        program.load(2, IPV6_AT + 4 * place)
        program.add(IF_NOT_EQUAL, 2, value=expected, goal="plain")
    program.load(2, IPV6_AT + 12)
    program.judge_ipv4(allowed)
    program.label("plain")
    program.judge_ipv6(allowed)
    return program.assemble()
