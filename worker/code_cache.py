"""Code on this machine: fetched, verified and unpacked once per digest, shared by its worker processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Protocol

from broker import code_package
from broker.errors import CodeCorrupt
from broker.single_flight import SingleFlight
from worker.cache_directory import CacheDirectory, remove
from worker.layer_merge import merge, part_of

RECENTLY_SECONDS = 60.0
"""What was wanted so lately is still there: nobody removes what was wanted within an hour."""


class Packages(Protocol):
    """Where packages come from; `broker.code_store` is the real one."""

    async def get(self, digest: str) -> bytes:
        """The package, verified. Raises CodeNotFound, CodeCorrupt, CodeStoreUnavailable."""


class CodeCache:
    """One directory per digest in `directory`, complete from the moment it has its name."""

    def __init__(self, directory: Path, packages: Packages) -> None:
        self._directory = CacheDirectory(directory)
        self._packages = packages
        self._flights: SingleFlight[Path] = SingleFlight()
        self._wanted: dict[str, float] = {}

    async def task_root(self, digest: str) -> Path:
        """The unpacked, read-only code. Raises CodeNotFound, CodeCorrupt, CodeStoreUnavailable, OSError."""
        return await self.layers_root(digest, [digest])

    async def layers_root(self, name: str, digests: Sequence[str]) -> Path:
        """The packages merged in their order, read-only, under the `name` that stands for just that.

        Raises as `task_root` does.
        """
        if await self._has(name):
            return self._directory / name
        return await self._flights.run(name, lambda: self._fetch(name, digests))

    async def evict(self, keep: Set[str], unwanted_seconds: float = 3600) -> None:
        """Remove code that nobody has wanted for so long, and what crashed processes left unfinished.

        Code is wanted when a process asks for its root, and while it is in `keep`, so long as that is said
        more often than every `unwanted_seconds`: what still runs on old code has that long to end.
        """
        await asyncio.to_thread(self._directory.evict, keep, unwanted_seconds)
        self._wanted.clear()

    async def close(self) -> None:
        """Give up what is being fetched."""
        await self._flights.close()

    async def _has(self, name: str) -> bool:
        """Whether it is there. Asking the file system takes a thread; several functions may have one code."""
        now = time.monotonic()
        if now - self._wanted.get(name, float("-inf")) < RECENTLY_SECONDS:
            return True
        found = await asyncio.to_thread(self._directory.want, name)
        if found:
            self._wanted[name] = now
        return found

    async def _fetch(self, name: str, digests: Sequence[str]) -> Path:
        packages = [await self._packages.get(digest) for digest in digests]
        await asyncio.to_thread(self._unpack, packages, name)
        return self._directory / name

    def _unpack(self, packages: Sequence[bytes], name: str) -> None:
        unfinished = self._directory.unfinished()
        try:
            if len(packages) == 1:
                code_package.unpack(packages[0], unfinished)
            else:
                merge(packages, unfinished)
            self._directory.finish(unfinished, name)
        except code_package.InvalidPackage as error:
            raise CodeCorrupt(f"code {name} cannot be unpacked: {error}") from error
        finally:
            for left in (unfinished, part_of(unfinished)):
                remove(left)
