"""Layers of a container image applied, one over the other, to a directory that becomes a function's root.

The image is hostile until shown otherwise, and we may be root: nothing outside of the directory is ever
touched. Links are made as they are written, for they mean something inside the sandbox only; where a path of
the image leads through one, it is followed as if the directory were the root. Nobody else writes there
meanwhile.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import IO

from broker.container_image.errors import ImageRefused
from broker.container_image.layer_archive import (
    Budget,
    Entry,
    entries,
    path_parts,
    too_deep,
    uncompressed,
)
from broker.implied_directories import MOST_DEPTH

MOUNT_POINTS = ("dev", "proc", "sys", "tmp", "etc")
"""Directories that the sandbox mounts something on, or into."""
MOUNTED_FILES = ("resolv.conf", "hosts", "hostname")
"""In /etc."""
MOST_LINKS = 40
"""What the kernel follows in one path."""

Parts = tuple[str, ...]


def apply_layer(root: Path, layer: IO[bytes], budget: Budget) -> None:
    """Apply one layer, gzipped or not, to what earlier ones made of `root`.

    Raises ImageRefused and OSError; `root` is unfinished then.
    """
    application = _Application(root, budget)
    for entry in entries(uncompressed(layer), budget):
        application.apply(entry)


def finish(root: Path) -> None:
    """Make what the sandbox mounts on: directories and files of the image's own in these places, where they
    are no links. To be called after the last layer."""
    for name in MOUNT_POINTS:
        _make_real_directory(root / name)
    for name in MOUNTED_FILES:
        path = root / "etc" / name
        if path.is_symlink() or not path.is_file():
            _clear(path)
            path.touch(0o644)
    root.chmod(0o755)


class _Application:
    """One layer on its way. `made` is what this layer has made: its whiteouts concern earlier layers."""

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = root
        self._budget = budget
        self._made: set[Parts] = set()

    def apply(self, entry: Entry) -> None:
        if entry.kind == "opaque":
            self._empty(self._resolved(entry.parts))
            return
        if not entry.parts:
            return  # the root itself: its mode is ours
        if entry.kind == "whiteout":
            self._remove((*self._resolved(entry.parts[:-1]), entry.parts[-1]))
            return
        parts = (*self._parent(entry.parts[:-1]), entry.parts[-1])
        path = self._path(parts)
        self._made.update(parts[:depth] for depth in range(1, len(parts) + 1))
        if entry.kind == "directory":
            _make_real_directory(path)
            path.chmod(entry.mode | 0o700)
        elif entry.kind == "file":
            _clear(path)
            _write(path, entry)
        elif entry.kind == "symlink":
            _clear(path)
            path.symlink_to(entry.target)
        else:
            self._link(path, entry.target)

    def _link(self, path: Path, target: str) -> None:
        *above, name = path_parts(target) or ("",)
        original = self._path((*self._resolved(tuple(above)), name))
        if original == path:
            return
        if not name or not os.path.lexists(original) or stat.S_ISDIR(original.lstat().st_mode):
            raise ImageRefused(f"a layer has a hard link to {target[:100]!r}, which is no file of the image")
        _clear(path)
        os.link(original, path, follow_symlinks=False)

    def _path(self, parts: Parts) -> Path:
        if any("/" in part for part in parts):  # joined, an absolute one would replace the root
            raise ImageRefused(f"a layer has a path of the parts {parts!r:.100}, which are no names")
        return self._root.joinpath(*parts)

    def _parent(self, parts: Parts) -> Parts:
        """The directory that `parts` leads to, made where it is missing."""
        resolved = self._resolved(parts)
        made: Parts = ()
        for part in resolved:
            made = (*made, part)
            path = self._path(made)
            if not path.exists():
                self._budget.count_entry()
                path.mkdir(0o755)
                self._made.add(made)
            elif not path.is_dir():
                raise ImageRefused(
                    f"a layer has an entry below /{'/'.join(made)[:100]}, which is no directory"
                )
        return resolved

    def _resolved(self, parts: Parts) -> Parts:
        """Where a path leads below the root, links followed as if that were the root of everything."""
        left, resolved, links = list(reversed(parts)), list[str](), 0
        while left:
            part = left.pop()
            if part == "..":
                resolved = resolved[:-1]
                continue
            path = self._path((*resolved, part))
            if not path.is_symlink():
                resolved.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise ImageRefused(f"a layer has an entry behind a loop of links: /{'/'.join(parts)[:100]}")
            target = os.readlink(path)
            if target.startswith("/"):
                resolved = []
            left += [step for step in reversed(target.split("/")) if step not in ("", ".")]
        if len(resolved) > MOST_DEPTH:
            raise too_deep()
        return tuple(resolved)

    def _empty(self, parts: Parts) -> None:
        """Remove what earlier layers put into a directory."""
        path = self._path(parts)
        if path.is_symlink() or not path.is_dir():
            return
        for name in os.listdir(path):
            self._remove((*parts, name))

    def _remove(self, parts: Parts) -> None:
        """Remove what earlier layers put there; what this layer made below it stays."""
        if parts not in self._made:
            _clear(self._path(parts))
        else:
            self._empty(parts)


def _write(path: Path, entry: Entry) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        for chunk in entry.contents:
            file.write(chunk)
        os.fchmod(descriptor, entry.mode | 0o400)
        # Compiled Python knows its source by the time of its last change.
        os.utime(descriptor, (entry.modified_seconds, entry.modified_seconds))


def _make_real_directory(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        _clear(path)
        path.mkdir(0o755)


def _clear(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
