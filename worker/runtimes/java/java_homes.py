"""Which versions of Java this machine has."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path("/usr/lib/jvm")
SEEN_BY_FUNCTIONS = (Path("/usr"),)
"""Where functions in sandboxes see this machine's files."""


@dataclass(frozen=True, slots=True)
class JavaHome:
    """A Java installation. `build` is all that it says of its version: an archive is good for one build."""

    path: Path
    major: int
    build: str

    @property
    def program(self) -> Path:
        return self.path / "bin" / "java"

    @property
    def compiler(self) -> Path:
        """Not there in an installation that only runs programs."""
        return self.path / "bin" / "javac"

    @property
    def seen_by_functions(self) -> bool:
        return any(self.path.is_relative_to(directory) for directory in SEEN_BY_FUNCTIONS)


def find_java_homes(directory: Path = DIRECTORY) -> tuple[JavaHome, ...]:
    """$JAVA_HOME, the `java` on the PATH, then what lies in `directory`; each once."""
    homes = (read_java_home(path) for path in _candidates(directory))
    return tuple({home.path: home for home in homes if home is not None}.values())


def read_java_home(path: Path) -> JavaHome | None:
    """The installation at `path`, by its `release` file; None where there is none that can be run."""
    try:
        release = (path / "release").read_text(errors="replace")
    except OSError:
        return None
    version = re.search(r'^JAVA_VERSION="(\d+)[^"]*"', release, re.MULTILINE)
    if version is None or not os.access(path / "bin" / "java", os.X_OK):
        return None
    said = re.findall(
        r'^(?:IMPLEMENTOR|JAVA_RUNTIME_VERSION|JAVA_VERSION|OS_ARCH)="([^"]*)"', release, re.MULTILINE
    )
    return JavaHome(path.resolve(), int(version[1]), " ".join(said))


def _candidates(directory: Path) -> Iterable[Path]:
    if configured := os.environ.get("JAVA_HOME"):
        yield Path(configured)
    if program := shutil.which("java"):
        yield Path(program).resolve().parent.parent
    if directory.is_dir():
        yield from sorted(directory.iterdir())
