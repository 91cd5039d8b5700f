"""Deployment packages: a Python file, or a `provided` function that runs the official awslambdaric."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import deployment_packages

SOURCES = Path(__file__).parent / "functions"

BOOTSTRAP = """#!/bin/sh
exec {interpreter} -m awslambdaric "$_HANDLER"
"""


def python_package(source: str) -> bytes:
    """A zip with `functions/{source}.py` as app.py."""
    return deployment_packages.python_package(SOURCES / f"{source}.py")


def awslambdaric_package(source: str) -> bytes:
    """The same for `provided.al2023`: an executable `bootstrap` and AWS's own runtime client from PyPI."""
    interpreter = reachable_interpreter()
    files = dict(_tree(_installed_awslambdaric(interpreter)))
    files["app.py"] = (SOURCES / f"{source}.py").read_bytes()
    files["bootstrap"] = BOOTSTRAP.format(interpreter=interpreter).encode()
    return deployment_packages.package(files)


def reachable_interpreter() -> Path:
    """A Python that other users may run: functions have a uid of their own. Raises RuntimeError."""
    named = [shutil.which("python3", path="/usr/bin:/usr/local/bin"), shutil.which("python3"), sys.executable]
    for candidate in [Path(name).resolve() for name in named if name]:
        if all(parent.stat().st_mode & stat.S_IXOTH for parent in [candidate, *candidate.parents]):
            return candidate
    raise RuntimeError(f"none of {named} can be run by other users; install Python in /usr")


def _installed_awslambdaric(interpreter: Path) -> Path:
    """awslambdaric built for `interpreter`, installed once in the virtual environment's cache."""
    version = importlib.metadata.version("awslambdaric")
    target = Path(sys.prefix) / "benchmark-packages" / f"awslambdaric-{version}-{interpreter.name}"
    if not target.exists():
        draft = target.with_name(f"{target.name}.{os.getpid()}.new")
        pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--quiet"]
        subprocess.run(
            [*pip, "--root-user-action=ignore", "--target", str(draft), f"awslambdaric=={version}"],
            check=True,
        )
        draft.rename(target)
    return target


def _tree(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(directory)), path.read_bytes()
