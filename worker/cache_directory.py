"""A directory of what is made once and shared by the workers of a machine, each thing under its own name."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Set
from pathlib import Path

_UNFINISHED = "unfinished-"


class CacheDirectory:
    """One directory per name in `path`, complete from the moment it has its name.

    Several processes may use the same directory. Other users may walk through it to what they are given the
    path of, but not list it. All calls block.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __truediv__(self, name: str) -> Path:
        return self._path / name

    def want(self, name: str) -> bool:
        """Note in the directory's time that it is wanted; False where there is none."""
        return _want(self._path / name)

    def unfinished(self) -> Path:
        """Where something new can be made, in the directory, which exists afterwards."""
        self._path.mkdir(mode=0o711, parents=True, exist_ok=True)
        return self._path / f"{_UNFINISHED}{uuid.uuid4().hex}"

    def finish(self, unfinished: Path, name: str) -> None:
        """Give it its name; where another process was faster, its directory stays."""
        try:
            unfinished.rename(self._path / name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise

    def evict(self, keep: Set[str], unwanted_seconds: float) -> None:
        """Remove what nobody has wanted for so long, and what crashed processes left unfinished."""
        for path in _listed(self._path):
            if path.name in keep:
                _want(path)
            elif _unwanted_seconds(path) >= unwanted_seconds:
                # Renamed first: nobody ever sees half of it under its name.
                doomed = self.unfinished()
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    path.rename(doomed)
                remove(doomed)


def remove(path: Path) -> None:
    """Remove a directory of read-only directories, however deep; one that is gone is fine."""
    found, left = list[str](), [str(path)]
    with contextlib.suppress(FileNotFoundError):
        while left:
            directory = left.pop()
            os.chmod(directory, 0o700)
            found.append(directory)
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    else:
                        os.unlink(entry)
        for directory in reversed(found):
            os.rmdir(directory)


def _listed(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _want(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _unwanted_seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
