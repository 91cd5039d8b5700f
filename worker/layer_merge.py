"""Several packages in one directory: files of later ones replace those of earlier ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from broker import code_package


def merge(packages: Iterable[bytes], target: Path) -> None:
    """Make the new directory `target` with all packages in it, read-only as `code_package.unpack` leaves it.

    A file in the place of an earlier directory (or the other way round) replaces it. Raises InvalidPackage
    and OSError, and may then leave `target` and `part_of(target)` unfinished.
    """
    target.mkdir(mode=0o700)
    for package in packages:
        part = part_of(target)
        code_package.unpack(package, part)
        _writable(part)
        _move_over(part, target)
    for directory, _, _ in os.walk(target):
        os.chmod(directory, 0o555)


def part_of(target: Path) -> Path:
    """Where a package is unpacked before it is merged."""
    return target.with_name(f"{target.name}-part")


def _move_over(source: Path, target: Path) -> None:
    """Move everything in `source` to `target`; `source` is gone afterwards."""
    for entry in source.iterdir():
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move_over(entry, place)
        else:
            _clear(place)
            entry.rename(place)
    source.rmdir()


def _clear(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _writable(root: Path) -> None:
    for directory, _, _ in os.walk(root):
        os.chmod(directory, 0o700)
