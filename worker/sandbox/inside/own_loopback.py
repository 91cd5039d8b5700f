"""A loopback of an environment's own, on the network that it shares with this machine.

Programs of the kernel turn what its processes bind to 127.0.0.1 (or, with a port, to all addresses) to an
address of loopback that belongs to its uid alone, and what they send to 127.0.0.1 as well, where something of
theirs listens there; everything else goes where it always went. So environments that serve the same port, as
extensions and web applications do, never meet.
"""

from __future__ import annotations

import ipaddress

from .address_program import (
    ADD,
    ADD_32,
    AND_32,
    CALL,
    CLEAR_16,
    CLEAR_32,
    CONTEXT,
    GET_UID,
    GO,
    IF_DIFFERENT,
    IF_EQUAL,
    IF_NOT_EQUAL,
    IF_NULL,
    IF_SAME,
    IPV4_AT,
    IPV6_AT,
    LOAD_32,
    LOOK_UP_TCP,
    LOOK_UP_UDP,
    MOVE,
    MOVE_32,
    PORT_AT,
    RELEASE_SOCKET,
    SET,
    SET_32,
    SOURCE_AT,
    STORE_16,
    STORE_32,
    TO_BIG_ENDIAN,
    TYPE_AT,
    AddressProgram,
    attach,
)
from .cgroups import Cgroups
from .kernel import Kernel

API_NETWORK = 0x7F40_0000
API_MASK = 0x003F_FFFF
LOOPBACK = 0x7F00_0001
MAPPED = (0, 0, 0xFFFF)
"""How an IPv4 address begins that is written as one of IPv6."""
STREAM = 1
OWN = 7
"""The register with the environment's own address, in the network's byte order."""
FOUND = 8
"""The register with the address that a socket found is bound to."""
TUPLE_BYTES = 12
STACK = 10
TRIAL = "loopback-trial"


def api_address(uid: int) -> str:
    """The address of loopback that is only this uid's; where its Runtime API listens as well."""
    return str(ipaddress.IPv4Address(API_NETWORK + (uid & API_MASK)))


class LoopbackGroups:
    """Gives processes a loopback of their own: by their own control group in version 2, else by one of that
    version which they join."""

    def __init__(self, kernel: Kernel, cgroups: Cgroups) -> None:
        self._kernel = kernel
        self._cgroups = cgroups

    @classmethod
    def make(cls, kernel: Kernel, cgroups: Cgroups) -> LoopbackGroups | None:
        """None where this machine cannot do it."""
        try:
            if cgroups.unified:
                cgroups.create(TRIAL)
                try:
                    attach(kernel, cgroups.directory_of(TRIAL), programs())
                finally:
                    cgroups.remove(TRIAL)
            else:
                attach(kernel, cgroups.loopback_group(), programs())
        except OSError:
            return None
        return cls(kernel, cgroups)

    def give(self, pid: int, group: str) -> None:
        """To a process and all that it will start; `group` is its control group. Raises OSError."""
        if self._cgroups.unified:
            attach(self._kernel, self._cgroups.directory_of(group), programs())
        else:
            self._cgroups.bring_to_loopback(pid)


def bind_programs(*, filtered: bool = False) -> dict[str, bytes]:
    """By hook. `filtered`: what is bound to all addresses cannot be reached."""
    return {"bind4": _bind_ipv4(filtered), "bind6": _bind_ipv6(filtered)}


def programs() -> dict[str, bytes]:
    """By hook; everything that is not the environment's own is left alone."""
    ipv4, mapped = AddressProgram(), AddressProgram()
    for program in (ipv4, mapped):
        program.begin()
    prefer_own_ipv4(ipv4)
    prefer_own_mapped(mapped)
    to_ipv4, to_ipv6 = ipv4.assemble(), mapped.assemble()
    return {
        "connect4": to_ipv4,
        "connect6": to_ipv6,
        "sendmsg4": to_ipv4,
        "sendmsg6": to_ipv6,
        **bind_programs(),
    }


def prefer_own_ipv4(program: AddressProgram) -> None:
    """Send what is for 127.0.0.1, or the own address, to the latter, where somebody listens; else go on."""
    _prefer_own(program, IPV4_AT)


def prefer_own_mapped(program: AddressProgram) -> None:
    """The same for these addresses as sockets of IPv6 write them."""
    for place, expected in enumerate(MAPPED):
        program.load(2, IPV6_AT + 4 * place)
        program.add(IF_NOT_EQUAL, 2, value=expected, goal="elsewhere")
    _prefer_own(program, IPV6_AT + 12)


def _own_address(program: AddressProgram) -> None:
    program.add(CALL, value=GET_UID)
    program.add(AND_32, 0, value=API_MASK)
    program.add(ADD_32, 0, value=API_NETWORK)
    program.add(MOVE_32, OWN, 0)
    program.add(TO_BIG_ENDIAN, OWN, value=32)


