"""Code on this machine: fetched, verified and unpacked once per digest, shared by its worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Protocol

from broker import code_package
from broker.errors import CodeCorrupt
from broker.single_flight import SingleFlight
from worker.layer_merge import merge, part_of

_UNFINISHED = "unfinished-"


class Packages(Protocol):
    """Where packages come from; `broker.code_store` is the real one."""

    async def get(self, digest: str) -> bytes:
        """The package, verified. Raises CodeNotFound, CodeCorrupt, CodeStoreUnavailable."""


class CodeCache:
    """One directory per digest in `directory`, complete from the moment it has its name.

    Several processes may use the same directory. Other users may walk through it to the code that they
    are given the path of, but not list it.
    """

    def __init__(self, directory: Path, packages: Packages) -> None:
        self._directory = directory
        self._packages = packages
        self._flights: SingleFlight[Path] = SingleFlight()

    async def task_root(self, digest: str) -> Path:
        """The unpacked, read-only code. Raises CodeNotFound, CodeCorrupt, CodeStoreUnavailable, OSError."""
        path = self._directory / digest
        if await asyncio.to_thread(_want, path):
            return path
        return await self._flights.run(digest, lambda: self._fetch(path, [digest]))

    async def layers_root(self, name: str, digests: Sequence[str]) -> Path:
        """The packages merged in their order, read-only, under the `name` that stands for just that.

        Raises as `task_root` does.
        """
        path = self._directory / name
        if await asyncio.to_thread(_want, path):
            return path
        return await self._flights.run(name, lambda: self._fetch(path, digests))

    async def evict(self, keep: Set[str], unwanted_seconds: float = 3600) -> None:
        """Remove code that nobody has wanted for so long, and what crashed processes left unfinished.

        Code is wanted when a process asks for its root, and while it is in `keep`, so long as that is said
        more often than every `unwanted_seconds`: what still runs on old code has that long to end.
        """
        await asyncio.to_thread(self._evict, keep, unwanted_seconds)

    async def close(self) -> None:
        """Give up what is being fetched."""
        await self._flights.close()

    async def _fetch(self, path: Path, digests: Sequence[str]) -> Path:
        packages = [await self._packages.get(digest) for digest in digests]
        await asyncio.to_thread(self._unpack, packages, path)
        return path

    def _unpack(self, packages: Sequence[bytes], path: Path) -> None:
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        unfinished = self._unfinished()
        try:
            if len(packages) == 1:
                code_package.unpack(packages[0], unfinished)
            else:
                merge(packages, unfinished)
            _name(unfinished, path)
        except code_package.InvalidPackage as error:
            raise CodeCorrupt(f"code {path.name} cannot be unpacked: {error}") from error
        finally:
            for left in (unfinished, part_of(unfinished)):
                _remove(left)

    def _evict(self, keep: Set[str], unwanted_seconds: float) -> None:
        for path in _listed(self._directory):
            if path.name in keep:
                _want(path)
            elif _unwanted_seconds(path) >= unwanted_seconds:
                # Renamed first: nobody ever sees half of the code under a digest.
                doomed = self._unfinished()
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    path.rename(doomed)
                _remove(doomed)

    def _unfinished(self) -> Path:
        return self._directory / f"{_UNFINISHED}{uuid.uuid4().hex}"


def _name(unfinished: Path, path: Path) -> None:
    """Rename; where another process was faster, its directory stays."""
    try:
        unfinished.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _listed(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _want(path: Path) -> bool:
    """Note in the directory's time that its code is wanted; False where there is none."""
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


def _remove(path: Path) -> None:
    """Remove a directory of read-only directories; one that is gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        for directory, _, _ in os.walk(path):
            os.chmod(directory, 0o700)
        shutil.rmtree(path)
