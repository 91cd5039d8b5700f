"""Runtimes that run AWS's own runtime client, unmodified: where it is installed, and what starts it.

`install` (for `lightswitch runtimes add`) gets a client from its registry once; workers offer a runtime when
they find its client, and the program that runs it, at their start.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.sandbox.interface import Locations

UNFINISHED = "unfinished-"


class CannotInstall(Exception):
    """The client cannot be had; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class NodeClient:
    """A version of AWS's client for Node.js, and its entry below the installation."""

    major: int
    package: str
    entry: str

    @property
    def runtime(self) -> str:
        return f"nodejs{self.major}.x"

    def missing(self, node_major: int) -> str:
        """What this machine lacks to run it; empty where nothing."""
        if node_major == self.major:
            return ""
        found = f"Node.js {node_major}" if node_major else "no Node.js"
        return f"needs Node.js {self.major} on the PATH; found {found}"


CLIENTS = (
    NodeClient(20, "aws-lambda-ric@3.3.0", "node_modules/aws-lambda-ric/bin/index.mjs"),
    NodeClient(22, "aws-lambda-ric@4.0.2", "node_modules/aws-lambda-ric/index.mjs"),
    NodeClient(24, "aws-lambda-ric@4.0.2", "node_modules/aws-lambda-ric/index.mjs"),
)


@dataclass(frozen=True, slots=True)
class OfficialRuntime:
    """An installed client; `directory` is to be seen at /var/runtime."""

    name: str
    program: str
    directory: Path
    entry: str

    def command(self, locations: Locations, handler: str) -> Sequence[str]:
        """What to execute in a process that sees its directories at `locations`."""
        return [self.program, f"{locations.library}/{self.entry}", handler]


def node_major() -> int:
    """Of the `node` on the PATH; 0 where there is none."""
    program = shutil.which("node")
    if program is None:
        return 0
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30).stdout
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0


def installed(directory: Path) -> Mapping[str, OfficialRuntime]:
    """Runtimes by name that can run here: their clients lie in `directory`, their program is there."""
    present = [client for client in CLIENTS if (directory / client.runtime / client.entry).is_file()]
    program = shutil.which("node")
    if not present or program is None:
        return {}
    major = node_major()
    return {
        client.runtime: OfficialRuntime(client.runtime, program, directory / client.runtime, client.entry)
        for client in present
        if not client.missing(major)
    }


def install(runtime: str, directory: Path) -> Path:
    """Get the client of `runtime` into `directory`; one that is there stays. Takes minutes: it is compiled.

    Raises CannotInstall.
    """
    client = next((client for client in CLIENTS if client.runtime == runtime), None)
    if client is None:
        known = ", ".join(client.runtime for client in CLIENTS)
        raise CannotInstall(f"there is nothing to add for runtime {runtime}; what can be added: {known}")
    if problem := client.missing(node_major()):
        raise CannotInstall(f"{runtime} {problem}")
    target = directory / runtime
    if not (target / client.entry).is_file():
        _install_package(client, target)
    return target


def _install_package(client: NodeClient, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall(f"{client.runtime} needs npm to install {client.package}; none is on the PATH")
    unfinished = target.with_name(UNFINISHED + target.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    target.parent.chmod(0o711)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(unfinished), client.package]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not (unfinished / client.entry).is_file():
        said = (done.stderr or done.stdout)[-2000:]
        raise CannotInstall(
            f"npm could not install {client.package} (its native part needs cmake, make, a C++ compiler,"
            f" autoconf, automake, libtool and Python): {said}"
        )
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