def _prefer_own(program: AddressProgram, address_at: int) -> None:
    """Look for a socket that is bound to the own address and the port asked for; ends at "elsewhere" without
    one. Those that this machine's services bind to all addresses are found too, and are not meant."""
    _own_address(program)
    program.add(LOAD_32, 2, CONTEXT, offset=address_at)
    program.add(IF_SAME, 2, OWN, goal="own")
    program.load(2, address_at)
    program.add(IF_NOT_EQUAL, 2, value=LOOPBACK, goal="elsewhere")
    program.label("own")
    program.add(CLEAR_32, STACK, offset=-12)
    program.add(STORE_32, STACK, OWN, offset=-8)
    program.add(CLEAR_16, STACK, offset=-4)
    program.add(LOAD_32, 3, CONTEXT, offset=PORT_AT)
    program.add(STORE_16, STACK, 3, offset=-2)
    program.add(LOAD_32, 4, CONTEXT, offset=TYPE_AT)
    program.add(IF_EQUAL, 4, value=STREAM, goal="stream")
    _look_up(program, LOOK_UP_UDP)
    program.add(GO, goal="looked up")
    program.label("stream")
    _look_up(program, LOOK_UP_TCP)
    program.label("looked up")
    program.add(IF_NULL, 0, value=0, goal="elsewhere")
    program.add(LOAD_32, FOUND, 0, offset=SOURCE_AT)
    program.add(MOVE, 1, 0)
    program.add(CALL, value=RELEASE_SOCKET)
    program.add(IF_DIFFERENT, FOUND, OWN, goal="elsewhere")
    program.add(STORE_32, CONTEXT, OWN, offset=address_at)
    program.add(GO, goal="allow")
    program.label("elsewhere")


def _look_up(program: AddressProgram, helper: int) -> None:
    program.add(MOVE, 1, CONTEXT)
    program.add(MOVE, 2, STACK)
    program.add(ADD, 2, value=-TUPLE_BYTES)
    program.add(SET, 3, value=TUPLE_BYTES)
    program.add(SET, 4, value=-1)
    program.add(SET, 5, value=0)
    program.add(CALL, value=helper)


def _bind_ipv4(filtered: bool) -> bytes:
    program = AddressProgram()
    program.begin()
    # Who is still root binds the Runtime API's address for the uid that he will have.
    program.add(CALL, value=GET_UID)
    program.add(IF_EQUAL, 0, value=0, goal="allow")
    _own_address(program)
    program.load(2, IPV4_AT)
    program.add(IF_EQUAL, 2, value=LOOPBACK, goal="own")
    program.add(MOVE_32, 3, 2)
    program.add(AND_32, 3, value=0xFFFF_FFFF - API_MASK)
    program.add(IF_NOT_EQUAL, 3, value=API_NETWORK, goal="no uid's")
    program.add(MOVE_32, 4, OWN)
    program.add(TO_BIG_ENDIAN, 4, value=32)
    program.add(IF_SAME, 2, 4, goal="allow")
    program.add(GO, goal="refuse")
    program.label("no uid's")
    program.add(IF_NOT_EQUAL, 2, value=0, goal="allow")
    _allow_clients(program, filtered)
    program.add(STORE_32, CONTEXT, OWN, offset=IPV4_AT)
    return program.assemble()


def _allow_clients(program: AddressProgram, filtered: bool) -> None:
    """Goes on at "own" with servers. Without a port it is a client that binds: it may want to send anywhere.
    Streams are rather servers that take any port; `filtered`, they would reach themselves no other way."""
    program.add(LOAD_32, 3, CONTEXT, offset=PORT_AT)
    program.add(IF_NOT_EQUAL, 3, value=0, goal="own")
    if filtered:
        program.add(LOAD_32, 3, CONTEXT, offset=TYPE_AT)
        program.add(IF_EQUAL, 3, value=STREAM, goal="own")
    program.add(GO, goal="allow")
    program.label("own")


def _bind_ipv6(filtered: bool) -> bytes:
    program = AddressProgram()
    program.begin()
    for place in range(4):
        program.load(2, IPV6_AT + 4 * place)
        program.add(IF_NOT_EQUAL, 2, value=0, goal="allow")
    _allow_clients(program, filtered)
    _own_address(program)
    program.add(SET_32, 3, value=MAPPED[2])
    program.add(TO_BIG_ENDIAN, 3, value=32)
    program.add(STORE_32, CONTEXT, 3, offset=IPV6_AT + 8)
    program.add(STORE_32, CONTEXT, OWN, offset=IPV6_AT + 12)
    return program.assemble()
