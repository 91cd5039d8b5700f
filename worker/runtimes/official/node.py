"""Node.js: aws-lambda-ric from npm, run by the `node` on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from worker.runtimes.official.interface import CannotInstall, Launch
from worker.sandbox.interface import Locations


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """An OfficialRuntime; `entry` lies below `directory`."""

    program: str
    directory: Path
    entry: str

    def command(self, seen: Locations, launch: Launch) -> Sequence[str]:
        return [self.program, f"{seen.library}/{self.entry}", launch.handler]


@dataclass(frozen=True, slots=True)
class NodeClient:
    """An OfficialClient, and its entry below the installation."""

    major: int
    package: str
    entry: str

    @property
    def runtime(self) -> str:
        return f"nodejs{self.major}.x"

    def missing(self) -> str:
        return self.lacks(node_major())

    def lacks(self, node_major: int) -> str:
        """What is missing where the `node` on the PATH is of this version; 0: there is none."""
        if node_major == self.major:
            return ""
        found = f"Node.js {node_major}" if node_major else "no Node.js"
        return f"needs Node.js {self.major} on the PATH; found {found}"

    def ready(self, directory: Path) -> NodeRuntime | None:
        program = shutil.which("node")
        if program is None or not (directory / self.entry).is_file() or self.missing():
            return None
        return NodeRuntime(program, directory, self.entry)

    def install(self, directory: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise CannotInstall(f"{self.runtime} needs npm to install {self.package}; none is on the PATH")
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), self.package]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not (directory / self.entry).is_file():
            said = (done.stderr or done.stdout)[-2000:]
            raise CannotInstall(
                f"npm could not install {self.package} (its native part needs cmake, make, a C++ compiler,"
                f" autoconf, automake, libtool and Python): {said}"
            )


NODE_CLIENTS = (
    NodeClient(20, "aws-lambda-ric@3.3.0", "node_modules/aws-lambda-ric/bin/index.mjs"),
    NodeClient(22, "aws-lambda-ric@4.0.2", "node_modules/aws-lambda-ric/index.mjs"),
    NodeClient(24, "aws-lambda-ric@4.0.2", "node_modules/aws-lambda-ric/index.mjs"),
)


def node_major() -> int:
    """Of the `node` on the PATH; 0 where there is none."""
    program = shutil.which("node")
    return _major(program) if program else 0


@lru_cache(maxsize=16)
def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30).stdout
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0
