"""This machine's Python as the layer of a container image: the interpreter, its libraries, nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.container_images import Member, directory, layer, symlink

INTERPRETER = Path("/usr/bin/python3")
LEFT_OUT = frozenset(
    {"test", "tests", "__pycache__", "idlelib", "ensurepip", "tkinter", "lib2to3", "turtledemo"}
)


@cache
def python_layer(*extensions: Path) -> bytes:
    """A layer with /usr/bin/python3 and the libraries that `extensions` need; skips the test where Debian's
    Python is missing."""
    if not INTERPRETER.is_file():
        pytest.skip(f"{INTERPRETER} is missing: it becomes part of a container image")
    program = INTERPRETER.resolve()
    library = Path(f"/usr/lib/{program.name}")
    programs = [program, *library.glob("lib-dynload/*.so")]
    libraries = _shared_libraries([*programs, *extensions])
    files = {program, *libraries, *_standard_library(library)}
    members = [Member(str(path), path.read_bytes(), path.stat().st_mode & 0o777) for path in sorted(files)]
    return layer(
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        symlink("lib64", "usr/lib64"),
        symlink("bin", "usr/bin"),
        symlink("usr/bin/python3", program.name),
        *members,
    )


def _standard_library(library: Path) -> Iterator[Path]:
    for path in library.rglob("*"):
        inside = path.relative_to(library).parts
        if path.suffix in (".py", ".so") and not LEFT_OUT.intersection(inside) and path.is_file():
            yield path


def _shared_libraries(programs: list[Path]) -> set[Path]:
    """What the loader finds for them, by the names that it looks for."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
    found = re.findall(r"(/\S+\.so\S*)(?= \(0x)", said)
    return {Path(path) for path in found}
