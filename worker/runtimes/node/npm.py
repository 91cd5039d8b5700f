"""Installs AWS's client with npm, with an interpreter or for the one on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker.runtimes.node.interpreter import interpreter_directory
from worker.runtimes.official.interface import CannotInstall


def npm_install(directory: Path, client: str, interpreter: str | None) -> None:
    """Put the packages into `directory`; an `interpreter` is what the client is compiled for. Raises
    CannotInstall."""
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall(f"npm is needed to install {client}; none is on the PATH")
    if interpreter is None:
        _run(npm, directory, client, os.environ)
    else:
        _run(npm, directory, interpreter, os.environ)
        _run(npm, directory, client, _variables(directory))


def _variables(directory: Path) -> Mapping[str, str]:
    """Have npm run with the interpreter in `directory`, and compile against its headers."""
    interpreter = interpreter_directory(directory)
    path = f"{interpreter / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "npm_config_nodedir": str(interpreter)}


def _run(npm: str, directory: Path, package: str, variables: Mapping[str, str]) -> None:
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), package]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(variables))
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-2000:]
        raise CannotInstall(
            f"npm could not install {package} (the native part of AWS's client needs cmake, make, a C++"
            f" compiler, autoconf, automake, libtool and Python): {said}"
        )
