"""What Java cannot do by itself: change the directory and the environment of its own process.

A shared library of a few instructions for `lightswitch.AwaitFunction`, assembled here without a C compiler.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

METHODS = ("address", "setEnvironment", "changeDirectory")
"""Native methods; each gets JNI's table of functions, its class, and one argument."""
SYMBOL_PREFIX = "Java_lightswitch_AwaitFunction_"
ENVIRON = "environ"
"""The C library's variable. The linker puts its address into a slot, where `setEnvironment` finds it."""

BUFFER_ADDRESS = 230 * 8
"""Where JNI's table of functions has GetDirectBufferAddress."""

WRITABLE_SHIFT = 0x10000
"""How much farther than in the file the writable part lies in memory: the largest page size."""
HASH_AT = 64 + 4 * 56
SYMBOLS_AT = HASH_AT + 32
NAMES_AT = SYMBOLS_AT + 24 * (2 + len(METHODS))
RELOCATION_AT = NAMES_AT + 160
CODE_AT = RELOCATION_AT + 24
DYNAMIC_AT = CODE_AT + 64
SLOT_AT = DYNAMIC_AT + 9 * 16
FILE_BYTES = SLOT_AT + 8


def _x86_64() -> Sequence[bytes]:
    address = b"\x48\x8b\x07\x48\x89\xd6\xff\xa0" + struct.pack("<i", BUFFER_ADDRESS)
    slot = struct.pack("<i", SLOT_AT + WRITABLE_SHIFT - (CODE_AT + len(address) + 7))
    return (
        address,  # mov rax, [rdi]; mov rsi, rdx; jmp [rax + BUFFER_ADDRESS]
        b"\x48\x8b\x05" + slot + b"\x48\x89\x10\xc3",  # mov rax, [rip + slot]; mov [rax], rdx; ret
        b"\x48\x89\xd7\xb8\x50\x00\x00\x00\x0f\x05\xc3",  # mov rdi, rdx; mov eax, 80 (chdir); syscall; ret
    )


def _aarch64() -> Sequence[bytes]:
    # ldr x3, [x0]; mov x1, x2; ldr x3, [x3, BUFFER_ADDRESS]; br x3
    address = _words(0xF940_0003, 0xAA02_03E1, 0xF940_0063 | BUFFER_ADDRESS // 8 << 10, 0xD61F_0060)
    slot = SLOT_AT + WRITABLE_SHIFT - (CODE_AT + len(address))
    return (
        address,
        _words(0x5800_0003 | slot // 4 << 5, 0xF900_0062, 0xD65F_03C0),  # ldr x3, slot; str x2, [x3]; ret
        _words(
            0xAA02_03E0, 0xD280_0628, 0xD400_0001, 0xD65F_03C0
        ),  # mov x0, x2; mov x8, 49 (chdir); svc; ret
    )


MACHINES = {"x86_64": (62, 6, _x86_64), "aarch64": (183, 1025, _aarch64)}
"""ELF's number, that of the relocation which fills in an address (GLOB_DAT), the code."""


def native_part(machine: str) -> bytes:
    """The whole ELF file for a machine (`x86_64`, `aarch64`)."""
    number, relocation, assemble = MACHINES[machine]
    names, name_places = _names()
    code, code_places = b"", []
    for function in assemble():
        code_places.append(CODE_AT + len(code))
        code += function
    parts = {
        0: _headers(number),
        HASH_AT: struct.pack("<8I", 1, 5, 1, 0, 2, 3, 4, 0),  # one bucket: symbol 1, then each the next
        SYMBOLS_AT: _symbols(name_places, code_places),
        NAMES_AT: names,
        RELOCATION_AT: struct.pack("<QQq", SLOT_AT + WRITABLE_SHIFT, 4 << 32 | relocation, 0),
        CODE_AT: code,
        DYNAMIC_AT: _dynamic(len(names)),
    }
    file = bytearray(FILE_BYTES)
    for place, part in parts.items():
        file[place : place + len(part)] = part
    return bytes(file)


def _names() -> tuple[bytes, list[int]]:
    names, places = b"\0", []
    for name in (*(SYMBOL_PREFIX + method for method in METHODS), ENVIRON):
        places.append(len(names))
        names += name.encode() + b"\0"
    return names, places


def _headers(machine: int) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 4, 64, 0, 0)
    writable = (DYNAMIC_AT, DYNAMIC_AT + WRITABLE_SHIFT, DYNAMIC_AT + WRITABLE_SHIFT)
    writable_bytes, dynamic_bytes = FILE_BYTES - DYNAMIC_AT, SLOT_AT - DYNAMIC_AT
    segments = (
        (1, 5, 0, 0, 0, DYNAMIC_AT, DYNAMIC_AT, WRITABLE_SHIFT),
        (1, 6, *writable, writable_bytes, writable_bytes, WRITABLE_SHIFT),
        (2, 6, *writable, dynamic_bytes, dynamic_bytes, 8),
        (0x6474_E551, 6, 0, 0, 0, 0, 0, 16),  # the stack needs no execution
    )
    return header + b"".join(struct.pack("<IIQQQQQQ", *segment) for segment in segments)


def _symbols(names: Sequence[int], codes: Sequence[int]) -> bytes:
    function, variable = 0x12, 0x11  # global
    defined = [
        struct.pack("<IBBHQQ", name, function, 0, 1, code, 0)
        for name, code in zip(names, codes, strict=False)
    ]
    return bytes(24) + b"".join(defined) + struct.pack("<IBBHQQ", names[-1], variable, 0, 0, 0, 0)


def _dynamic(names_bytes: int) -> bytes:
    entries = (
        (4, HASH_AT),
        (5, NAMES_AT),
        (6, SYMBOLS_AT),
        (10, names_bytes),
        (11, 24),
        (7, RELOCATION_AT),
        (8, 24),
        (9, 24),
        (0, 0),
    )
    return b"".join(struct.pack("<QQ", *entry) for entry in entries)


def _words(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)
