"""The library by which Java changes its directory and its environment: it is loaded and does both."""

from __future__ import annotations

import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from worker.runtimes.java.native_part import MACHINES, native_part

USE_IT = """
import ctypes, os, sys

library = ctypes.CDLL(sys.argv[1])

def method(name):
    function = getattr(library, "Java_lightswitch_AwaitFunction_" + name)
    function.argtypes = [ctypes.c_void_p] * 3
    function.restype = ctypes.c_long
    return function

strings = (ctypes.c_char_p * 2)(b"GREETING=hello", None)
method("setEnvironment")(None, None, ctypes.addressof(strings))
directory = ctypes.c_char_p(sys.argv[2].encode())
status = method("changeDirectory")(None, None, ctypes.cast(directory, ctypes.c_void_p).value)
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"GREETING").decode(), libc.getenv(b"PATH"), os.getcwd(), status)
"""


@pytest.mark.skipif(platform.machine() not in MACHINES, reason="there is none for this machine")
def test_a_process_gets_another_environment_and_another_directory(tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_bytes(native_part(platform.machine()))
    command = [sys.executable, "-c", USE_IT, str(library), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == f"hello None {tmp_path} 0\n"


def test_every_machines_code_fits_its_room() -> None:
    for number, _, assemble in MACHINES.values():
        assert sum(map(len, assemble())) <= 64
        assert struct.unpack_from("<H", native_part({62: "x86_64", 183: "aarch64"}[number]), 18) == (number,)
