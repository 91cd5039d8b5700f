"""Installs interpreters and AWS's client with npm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker.runtimes.node.interpreter import PACKAGES, interpreter_directory
from worker.runtimes.official.interface import CannotInstall


def npm_install(directory: Path, *packages: str, with_interpreter: bool = False) -> None:
    """Put packages below `directory`, with the interpreter that is there already, or the one on the PATH.
    Raises CannotInstall."""
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall(f"npm is needed to install {packages[0]}; none is on the PATH")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), *packages]
    variables = _variables(directory) if with_interpreter else os.environ
    done = subprocess.run(command, capture_output=True, text=True, env=dict(variables))
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-2000:]
        raise CannotInstall(
            f"npm could not install {packages[0]} (the native part of AWS's client needs cmake, make, a C++"
            f" compiler, autoconf, automake, libtool and Python): {said}"
        )


def copy_client(source: Path, target: Path) -> None:
    """Copy what is installed in `source` beside what `target` has: not the interpreter, nor what the native
    part was compiled from."""
    shutil.copytree(
        source / "node_modules",
        target / "node_modules",
        dirs_exist_ok=True,
        symlinks=True,
        ignore=shutil.ignore_patterns(".bin", "deps", *PACKAGES.values()),
    )


def _variables(directory: Path) -> Mapping[str, str]:
    """Have npm run with the interpreter in `directory`, and compile against its headers."""
    interpreter = interpreter_directory(directory)
    path = f"{interpreter / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "npm_config_nodedir": str(interpreter)}
