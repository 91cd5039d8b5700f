"""Container images on this machine: layers fetched, verified and applied once, shared by its workers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Protocol

from broker.errors import CodeCorrupt
from broker.single_flight import SingleFlight
from worker import image_unpack
from worker.cache_directory import CacheDirectory, remove


class Layers(Protocol):
    """Where layers come from; `broker.code_store` is the real one."""

    async def fetch_layer(self, digest: str, target: Path) -> None:
        """Write it, verified, to a new file. Raises CodeNotFound, CodeCorrupt, CodeStoreUnavailable."""


class ImageCache:
    """One directory, a root file system, per image's digest in `directory`."""

    def __init__(self, directory: Path, layers: Layers) -> None:
        self._directory = CacheDirectory(directory)
        self._layers = layers
        self._flights: SingleFlight[Path] = SingleFlight()

    async def root(self, digest: str, layers: Sequence[str]) -> Path:
        """The root file system that the layers make, lowest first; to be mounted read-only for functions.

        Raises CodeNotFound, CodeCorrupt, CodeStoreUnavailable, OSError.
        """
        if await asyncio.to_thread(self._directory.want, digest):
            return self._directory / digest
        return await self._flights.run(digest, lambda: self._make(digest, layers))

    async def evict(self, keep: Set[str], unwanted_seconds: float = 3600) -> None:
        """As `CodeCache.evict`."""
        await asyncio.to_thread(self._directory.evict, keep, unwanted_seconds)

    async def close(self) -> None:
        """Give up what is being fetched."""
        await self._flights.close()

    async def _make(self, digest: str, layers: Sequence[str]) -> Path:
        unfinished = await asyncio.to_thread(self._directory.unfinished)
        downloads = unfinished.with_name(f"{unfinished.name}-layers")
        try:
            await asyncio.to_thread(downloads.mkdir, 0o700)
            for number, layer in enumerate(layers):
                await self._layers.fetch_layer(layer, downloads / f"{number:04d}")
            await _unpack(digest, downloads, unfinished)
            await asyncio.to_thread(self._directory.finish, unfinished, digest)
        finally:
            for left in (downloads, unfinished):
                await asyncio.to_thread(remove, left)
        return self._directory / digest


async def _unpack(digest: str, layers: Path, root: Path) -> None:
    """In a process of its own: it takes seconds of Python, which would hold up every function's answer."""
    process = await _started(sys.executable, "-P", "-m", image_unpack.__name__, str(layers), str(root))
    try:
        said, _ = await process.communicate()
    except BaseException:
        await _end(process)
        raise
    if process.returncode == image_unpack.REFUSED:
        raise CodeCorrupt(f"image {digest} cannot be unpacked: {said.decode(errors='replace').strip()}")
    if process.returncode != 0:
        raise OSError(f"image {digest} cannot be unpacked: {said.decode(errors='replace').strip()}")


async def _started(*command: str) -> asyncio.subprocess.Process:
    """Cancelled while it starts, it is ended, too: event loops lose sight of it."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE), name="start unpacking"
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.communicate()  # its pipe is closed then, too
