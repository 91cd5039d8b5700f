"""Which Python interpreters can run functions here, and whether other users can reach them."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST_MINOR = 9
SYSTEM_DIRECTORIES = (Path("/usr/bin"), Path("/usr/local/bin"))
OWN_INSTALLATIONS = (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin")
"""Below a user's home: where pyenv and uv install."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter; `reachable` says that any user may run it."""

    version: str
    path: Path
    reachable: bool


def find_interpreters(
    directories: Iterable[Path] | None = None, own: Path | None = None
) -> Mapping[str, Interpreter]:
    """The best interpreter for each version (`3.11`): reachable before unreachable, ours before others, then
    in the order of `directories`: this machine's, and what this user has installed, unless given.

    `own` is this process's base interpreter unless given.
    """
    candidates = [Interpreter(_own_version(), own or _own_path(), False)]
    if directories is None:
        directories = [*SYSTEM_DIRECTORIES, *own_installations(Path.home())]
    for directory in directories:
        candidates += [Interpreter(version, path, False) for version, path in _installed(directory)]
    best: dict[str, Interpreter] = {}
    for candidate in candidates:
        found = Interpreter(candidate.version, candidate.path, reachable_by_all(candidate.path))
        known = best.get(found.version)
        if known is None or (found.reachable and not known.reachable):
            best[found.version] = found
    return best


def own_installations(home: Path) -> list[Path]:
    """Directories with interpreters that a user has installed, newest first."""
    found = [path for pattern in OWN_INSTALLATIONS for path in home.glob(pattern)]
    return sorted(
        found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], reverse=True
    )


def reachable_by_all(path: Path) -> bool:
    """Whether any user may execute (a directory: enter and list) `path`, by the modes on its way."""
    try:
        resolved = path.resolve(strict=True)
        modes = [parent.stat().st_mode for parent in resolved.parents]
        own = resolved.stat().st_mode
    except OSError:
        return False
    needed = stat.S_IROTH | stat.S_IXOTH
    return own & needed == needed and all(mode & stat.S_IXOTH for mode in modes)


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _own_path() -> Path:
    return Path(getattr(sys, "_base_executable", "") or sys.executable)


def _installed(directory: Path) -> Iterable[tuple[str, Path]]:
    for path in sorted(directory.glob("python3.*")):
        match = re.fullmatch(r"python3\.(\d+)", path.name)
        if match and int(match[1]) >= OLDEST_MINOR and os.access(path, os.X_OK):
            yield f"3.{match[1]}", path
